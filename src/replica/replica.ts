import { assert, GkvError, hasCode } from '../core/errors.ts';
import { clusterPartOf, type ClusterPart, type Frontier } from '../core/frontier.ts';
import { type Head } from '../core/entry.ts';
import { type Key } from '../core/key.ts';
import { limits } from '../core/limits.ts';
import { type Clock, type Log } from '../core/ports.ts';
import { makeStamp, stampZero, type InstanceId, type Stamp } from '../core/stamp.ts';
import { type GrantId } from '../core/write.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { feedTailKey } from '../store/keyspace.ts';
import { type Store } from '../store/store.ts';
import { HybridClock } from './clock.ts';
import { collectBelow } from './collect.ts';
import { CoverWaits } from './coverWaits.ts';
import { collectionFollower } from './derived.ts';
import { readCursor, type FeedCursor } from './cursor.ts';
import { endPeer, readEnded, readReached, type Removal } from './ended.ts';
import { feedFollower } from './feed.ts';
import { readFeedPage, readGrantedPage, type FeedPage, type PageOptions } from './feedPage.ts';
import { raiseFloor, readFloor } from './floor.ts';
import { readFrontier } from './frontier.ts';
import { type Follower } from './follower.ts';
import { lineageOf, type Lineage } from './lineage.ts';
import { Ingest, type CommitObserver } from './ingest.ts';
import { type Guard, type LeafChain } from './guard.ts';
import { countLapsed, readLapse } from './lapsed.ts';
import { readParkedCount, type ParkedCount } from './park.ts';
import {
  bytesOfSubmission,
  partsOfWrites,
  segmentsOfSubmission,
  type FeedMove,
  type ReceivedWrite,
  type Standing,
  type Submission,
  type WriteOp,
  type WriteOutcome,
} from './proposal.ts';
import { Reader, type ListQuery, type ListResult, type ReadResult } from './read.ts';
import { refusedByError } from './refused.ts';
import { type OwnSubmission } from './results.ts';
import { type BatchResult } from './slot.ts';
import { type HeldSlot, type SlotSource } from './slots.ts';
import { Prover, type SignedStatement } from './signed.ts';
import { Sweeper } from './sweep.ts';
import { WaitingWrites, type GivenUp } from './waiting.ts';

export interface ReplicaDeps {
  readonly store: Store;
  readonly digests: MeshDigests;
  /** The instance that commits under a slot of this cluster. */
  readonly instanceOf: (slot: number) => InstanceId;
  readonly slots: SlotSource;
  readonly clock: Clock;
  readonly log: Log;
  /** What else is derived from entries in their own transaction; the tree. */
  readonly followers: readonly Follower[];
  readonly feedPartitions: 1 | 16;
  readonly observer: CommitObserver;
  /** Of a granted mesh: judges every write, and signs what is made here. Left out: an open one. */
  readonly guard?: Guard | undefined;
}

/** What a look at a mesh's authority changed: writes that were judged, keys that were swept, and writes that were given up. */
export interface Settled {
  readonly judged: number;
  readonly swept: number;
  readonly givenUp: GivenUp;
}

/** One instance's hold on its cluster's data: writes through the one way in, reads, parked writes. */
export class Replica {
  readonly hlc: HybridClock;
  readonly #deps: ReplicaDeps;
  readonly #ingest: Ingest;
  readonly #reader: Reader;
  readonly #coverWaits: CoverWaits;
  readonly #own: ClusterPart;
  readonly #waiting: WaitingWrites;
  readonly #sweeper: Sweeper;
  readonly #followers: readonly Follower[];
  /** Of a granted mesh. */
  readonly #prover: Prover | undefined;

