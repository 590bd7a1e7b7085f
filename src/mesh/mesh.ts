import { toHex } from '../core/bytes.ts';
import { type Clock, type Log, type Random } from '../core/ports.ts';
import { compareStamps, type Stamp, stampZero } from '../core/stamp.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type Job } from '../replica/jobs.ts';
import { isFree, readLease } from '../replica/lease.ts';
import { type Replica } from '../replica/replica.ts';
import { closeFreeSlots } from '../replica/slot.ts';
import { slotLease } from '../replica/slots.ts';
import { type Store } from '../store/store.ts';
import { type HostPort } from '../core/hostPort.ts';
import { bootstrap, type JoinProgress } from './bootstrap.ts';
import { FeedServer } from './feedServer.ts';
import { floorOf, isAboveFloor, isPlausibleFloor } from './floor.ts';
import { Following } from './following.ts';
import { type PeerHealth } from './health.ts';
import { type PeerIdentity } from './identity.ts';
import { Peers, type Members, type PeerRecord } from './peers.ts';
import { type Links, type OwnCluster } from './ports.ts';
import { type Statement } from './statement.ts';
import { Words } from './words.ts';

/** How often things are done; what a simulation or a test may shorten. */
export interface MeshTimes {
  /** A reader waits this long for changes at its upstream. */
  readonly waitMs: number;
  /** Members are read from the data this often. */
  readonly membersMs: number;
  /** Between two exchanges with one upstream, give or take a quarter. */
  readonly repairMs: number;
  /** An idle slot closes the present after so long at first, and after so long at the most. */
  readonly closingMs: { readonly least: number; readonly most: number };
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

/** So old may the low and the floor be that we tell others. */
const statedMsMax = 500;

/** Told what happens, for metrics. */
export interface MeshObserver {
  page(page: { readonly writes: number; readonly lagMs: number }): void;
}

export interface MeshDeps {
  readonly store: Store;
  readonly digests: MeshDigests;
  readonly own: OwnCluster;
  readonly replica: Replica;
  readonly links: Links;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly observer: MeshObserver;
  readonly times: MeshTimes;
  /** Other processes serve from this store too. */
  readonly isShared: boolean;
  /** Ends waiting for changes. */
  readonly signal: AbortSignal;
}

/** A member as the data and its own words describe it. */
export interface MemberView {
  readonly record: PeerRecord;
  /** Up to where it has everything; undefined: nothing was heard of it yet. */
  readonly low: Stamp | undefined;
  /** Undefined where this instance does not follow it: another one does, or nobody. */
  readonly health: PeerHealth | undefined;
}

export interface MeshView {
  readonly members: readonly MemberView[];
  /** Members whose records cannot be read: they hold the floor back all the same. */
  readonly unreadable: readonly { readonly clusterId: Uint8Array; readonly low: Stamp | undefined }[];
  readonly low: Stamp;
  readonly floor: Stamp;
}

/** One instance's part in the mesh: serves its cluster's feed, follows others, closes its slot, moves the floor. */
export class Mesh {
  readonly feedServer: FeedServer;
  /** What runs from the beginning. */
  readonly jobs: readonly Job[];
  /** What runs once everything is here that the mesh had when this cluster came to it. */
  readonly memberJobs: readonly Job[];
  readonly #deps: MeshDeps;
  readonly #words: Words;
  readonly #peers: Peers;
  readonly #following: Following;
  /** What is told to other members, and heard of them. */
  readonly #talk = {
    state: (): Promise<Statement> => this.#state(),
    hear: (_from: Uint8Array, statement: Statement): void => {
      this.#hear(statement);
    },
  };
  /** Undefined until they were read. */
  #members: Members | undefined;
  #floorHeard: Stamp = stampZero;
  #lastClosing: Stamp = stampZero;
  #closingMs: number;
  /** `atMs` by the monotonic clock. */
  #stated: { readonly low: Stamp; readonly floor: Stamp; readonly atMs: number } | undefined;

