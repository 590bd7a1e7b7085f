import { assert, GkvError, hasCode } from '../core/errors.ts';
import { clusterPartOf, type ClusterPart, type Frontier } from '../core/frontier.ts';
import { type Head } from '../core/entry.ts';
import { type Key } from '../core/key.ts';
import { limits } from '../core/limits.ts';
import { type Clock, type Log } from '../core/ports.ts';
import { makeStamp, physicalMsOf, stampZero, type InstanceId, type Stamp } from '../core/stamp.ts';
import { type GrantId } from '../core/write.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type Store } from '../store/store.ts';
import { HybridClock } from './clock.ts';
import { collectBelow } from './collect.ts';
import { CoverWaits } from './coverWaits.ts';
import { collectionFollower } from './derived.ts';
import { readCursor, type FeedCursor } from './cursor.ts';
import { endPeer, readReached } from './ended.ts';
import { feedFollower, feedTailKey } from './feed.ts';
import { readFeedPage, readGrantedPage, type FeedPage } from './feedPage.ts';
import { raiseFloor, readFloor } from './floor.ts';
import { readFrontier } from './frontier.ts';
import { type Follower } from './follower.ts';
import { lineageOf, type Lineage } from './lineage.ts';
import { Ingest, type CommitObserver } from './ingest.ts';
import { type Guard, type LeafChain } from './guard.ts';
import { clearWaiting, listParked, readParkedCount } from './park.ts';
import {
  bytesOfSubmission,
  partsOfWrites,
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
import { sweepEnded } from './sweep.ts';
import { listUnproven } from './unproven.ts';

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

/** One instance's hold on its cluster's data: writes through the one way in, reads, parked writes. */
export class Replica {
  readonly hlc: HybridClock;
  readonly #deps: ReplicaDeps;
  readonly #ingest: Ingest;
  readonly #reader: Reader;
  readonly #coverWaits: CoverWaits;
  readonly #own: ClusterPart;
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

  #submitOwn(submission: OwnSubmission, count: number): Promise<readonly BatchResult[]> {
    const tooLarge = (what: string, max: number): Promise<never> =>
      Promise.reject(new GkvError('too_large', `${what}: at most ${max} are allowed`));
    if (count > limits.batchOpsMax) return tooLarge(`${count} operations`, limits.batchOpsMax);
    const bytes = bytesOfSubmission(submission);
    if (bytes > limits.writeBytesMax) return tooLarge(`operations of ${bytes} bytes`, limits.writeBytesMax);
    return this.#ingest.submit(submission);
  }

  /** In a granted mesh, once the signatures were looked at. */
  #submit(submission: Extract<Submission, { kind: 'received' }>): Promise<readonly BatchResult[]> {
    const { guard } = this.#deps;
    if (guard === undefined) return this.#ingest.submit(submission);
    return Promise.all(submission.writes.map((received) => guard.prove(received))).then((proofs) =>
      this.#ingest.submit({ ...submission, proofs }),
    );
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
   * What comes behind a place in our feed, without what the reader's frontier covers; in a granted mesh, what the reader lacks of our ledger first,
   * behind `recordsAfter`.
   */
  feedPage(after: Uint8Array, covered: Frontier, recordsAfter?: number): Promise<FeedPage> {
    const { store, feedPartitions } = this.#deps;
    const source = { own: this.#own, partitions: feedPartitions };
    if (recordsAfter === undefined) return store.read((snapshot) => readFeedPage(snapshot, source, after, covered));
    return store.read((snapshot) => readGrantedPage(snapshot, source, after, covered, recordsAfter));
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
  async end(clusterIds: readonly Uint8Array[]): Promise<void> {
    await this.#deps.store.transact(async (tx) => {
      for (const clusterId of clusterIds) await endPeer(tx, clusterId);
    });
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
  async retryParked(): Promise<number> {
    const { store, clock, digests } = this.#deps;
    const latestMs = clock.now() + limits.futureMsMax;
    const parked = await store.read((snapshot) => listParked(snapshot, digests, limits.commitWritesMax));
    const due = parked.filter(
      ({ received }) => physicalMsOf(received.write.version) <= latestMs && physicalMsOf(received.accepted) <= latestMs,
    );
    let taken = 0;
    for (const peer of new Set(due.map((each) => each.peer))) {
      const ofPeer = due.filter((each) => each.peer === peer);
      const results = await this.#receiveDue(ofPeer, peer);
      if (results === undefined) continue;
      const settled = ofPeer.filter((_, i) => results[i]?.status !== 'parked'); // the wall clock may have gone back in the meantime
      await store.transact((tx) => clearWaiting(tx, settled));
      taken += settled.length;
    }
    return taken;
  }

  /** What follows from new records in a granted mesh: what waited for them is judged, and what lost its authority taken away. */
  async settleAuthority(signal: AbortSignal): Promise<{ readonly judged: number; readonly swept: number }> {
    const { store, guard } = this.#deps;
    if (guard === undefined) return { judged: 0, swept: 0 };
    await guard.refresh();
    const judged = await this.retryUnproven();
    return { judged, swept: await sweepEnded(store, guard, this.#followers, signal) };
  }

  /** Takes in the writes whose authority is known by now, or finally refuses them. Returns how many. */
  async retryUnproven(): Promise<number> {
    const { store, digests, guard } = this.#deps;
    let settled = 0;
    for (let after: Uint8Array | undefined; guard !== undefined;) {
      const from = after;
      const page = await store.read((snapshot) => listUnproven(snapshot, digests, from, limits.commitWritesMax));
      const proofs = await Promise.all(page.map(({ received }) => guard.prove(received)));
      const known = page.filter((_, i) => proofs[i] !== 'grant unknown');
      for (const peer of new Set(known.map((each) => each.peer))) {
        const ofPeer = known.filter((each) => each.peer === peer);
        await this.#receiveParked(ofPeer, peer);
        await store.transact((tx) => clearWaiting(tx, ofPeer));
        settled += ofPeer.length;
      }
      after = page.at(-1)?.row;
      if (page.length < limits.commitWritesMax) break;
    }
    return settled;
  }

  /** Undefined where those of this peer have no room to wait for their grants: others do not wait for it. */
  async #receiveDue(parked: readonly { readonly received: ReceivedWrite }[], peer: string): Promise<readonly BatchResult[] | undefined> {
    try {
      return await this.#receiveParked(parked, peer);
    } catch (error) {
      if (this.#deps.guard !== undefined && hasCode(error, 'unavailable')) return undefined;
      throw error;
    }
  }

  /** Of a peer that was removed in the meantime nothing is taken in, and nothing kept. */
  async #receiveParked(parked: readonly { readonly received: ReceivedWrite }[], peer: string): Promise<readonly BatchResult[]> {
    try {
      return await this.receive(
        parked.map(({ received }) => received),
        peer,
      );
    } catch (error) {
      if (hasCode(error, 'must_bootstrap')) return [];
      throw error;
    }
  }

  parkedCount(): Promise<{ writes: number; bytes: number }> {
    return this.#deps.store.read(readParkedCount);
  }

  floor(): Promise<Stamp> {
    return this.#deps.store.read(readFloor);
  }

  /** Raises the floor, where it is lower. True where it was. */
  raiseFloor(floor: Stamp): Promise<boolean> {
    return this.#deps.store.transact((tx) => raiseFloor(tx, floor));
  }

  /** Takes tombstones and expired writes below `floor` away. Returns how many. */
  collect(floor: Stamp, signal: AbortSignal): Promise<number> {
    return collectBelow(this.#deps.store, floor, this.#followers, signal);
  }

  /** Commits what waits, and refuses what comes. */
  close(): Promise<void> {
    return this.#ingest.close();
  }
}