  private constructor(deps: ReplicaDeps, hlc: HybridClock, followers: readonly Follower[], held: HeldSlot) {
    const { store, digests, clock, log, observer, slots, instanceOf, guard } = deps;
    assert((guard !== undefined) === (digests.kind === 'granted'), 'a granted mesh has a guard, and no other');
    this.#deps = deps;
    this.hlc = hlc;
    this.#followers = followers;
    this.#prover = guard === undefined ? undefined : new Prover(guard, digests, clock);
    this.#reader = new Reader(store, clock, guard);
    this.#coverWaits = new CoverWaits({ store, clock, frontier: () => this.frontier() });
    this.#own = clusterPartOf(makeStamp(0, 0, instanceOf(held.slot)));
    this.#ingest = new Ingest({ store, slots, instanceOf, own: this.#own, digests, hlc, clock, log, followers, observer, guard }, held);
    this.#sweeper = new Sweeper({ store, guard, followers, clock });
    this.#waiting = new WaitingWrites({ store, clock, digests, guard, receive: (writes, peer) => this.#retry(writes, peer) });
  }

  /** Takes a slot, and starts above everything that was committed under it. */
  static async open(deps: ReplicaDeps): Promise<Replica> {
    const held = await deps.slots.take();
    const hlc = new HybridClock(deps.clock, deps.instanceOf(held.slot));
    hlc.observe(held.record.closed);
    const followers = [feedFollower(deps.feedPartitions), collectionFollower, ...deps.followers];
    return new Replica(deps, hlc, followers, held);
  }

  /** Answers every write that waits with `unavailable`: the store is away. */
  refuseWaiting(): void {
    this.#ingest.refuseWaiting();
  }

  /** The slot that it commits under now. */
  get slot(): number {
    return this.#ingest.slot;
  }

  get(key: Key): Promise<ReadResult> {
    return this.#reader.get(key);
  }

  candidates(key: Key): Promise<readonly Head[]> {
    return this.#reader.candidates(key);
  }

  /** What a candidate rests on, by what is known now; undefined in an open mesh. */
  chainOf(leaf: GrantId): LeafChain | undefined {
    return this.#deps.guard?.chainOf(leaf);
  }

  list(query: ListQuery): Promise<ListResult> {
    return this.#reader.list(query);
  }

  /** Whether clients may sign their writes: in a granted mesh. */
  get takesSigned(): boolean {
    return this.#deps.guard !== undefined;
  }

  /** All or nothing. Resolves once durable. Errors: `too_large`, `version_mismatch`, `unavailable`, `disk_full`. */
  async write(ops: readonly WriteOp[]): Promise<readonly WriteOutcome[]> {
    const results = await this.#submitOwn({ kind: 'local', ops }, ops.length);
    return results.map(({ status, stamp }) => ({ version: stamp, accepted: stamp, applied: status === 'applied' }));
  }