  constructor(deps: MeshDeps) {
    const { replica, digests, own, clock, signal, times, log } = deps;
    this.#deps = deps;
    this.#words = new Words(own);
    this.#peers = new Peers((query) => replica.list(query), log);
    this.#closingMs = times.closingMs.least;
    this.feedServer = new FeedServer({ feed: replica, digests, own, clock, signal, ...this.#talk });
    this.#following = new Following({ ...deps, ...this.#talk, upstreams: () => this.#upstreams() });
    this.jobs = this.#makeJobs();
    this.memberJobs = this.#makeMemberJobs();
  }

  /** Fills this cluster from a member; see `bootstrap`. */
  async join(
    donor: HostPort,
    announce: (donor: PeerIdentity) => Promise<void>,
    onProgress: (progress: JoinProgress) => void,
    signal: AbortSignal,
  ): Promise<void> {
    await bootstrap(donor, { ...this.#deps, ...this.#talk }, announce, onProgress, signal);
  }

  /** True where the data name this cluster, given in hex, as a member. */
  isMember(clusterId: string): boolean {
    return this.records().some((record) => toHex(record.clusterId) === clusterId);
  }

  /** All that the data name, us among them. */
  records(): readonly PeerRecord[] {
    return this.#members?.records ?? [];
  }

  /** Reads the members from the data now, and not only when their time has come. */
  async readMembers(): Promise<void> {
    this.#members = await this.#peers.read();
    this.#words.keep((name) => this.#isNamed(name));
  }

  async view(): Promise<MeshView> {
    const { low, floor } = await this.#lowAndFloor();
    const members = this.#others().map((record) => {
      const name = toHex(record.clusterId);
      return { record, low: this.#words.of(name)?.low, health: this.#following.healthOf(name) };
    });
    const unreadable = (this.#members?.unreadable ?? []).map((name) => {
      return { clusterId: Buffer.from(name, 'hex'), low: this.#words.of(name)?.low };
    });
    return { members, unreadable, low, floor };
  }

  #makeJobs(): Job[] {
    const { times, isShared } = this.#deps;
    return [
      { name: 'members', runsOn: 'each', pauseMs: () => times.membersMs, work: () => this.readMembers() },
      { name: 'closing', runsOn: 'each', pauseMs: () => this.#closingMs, work: () => this.#close() },
      { name: 'free slots', runsOn: 'one', pauseMs: () => times.closingMs.most, work: (store) => this.#closeFree(store, isShared) },
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

  /** Members that are not us. */
  #others(): PeerRecord[] {
    return this.records().filter((record) => toHex(record.clusterId) !== toHex(this.#deps.own.clusterId));
  }

  /** Those that we pull from: all, unless our own record names some. */
  #upstreams(): PeerRecord[] {
    const own = this.records().find((record) => toHex(record.clusterId) === toHex(this.#deps.own.clusterId));
    const named = own?.upstreams?.map((name) => name.replaceAll('-', ''));
    return this.#others().filter(({ clusterId }) => named === undefined || named.includes(toHex(clusterId)));
  }

  #hear(statement: Statement): void {
    const { times, clock } = this.#deps;
    this.#words.hear(statement, (name) => this.#isNamed(name));
    const { floor } = statement;
    if (isPlausibleFloor(floor, times.dayMs, clock.now()) && compareStamps(floor, this.#floorHeard) > 0) this.#floorHeard = floor;
  }

  /** True for a member, given in hex, whether its record can be read or not. */
  #isNamed(clusterId: string): boolean {
    return this.isMember(clusterId) || this.#members?.unreadable.includes(clusterId) === true;
  }

  /** All members that are not us, in hex; undefined until they were read. */
  #otherNames(): string[] | undefined {
    if (this.#members === undefined) return undefined;
    const { records, unreadable } = this.#members;
    const names = [...records.map(({ clusterId }) => toHex(clusterId)), ...unreadable];
    return names.filter((name) => name !== toHex(this.#deps.own.clusterId));
  }

  /** `low` is zero while members are not known, or nothing was heard of one of them. */
  async #lowAndFloor(): Promise<{ low: Stamp; floor: Stamp }> {
    const { replica } = this.#deps;
    const [frontier, floor] = await Promise.all([replica.frontier(), replica.floor()]);
    const others = this.#otherNames();
    return { low: (others === undefined ? undefined : this.#words.lowOf(frontier, others)) ?? stampZero, floor };
  }

  /**
   * Goes with every request and answer of a feed. Low and floor only grow and serve the floor, which moves in steps of minutes: they may be
   * a little old, and are not read from the store for each page.
   */
  async #state(): Promise<Statement> {
    const { clock, times } = this.#deps;
    const nowMs = clock.monotonic();
    let stated = this.#stated;
    if (stated === undefined || nowMs - stated.atMs >= Math.min(statedMsMax, times.dayMs / 100)) {
      stated = { ...(await this.#lowAndFloor()), atMs: nowMs };
      this.#stated = stated;
    }
    return { wallMs: clock.now(), floor: stated.floor, members: this.#words.all(stated.low) };
  }

  /** An idle slot closes less and less often: who waits for it to be covered waits for nothing then. */
  async #close(): Promise<void> {
    const { replica, times } = this.#deps;
    const isIdle = compareStamps(replica.hlc.last, this.#lastClosing) === 0;
    this.#closingMs = isIdle ? Math.min(times.closingMs.most, this.#closingMs * 2) : times.closingMs.least;
    this.#lastClosing = await replica.closePresent();
  }

  async #closeFree(store: Store, isShared: boolean): Promise<void> {
    const { replica } = this.#deps;
    const own = replica.slot;
    await store.transact((tx) =>
      closeFreeSlots(tx, replica.hlc.next(), async (slot) => (isShared ? isFree(await readLease(tx, slotLease(slot))) : slot !== own)),
    );
  }

  /** Adopts what others know to be the floor, moves it on, and collects what lies below. */
  async #moveFloor(signal: AbortSignal): Promise<void> {
    const { replica, log, times } = this.#deps;
    const { low } = await this.#lowAndFloor();
    const heard = this.#floorHeard;
    const isKnown = compareStamps(low, stampZero) > 0; // not while there is a member of which nothing is here yet
    if (isAboveFloor(low, heard)) await replica.raiseFloor(heard);
    else if (isKnown)
      log.error(
        {},
        'the floor of the mesh is above what this cluster has: it was away for too long, and must be started anew from an empty store',
      );
    const lows = [low, ...(this.#otherNames() ?? []).map((name) => this.#words.of(name)?.low ?? stampZero)];
    const floor = floorOf(lows, times.dayMs);
    if (floor !== undefined) await replica.raiseFloor(floor);
    await replica.collect(await replica.floor(), signal);
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
