import { equalBytes, toHex } from '../core/bytes.ts';
import { type Clock, type Log, type Random } from '../core/ports.ts';
import { GkvError, hasCode } from '../core/errors.ts';
import { type Frontier } from '../core/frontier.ts';
import { type Stamp, stampZero } from '../core/stamp.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type Ledger } from '../grant/ledger.ts';
import { type Job } from '../replica/jobs.ts';
import { type Standing as ReplicaStanding } from '../replica/proposal.ts';
import { peerEnded } from '../replica/ended.ts';
import { type Replica } from '../replica/replica.ts';
import { type Store } from '../store/store.ts';
import { type HostPort } from '../core/hostPort.ts';
import { bootstrap, type JoinProgress } from './bootstrap.ts';
import { Closing, type ClosingTimes } from './closing.ts';
import { FeedServer } from './feedServer.ts';
import { floorOf, isAboveFloor } from './floor.ts';
import { Following, type FollowingDeps, type FollowingObserver } from './following.ts';
import { newHealth, type PeerHealth } from './health.ts';
import { type Members } from './members.ts';
import { Peers, type PeerRecord } from './peers.ts';
import { type Links, type OwnCluster } from './ports.ts';
import { RecordIntake } from './records.ts';
import { Roster } from './roster.ts';
import { type Statement } from './statement.ts';
import { OwnRecord } from './ownRecord.ts';
import { joinAgain } from './peerWrites.ts';
import { removeAgain, settle } from './removal.ts';
import { Talk } from './talk.ts';
import { meshView, type MeshView } from './view.ts';

/** How often things are done; what a simulation or a test may shorten. */
export interface MeshTimes {
  /** A reader waits this long for changes at its upstream. */
  readonly waitMs: number;
  /** Members are read from the data this often. */
  readonly membersMs: number;
  /** Between two exchanges with one upstream, give or take a quarter. */
  readonly repairMs: number;
  readonly closingMs: ClosingTimes;
  /** The mesh's day: tombstones are kept at least this long. */
  readonly dayMs: number;
}

export const meshTimes: MeshTimes = {
  waitMs: 10_000,
  membersMs: 2_000,
  repairMs: 60_000,
  closingMs: { least: 1_000, most: 10_000 },
  dayMs: 86_400_000,
};

export interface MeshDeps {
  readonly store: Store;
  readonly digests: MeshDigests;
  readonly own: OwnCluster;
  readonly replica: Replica;
  readonly links: Links;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Told what happens, for metrics. */
  readonly observer: FollowingObserver;
  readonly times: MeshTimes;
  /** Other processes serve from this store too. */
  readonly isShared: boolean;
  /** Of a granted mesh. */
  readonly ledger?: Ledger | undefined;
  /** Ends waiting for changes. */
  readonly signal: AbortSignal;
}

/** One instance's part in the mesh: serves its cluster's feed, follows others, closes its slot, moves the floor. */
export class Mesh {
  readonly feedServer: FeedServer;
  /** What runs from the beginning. */
  readonly jobs: readonly Job[];
  /** What runs once everything is here that the mesh had when this cluster came to it. */
  readonly memberJobs: readonly Job[];
  readonly #deps: MeshDeps;
  readonly #roster: Roster;
  readonly #talk: Talk;
  readonly #following: Following;
  readonly #records: RecordIntake | undefined;
  /** Of a granted mesh. */
  readonly #ownRecord: OwnRecord | undefined;
  #isFilling = false;
  readonly #donorHealth = newHealth();