  /**
   * Takes in what clients have signed: all or nothing. Resolves once durable. `applied` is false where a greater write is seen in its place, and where
   * it was here before: then `accepted` is that of the first time. Errors: `mesh_mismatch` in an open mesh; those of `Prover`; `below_floor`; as of
   * `write`.
   */
  async writeSigned(statements: readonly SignedStatement[]): Promise<readonly WriteOutcome[]> {
    if (this.#prover === undefined)
      throw new GkvError('mesh_mismatch', 'this mesh is open: nobody holds a grant of it, and writes are not signed. Send key and value');
    const writes = await this.#prover.prove(statements).catch((error: unknown) => {
      const keys = statements.map(({ body }) => body.key);
      this.#deps.observer.refused(refusedByError(error, keys, 'signed'));
      throw error;
    });
    const results = await this.#submitOwn({ kind: 'signed', writes }, writes.length);
    return writes.map(({ write: { version } }, i) => {
      const result = results[i];
      assert(result !== undefined, 'a write has a result');
      return { version, accepted: result.stamp, applied: result.status === 'applied' };
    });
  }

  /**
   * Takes in what a peer sent, at most 500 writes a call. `peer` is the sending cluster's id, `asOf` the floor that it had when it read the writes, or that
   * we had when we asked for them.
   */
  receive(
    writes: readonly ReceivedWrite[],
    peer: string,
    standing: Standing = 'plain',
    asOf: Stamp = stampZero,
  ): Promise<readonly BatchResult[]> {
    if (writes.length > limits.commitWritesMax) {
      return Promise.reject(new GkvError('too_large', `${writes.length} writes at once: at most ${limits.commitWritesMax} are allowed`));
    }
    const parts = partsOfWrites(writes).map((part) => this.#submit({ kind: 'received', writes: part, peer, standing, asOf }));
    return Promise.all(parts).then((results) => results.flat());
  }

  /** What waited, as much as one commit takes. It goes on waiting where it must, whatever room there is: it takes some already. */
  #retry(writes: readonly ReceivedWrite[], peer: string): Promise<readonly BatchResult[]> {
    const waited = { kind: 'received', peer, standing: 'plain', asOf: stampZero, hasWaited: true } as const;
    return this.#submit({ ...waited, writes });
  }

  #submitOwn(submission: OwnSubmission, count: number): Promise<readonly BatchResult[]> {
    const tooLarge = (what: string, max: number): Promise<never> =>
      Promise.reject(new GkvError('too_large', `${what}: at most ${max} are allowed`));
    if (count > limits.batchOpsMax) return tooLarge(`${count} operations`, limits.batchOpsMax);
    const bytes = bytesOfSubmission(submission);
    if (bytes > limits.writeBytesMax) return tooLarge(`operations of ${bytes} bytes`, limits.writeBytesMax);
    const segments = this.#deps.guard === undefined ? 0 : segmentsOfSubmission(submission);
    if (segments > limits.batchSegmentsMax) return tooLarge(`keys of ${segments} segments`, limits.batchSegmentsMax);
    return this.#ingest.submit(submission);
  }

  /** In a granted mesh, once the signatures were looked at. What is too large for one commit, as its keys have large entries, goes in halves. */
  async #submit(submission: Extract<Submission, { kind: 'received' }>): Promise<readonly BatchResult[]> {
    const { guard } = this.#deps;
    const { writes } = submission;
    const proofs = guard === undefined ? undefined : await guard.prove(writes);
    try {
      return await this.#ingest.submit(proofs === undefined ? submission : { ...submission, proofs });
    } catch (error) {
      if (writes.length < 2 || !hasCode(error, 'transaction_too_large')) throw error;
      const half = writes.length >> 1;
      const { move, ...staying } = submission;
      const first = await this.#submit({ ...staying, writes: writes.slice(0, half) });
      const second = { ...staying, writes: writes.slice(half) };
      return [...first, ...(await this.#submit(move === undefined ? second : { ...second, move }))]; // the place moves at last
    }
  }

  /**
   * Takes a page of a peer's feed in, and moves our place in that feed. Resolves with the results of the writes, and whether the place was
   * moved: it is not where somebody else has moved it in the meantime.
   */
  async receivePage(
    writes: readonly ReceivedWrite[],
    peer: string,
    move: FeedMove,
  ): Promise<{ results: readonly BatchResult[]; isMoved: boolean }> {
    const parts = partsOfWrites(writes);
    const last = parts.pop() ?? [];
    const results: BatchResult[] = [];
    // The place moves with the last part, once all before it are committed.
    for (const part of parts)
      results.push(...(await this.#submit({ kind: 'received', writes: part, peer, standing: 'plain', asOf: stampZero })));
    results.push(...(await this.#submit({ kind: 'received', writes: last, peer, standing: 'plain', asOf: stampZero, move })));
    return { isMoved: results.pop()?.status === 'applied', results };
  }

  /**
   * What comes behind a place in our feed, without what the reader's frontier covers, and within `scope`, if that is given; in a granted mesh, what the reader lacks of our ledger first,
   * behind `recordsAfter`.
   */
  feedPage(after: Uint8Array, covered: Frontier, { recordsAfter, ...options }: PageOptions = {}): Promise<FeedPage> {
    const { store, feedPartitions } = this.#deps;
    const source = { own: this.#own, partitions: feedPartitions };
    const leftOut = { covered, ...options };
    if (recordsAfter === undefined) return store.read((snapshot) => readFeedPage(snapshot, source, after, leftOut));
    return store.read((snapshot) => readGrantedPage(snapshot, source, after, { ...leftOut, recordsAfter }));
  }

  /** Resolves when there may be more in our feed, late or for no reason; at once when the signal aborts. */
  feedChange(signal: AbortSignal): Promise<void> {
    return this.#deps.store.watch(feedTailKey, signal);
  }

  frontier(): Promise<Frontier> {
    return this.#deps.store.read((snapshot) => readFrontier(snapshot, this.#own));
  }

  lineage(): Promise<Lineage> {
    return this.#deps.store.read(lineageOf);
  }

  /** From now on nothing that these clusters send is taken in, by no instance of ours. For good. */
  async end(removals: readonly Removal[]): Promise<void> {
    await this.#deps.store.transact(async (tx) => {
      for (const removal of removals) await endPeer(tx, removal);
    });
  }

  /** Clusters of which nothing is taken in any more. */
  ended(): Promise<readonly Removal[]> {
    return this.#deps.store.read(readEnded);
  }

  /** Of members, in hex, the epoch, in hex, at which all that they had is here. */
  reached(): Promise<ReadonlyMap<string, string>> {
    return this.#deps.store.read(readReached);
  }

  cursor(peerId: Uint8Array): Promise<FeedCursor | undefined> {
    return this.#deps.store.read((snapshot) => readCursor(snapshot, peerId));
  }

  /** False when what was accepted under the stamp, here or elsewhere, is not here after `msMax`. */
  waitFor(accepted: Stamp, msMax: number, signal: AbortSignal): Promise<boolean> {
    return this.#coverWaits.wait(accepted, msMax, signal);
  }

  /** Closes the present of our slot: nothing at or below the stamp given back will come from it any more. */
  async closePresent(): Promise<Stamp> {
    const [result] = await this.#ingest.submit({ kind: 'closing' });
    assert(result !== undefined, 'a closing has a result');
    return result.stamp;
  }

  /** Takes in the parked writes that have come due. Returns how many. */
  retryParked(): Promise<number> {
    return this.#waiting.retryParked();
  }

  /**
   * What follows from new records in a granted mesh: what waited for them is judged, or given up where it waited for too long or takes others' room, and
   * what lost its authority is taken away.
   */
  async settleAuthority(signal: AbortSignal): Promise<Settled> {
    const { guard } = this.#deps;
    if (guard === undefined) return { judged: 0, swept: 0, givenUp: new Map() };
    await guard.refresh();
    const relieved = await this.#waiting.relieve();
    const { judged, givenUp } = await this.#waiting.retryUnproven();
    return { judged, givenUp: new Map([...relieved, ...givenUp]), swept: await this.#sweeper.run(signal) };
  }

  /** Takes in the writes whose authority is known by now, or finally refuses them. Returns how many. */
  async retryUnproven(): Promise<number> {
    return (await this.#waiting.retryUnproven()).judged;
  }

  /** Of a peer, in hex, that has lapsed, its mark; undefined: what it claims holds. */
  lapse(peer: string): Promise<Uint8Array | undefined> {
    const { store, guard } = this.#deps;
    return guard === undefined ? Promise.resolve(undefined) : store.read((snapshot) => readLapse(snapshot, peer));
  }

  /** Peers that have lapsed: some of what they sent was given up, and no exchange has made it good yet. */
  lapsedCount(): Promise<number> {
    return this.#deps.store.read(countLapsed);
  }

  parkedCount(): Promise<ParkedCount> {
    return this.#deps.store.read(readParkedCount);
  }

  floor(): Promise<Stamp> {
    return this.#deps.store.read(readFloor);
  }

  /** Raises the floor, where it is lower. True where it was. */
  raiseFloor(floor: Stamp): Promise<boolean> {
    return this.#deps.store.transact((tx) => raiseFloor(tx, floor));
  }

  /** Takes away what `floor` removes. Returns of how many keys. */
  collect(floor: Stamp, signal: AbortSignal): Promise<number> {
    const { store, guard } = this.#deps;
    return collectBelow({ store, guard, followers: this.#followers }, floor, signal);
  }

  /** Commits what waits, and refuses what comes. */
  close(): Promise<void> {
    return this.#ingest.close();
  }
}
