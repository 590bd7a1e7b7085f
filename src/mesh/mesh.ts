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
import { FeedServer } from './feedServer.ts';
import { floorOf, isAboveFloor } from './floor.ts';
import { Following } from './following.ts';
import { type PeerHealth } from './health.ts';
import { Peers, type PeerRecord } from './peers.ts';
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
  readonly low: Stamp;
  readonly floor: Stamp;
}

/** One instance's part in the mesh: serves its cluster's feed, follows others, closes its slot, moves the floor. */
export class Mesh {
  readonly feedServer: FeedServer;
  readonly jobs: readonly Job[];
  readonly #deps: MeshDeps;
  readonly #words: Words;
  readonly #peers: Peers;
  readonly #following: Following;
  #records: readonly PeerRecord[] = [];
  #floorHeard: Stamp = stampZero;
  #lastClosing: Stamp = stampZero;
  #closingMs: number;

  constructor(deps: MeshDeps) {
    const { replica, digests, own, clock, signal, times, log } = deps;
    this.#deps = deps;
    this.#words = new Words(own);
    this.#peers = new Peers((query) => replica.list(query), log);
    this.#closingMs = times.closingMs.least;
    const state = (): Promise<Statement> => this.#state();
    const hear = (_from: Uint8Array, statement: Statement): void => {
      this.#hear(statement);
    };
    this.feedServer = new FeedServer({ feed: replica, digests, own, clock, signal, hear, state });
    this.#following = new Following({ ...deps, state, hear, upstreams: () => this.#upstreams() });
    this.jobs = this.#makeJobs();
  }

  /** True where the data name this cluster, given in hex, as a member. */
  isMember(clusterId: string): boolean {
    return this.#records.some((record) => toHex(record.clusterId) === clusterId);
  }

  /** All that the data name, us among them. */
  records(): readonly PeerRecord[] {
    return this.#records;
  }

  async view(): Promise<MeshView> {
    const { low, floor } = await this.#lowAndFloor();
    const members = this.#others().map((record) => {
      const name = toHex(record.clusterId);
      return { record, low: this.#words.of(name)?.low, health: this.#following.healthOf(name) };
    });
    return { members, low, floor };
  }

  #makeJobs(): Job[] {
    const { times, isShared } = this.#deps;
    const job = (name: string, runsOn: Job['runsOn'], pauseMs: () => number, work: Job['work']): Job => ({ name, runsOn, pauseMs, work });
    return [
      job(
        'members',
        'each',
        () => times.membersMs,
        async () => {
          this.#records = await this.#peers.read();
        },
      ),
      job('follow', 'one', firstAtOnce(times.membersMs), async (_store, signal) => {
        this.#records = await this.#peers.read();
        await this.#following.run(signal);
      }),
      job(
        'closing',
        'each',
        () => this.#closingMs,
        () => this.#close(),
      ),
      job(
        'free slots',
        'one',
        () => times.closingMs.most,
        (store) => this.#closeFree(store, isShared),
      ),
      job(
        'floor',
        'one',
        () => Math.min(times.closingMs.most, times.dayMs / 24),
        (_store, signal) => this.#moveFloor(signal),
      ),
    ];
  }

  /** Members that are not us. */
  #others(): PeerRecord[] {
    return this.#records.filter((record) => toHex(record.clusterId) !== toHex(this.#deps.own.clusterId));
  }

  /** Those that we pull from: all, unless our own record names some. */
  #upstreams(): PeerRecord[] {
    const own = this.#records.find((record) => toHex(record.clusterId) === toHex(this.#deps.own.clusterId));
    const named = own?.upstreams?.map((name) => name.replaceAll('-', ''));
    return this.#others().filter(({ clusterId }) => named === undefined || named.includes(toHex(clusterId)));
  }

  #hear(statement: Statement): void {
    this.#words.hear(statement);
    if (compareStamps(statement.floor, this.#floorHeard) > 0) this.#floorHeard = statement.floor;
  }

  async #lowAndFloor(): Promise<{ low: Stamp; floor: Stamp }> {
    const { replica } = this.#deps;
    const [frontier, floor] = await Promise.all([replica.frontier(), replica.floor()]);
    const others = this.#others().map(({ clusterId }) => toHex(clusterId));
    return { low: this.#words.lowOf(frontier, others) ?? stampZero, floor };
  }

  async #state(): Promise<Statement> {
    const { low, floor } = await this.#lowAndFloor();
    return { wallMs: this.#deps.clock.now(), floor, members: this.#words.all(low) };
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
    if (isAboveFloor(low, heard)) await replica.raiseFloor(heard);
    else
      log.error(
        {},
        'the floor of the mesh is above what this cluster has: it was away for too long, and must be started anew from an empty store',
      );
    const lows = [low, ...this.#others().map(({ clusterId }) => this.#words.of(toHex(clusterId))?.low ?? stampZero)];
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