  constructor(deps: MeshDeps) {
    const { replica, digests, own, clock, signal, log } = deps;
    this.#deps = deps;
    this.#records = deps.ledger === undefined ? undefined : new RecordIntake(deps.ledger);
    this.#roster = new Roster(own, new Peers((query) => replica.list(query), log), replica);
    this.#talk = new Talk(this.#roster, { ...deps, isFilling: () => this.#isFilling });
    const { standing } = this.#talk;
    const isEnded = (): boolean => this.#roster.isRemoved(toHex(own.clusterId)) || this.fault() !== undefined;
    this.#ownRecord = deps.ledger && new OwnRecord({ own, replica, ledger: deps.ledger, isEnded });
    this.feedServer = new FeedServer({
      feed: replica,
      digests,
      own,
      clock,
      signal,
      hear: (from, statement, has) => this.#hearReader(from, statement, has),
      pullsFromAll: (reader) => this.#roster.pullsFromAll(toHex(reader)),
      isMember: (reader) => this.#roster.isNamed(toHex(reader)),
      reach: () => this.#talk.reach(),
      epochEnds: () => this.#roster.epochEnds,
      state: (reach) => this.#talk.state(reach),
    });
    this.#following = new Following({
      ...deps,
      ...this.#talking(),
      links: { link: (record, service) => standing.watched(record.clusterId, deps.links.link(record.address, service)) },
      records: this.#records,
      upstreams: () => this.#roster.upstreams(),
    });
    this.jobs = this.#makeJobs();
    this.memberJobs = this.#makeMemberJobs();
  }

  /** From now on nobody is given anything, until `join` has filled this cluster: who took it for a member's would have as little, and not know. */
  fillFirst(): void {
    this.#isFilling = true;
  }

  /** Fills this cluster from a member; see `bootstrap`. */
  async join(
    donor: HostPort,
    members: Pick<Members, 'joining' | 'joined'>,
    onProgress: (progress: JoinProgress) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const deps = { ...this.#deps, ...this.#talking(), records: this.#records, health: this.#donorHealth };
    await bootstrap(donor, deps, members, onProgress, signal);
    this.#isFilling = false;
  }

  /** Why nothing comes from the donor, at its last try. */
  donorError(): PeerHealth['lastError'] {
    return this.#donorHealth.lastError;
  }

  /** True where the data name this cluster, given in hex, as a member. */
  isMember(clusterId: string): boolean {
    return this.#roster.isMember(clusterId);
  }

  /** The same, whether its record can be read or not. */
  isNamed(clusterId: string): boolean {
    return this.#roster.isNamed(clusterId);
  }

  /** Whether a cluster, given in hex, may repair what is below the floor. */
  standing(clusterId: string): ReplicaStanding {
    return this.#talk.standingOf(clusterId);
  }

  /** Why this cluster takes no part in the mesh. */
  fault(): GkvError | undefined {
    return this.#talk.fault();
  }

  /** The greatest floor that we have or were told of. */
  floor(): Stamp {
    return this.#talk.floor;
  }

  /** Why what is written here would reach no other cluster, ever. */
  ended(): GkvError | undefined {
    return this.#talk.ended();
  }

  /** Why what is here may not be read: deletes are missing. */
  unready(): string | undefined {
    const fault = this.fault();
    return hasCode(fault, 'must_bootstrap') ? `must_bootstrap: ${fault.message}` : undefined;
  }

  /** The one in which a member, in hex, was heard of last; 1 where it was not. */
  incarnationOf(clusterId: string): number {
    return this.#talk.words.of(clusterId)?.incarnation ?? 1;
  }

  /** Why nothing is taken of a cluster, in hex, and nothing given to it. */
  refusalOf(clusterId: string): GkvError | undefined {
    return this.#roster.isRemoved(clusterId) ? peerEnded(clusterId) : undefined;
  }

  /** Members, in hex, that did not say yet that they know of the same members as we do; ourselves, where the data do not say that we are one. */
  behind(): readonly string[] {
    const own = toHex(this.#deps.own.clusterId);
    return this.#roster.isNamed(own) ? this.#talk.notAt(1) : [own];
  }

  /** Whether a member, in hex, answers what we ask of it. */
  answers(clusterId: string): boolean {
    return this.#following.healthOf(clusterId)?.connected ?? false;
  }

  /** How many clusters are not in good standing, ours among them. */
  faults(): number {
    const peers = this.#roster.others().filter(({ clusterId }) => !this.#talk.standing.isGood(toHex(clusterId)));
    return peers.length + (this.fault() === undefined ? 0 : 1);
  }

  /** All that the data name, us among them. */
  records(): readonly PeerRecord[] {
    return this.#roster.records();
  }

  /** Reads the members from the data now, and not only when their time has come. */
  async readMembers(): Promise<void> {
    await this.#roster.read();
    this.#talk.keepMembers();
  }

  view(): Promise<MeshView> {
    return meshView(this.#deps.own, this.#roster, this.#talk, (name) => this.#following.healthOf(name));
  }

  async #hearReader(from: Uint8Array, statement: Statement, has: Frontier): Promise<void> {
    await this.#talk.hear(from, statement, has);
    if (this.#isFilling) throw new GkvError('unavailable', 'this cluster joins the mesh itself, and does not have everything yet');
  }

  /** What is told to others, and heard of them. */
  #talking(): Pick<FollowingDeps, 'state' | 'hear' | 'standing' | 'floor' | 'left'> {
    return {
      state: () => this.#talk.state(),
      hear: (from, statement, has) => this.#talk.hear(from, statement, has),
      standing: (peer) => this.standing(peer),
      floor: () => this.#talk.floor,
      left: (name) => {
        this.#talk.standing.left(name);
      },
    };
  }

  #makeJobs(): Job[] {
    const { replica, times, isShared } = this.#deps;
    const closing = new Closing(replica, times.closingMs);
    return [
      { name: 'members', runsOn: 'each', pauseMs: () => times.membersMs, work: () => this.readMembers() },
      { name: 'closing', runsOn: 'each', pauseMs: () => closing.pauseMs, work: () => closing.close() },
      {
        name: 'free slots',
        runsOn: 'one',
        pauseMs: firstAtOnce(times.closingMs.most),
        work: (store) => closing.closeFree(store, isShared),
      },
    ];
  }

  #makeMemberJobs(): Job[] {
    const { times } = this.#deps;
    const floorMs = Math.min(times.closingMs.most, times.dayMs / 24);
    return [
      { name: 'follow', runsOn: 'one', pauseMs: firstAtOnce(times.membersMs), work: (_store, signal) => this.#follow(signal) },
      { name: 'floor', runsOn: 'one', pauseMs: () => floorMs, work: (_store, signal) => this.#moveFloor(signal) },
    ];
  }

  async #follow(signal: AbortSignal): Promise<void> {
    await this.readMembers();
    await this.#following.run(signal);
  }

  /** Adopts what others know to be the floor, moves it on, and collects what lies below. */
  async #moveFloor(signal: AbortSignal): Promise<void> {
    const { replica, times } = this.#deps;
    const { epoch } = this.#roster;
    const { low } = await this.#talk.lowAndFloor();
    const lows = [low, ...(this.#roster.otherNames() ?? []).map((name) => this.#talk.words.of(name)?.low ?? stampZero)];
    const told = this.#talk.floor;
    // From after all of that: what is below it was here before whoever is being filled by now took anything.
    await this.readMembers();
    if (this.#roster.joining().length === 0 && equalBytes(epoch, this.#roster.epoch)) {
      if (isAboveFloor(low, told)) await replica.raiseFloor(told);
      const floor = floorOf(lows, times.dayMs);
      if (floor !== undefined) await replica.raiseFloor(floor);
    }
    await replica.collect(await replica.floor(), signal);
    // Who may not write one of these may be allowed another.
    const settled = await this.#talk.settledNow();
    const done = await Promise.allSettled([
      joinAgain(this.#roster, replica),
      this.#ownRecord?.claim(),
      removeAgain(this.#roster.overwritten(), replica),
      settle(settled, replica),
    ]);
    const failed = done.find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
  }
}

/** A region that starts lacks what was written meanwhile: it does not wait before it follows. */
function firstAtOnce(pauseMs: number): () => number {
  let nextMs = 0;
  return () => {
    const ms = nextMs;
    nextMs = pauseMs;
    return ms;
  };
}
