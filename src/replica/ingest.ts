import { GkvError, hasCode } from '../core/errors.ts';
import { type ClusterPart } from '../core/frontier.ts';
import { limits } from '../core/limits.ts';
import { type Clock, type Log } from '../core/ports.ts';
import { physicalMsOf, stampZero, type InstanceId } from '../core/stamp.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type Store, type Transaction } from '../store/store.ts';
import { decideBatch, readEntries } from './batch.ts';
import { applyChanges } from './change.ts';
import { type HybridClock } from './clock.ts';
import { readFloor } from './floor.ts';
import { type Follower } from './follower.ts';
import { endedOf } from './ended.ts';
import { refusalError, type Guard } from './guard.ts';
import { lapsedOf, setLapsed } from './lapsed.ts';
import { moveCursor } from './move.ts';
import { parkRoom, parkWrites, peerRooms } from './park.ts';
import { bytesOfSubmission, costOfSubmission, countOfSubmission, type Submission } from './proposal.ts';
import { refusedOf, type RefusalObserver } from './refused.ts';
import { splitResults, storedResults, type Outcome, type OwnSubmission } from './results.ts';
import { signedFault } from './signed.ts';
import { encodeSlot, fencedSlot, slotKey, type BatchResult } from './slot.ts';
import { type HeldSlot, type SlotSource } from './slots.ts';
import { parkUnproven } from './unproven.ts';

/** Told after each commit, for metrics. `ms` from the start of the transaction to durable. */
export interface CommitObserver extends RefusalObserver {
  commit(ms: number, writes: number, bytes: number): void;
}

export interface IngestDeps {
  readonly store: Store;
  readonly slots: SlotSource;
  readonly instanceOf: (slot: number) => InstanceId;
  /** Of our cluster. */
  readonly own: ClusterPart;
  readonly digests: MeshDigests;
  readonly hlc: HybridClock;
  readonly clock: Clock;
  readonly log: Log;
  readonly followers: readonly Follower[];
  readonly observer: CommitObserver;
  /** Of a granted mesh: judges every write, and signs what is made here. */
  readonly guard?: Guard | undefined;
}

/** From the beginning of one commit to that of the next, at the most, where callers are waited for. */
const gatherMs = 4;
/** Fewer that shared the last commits are not waited for, and no more than the greatest: a commit costs little more for another then. */
const [sharersMin, sharersMax] = [3, 8];
/** How much of the number of callers that shared a commit is left where fewer came. */
const remembered = 7 / 8;

interface Waiting {
  readonly submission: Submission;
  readonly count: number;
  readonly bytes: number;
  readonly cost: number;
  readonly resolve: (results: readonly BatchResult[]) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The one way in. Submissions wait while the commit before them runs, and are then committed together, in the order in which
 * they came. One commit of a slot at a time is on its way to being visible; being synced may overlap with the next.
 */
export class Ingest {
  readonly #deps: IngestDeps;
  readonly #queue: Waiting[] = [];
  readonly #unsettled = new Set<Promise<void>>();
  readonly #underWay = new Set<Waiting>();
  #queuedWrites = 0;
  #queuedBytes = 0;
  /** Callers that shared the last commits. */
  #sharers = 0;
  #begunMs = 0;
  #gathering: AbortController | undefined;
  #slot: number;
  #lease: number;
  #batch: number;
  #running: Promise<void> | undefined;
  #closed = false;

  /** `held` was taken from `deps.slots`, and its clock stands above it. */
  constructor(deps: IngestDeps, { slot, record }: HeldSlot) {
    this.#deps = deps;
    this.#slot = slot;
    this.#lease = record.lease;
    this.#batch = record.batch;
  }

  /**
   * Resolves with a result for each write once they are durable. Errors: `version_mismatch`; `unavailable` when too much waits, or
   * when the outcome is unknown; `store_closed`; what the store reports, such as `disk_full`.
   */
  submit(submission: Submission): Promise<readonly BatchResult[]> {
    if (this.#closed) return Promise.reject(new GkvError('unavailable', 'this instance is stopping'));
    const count = countOfSubmission(submission);
    const bytes = bytesOfSubmission(submission);
    if (count === 0) return Promise.resolve([]);
    if (this.#queuedWrites + count > limits.queuedWritesMax || this.#queuedBytes + bytes > limits.queuedBytesMax) {
      return Promise.reject(
        new GkvError('unavailable', `${this.#queuedWrites} writes of ${this.#queuedBytes} bytes wait for a commit: try again later`),
      );
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ submission, count, bytes, cost: costOfSubmission(submission), resolve, reject });
      this.#queuedWrites += count;
      this.#queuedBytes += bytes;
      this.#running ??= this.#run();
      if (!this.#lacksSome) this.#gathering?.abort(enough);
    });
  }

  /**
   * Answers everybody who waits with `unavailable`: the store is away. What was not begun is dropped; what is under way may still be
   * committed, and nothing is committed before it has ended.
   */
  refuseWaiting(): void {
    const waiting = this.#queue.splice(0, this.#queue.length);
    this.#queuedWrites = 0;
    this.#queuedBytes = 0;
    for (const { reject } of waiting) reject(new GkvError('unavailable', 'the store does not answer: nothing was written'));
    for (const { reject } of this.#underWay) reject(unknownOutcome(undefined));
  }

  get slot(): number {
    return this.#slot;
  }

  /** Commits what waits, and refuses what comes. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#gathering?.abort(enough);
    while (this.#running !== undefined) await this.#running;
    await Promise.all(this.#unsettled);
  }

  async #run(): Promise<void> {
    await Promise.resolve(); // what is submitted in this turn goes along
    while (this.#queue.length > 0) {
      await this.#gather();
      const batch = this.#take();
      if (batch.length === 0) break; // refused in the meantime
      await new Promise<void>((visible) => {
        const settled = this.#commit(batch, visible).finally(() => {
          visible();
          this.#unsettled.delete(settled);
        });
        this.#unsettled.add(settled);
      });
    }
    this.#running = undefined;
  }

  /**
   * Callers that wait for their answers come back together, and peers ask for all that was committed: the first of them must not have a commit, a sync and a
   * page of its own. Where fewer wait than shared the last commits, a moment is given to the others. A lone caller never waits.
   */
  async #gather(): Promise<void> {
    const { clock } = this.#deps;
    const leftMs = this.#begunMs + gatherMs - clock.monotonic();
    if (leftMs > 0 && this.#lacksSome && !this.#closed) {
      this.#gathering = new AbortController();
      await clock.sleep(leftMs, this.#gathering.signal);
      this.#gathering = undefined;
    }
    this.#begunMs = clock.monotonic();
    this.#sharers = Math.max(this.#queue.length, this.#sharers * remembered);
  }

  get #lacksSome(): boolean {
    return this.#sharers >= sharersMin && this.#queue.length < Math.min(this.#sharers, sharersMax);
  }

  #take(): Waiting[] {
    const batch: Waiting[] = [];
    let writes = 0;
    let bytes = 0;
    let cost = 0;
    for (const next of this.#queue) {
      const fits =
        writes + next.count <= limits.commitWritesMax &&
        bytes + next.bytes <= limits.commitBytesMax &&
        cost + next.cost <= limits.commitCostMax;
      if (batch.length > 0 && !fits) break;
      batch.push(next);
      writes += next.count;
      bytes += next.bytes;
      cost += next.cost;
    }
    this.#queue.splice(0, batch.length);
    this.#queuedWrites -= writes;
    this.#queuedBytes -= bytes;
    return batch;
  }

  async #commit(batch: readonly Waiting[], onVisible: () => void): Promise<void> {
    const { store, clock, observer, guard } = this.#deps;
    this.#batch += 1;
    const number = this.#batch;
    const [slot, lease] = [this.#slot, this.#lease]; // one that is taken later must not let this batch through
    const submissions = batch.map(({ submission }) => submission);
    for (const waiting of batch) this.#underWay.add(waiting);
    const started = clock.monotonic();
    try {
      const outcomes = await store.transact((tx) => this.#inTransaction(tx, { number, slot, lease }, submissions), { onVisible });
      observer.commit(clock.monotonic() - started, sum(batch, 'count'), sum(batch, 'bytes'));
      batch.forEach((waiting, index) => {
        settle(waiting, outcomes[index]);
      });
      const refused = batch.flatMap(({ submission }, index) => refusedOf(submission, outcomes[index], guard));
      if (refused.length > 0) observer.refused(refused);
    } catch (error) {
      if (batch.length === 1 || !hasCode(error, 'transaction_too_large')) await this.#failed(batch, error);
      // The entries that they write to are large: each has a commit of its own.
      else for (const waiting of batch) await this.#commit([waiting], () => undefined);
    } finally {
      for (const waiting of batch) this.#underWay.delete(waiting);
    }
  }

  async #inTransaction(
    tx: Transaction,
    { number, slot, lease }: { number: number; slot: number; lease: number },
    submissions: readonly Submission[],
  ): Promise<readonly Outcome[]> {
    const { digests, hlc, clock, followers, guard } = this.#deps;
    const [record, states] = await Promise.all([fencedSlot(tx, slot, lease), readEntries(tx, submissions)]);
    // An earlier run of this very batch was committed although its answer was lost: its results stand.
    if (record.batch === number) return splitResults(submissions, record.results, (of, index) => this.#deniedAgain(of, index));
    if (guard !== undefined) await guard.catchUp(tx);
    const peers = submissions.flatMap((submission) => (submission.kind === 'received' ? [submission.peer] : []));
    const none = [0, stampZero, new Set<string>()] as const;
    const [room, floorForPeers, ended] = peers.length > 0 ? await Promise.all([parkRoom(tx), readFloor(tx), endedOf(tx, peers)]) : none;
    const floor = submissions.some(({ kind }) => kind === 'signed') ? await readFloor(tx) : floorForPeers;
    const lapsed = guard === undefined ? new Set<string>() : await lapsedOf(tx, peers);
    const nowMs = clock.now();
    const peerRoom = guard === undefined ? new Map<string, number>() : await peerRooms(tx, peers);
    const decision = decideBatch(submissions, states, { digests, hlc, nowMs, parkRoom: room, peerRoom, floor, ended, lapsed, guard });
    await parkWrites(tx, decision.parked);
    if (guard !== undefined) await parkUnproven(tx, decision.unproven, nowMs);
    for (const peer of decision.unkept) await setLapsed(tx, peer, nowMs);
    const outcomes = await this.#moved(tx, submissions, decision.results, { nowMs, lapsed: new Set([...lapsed, ...decision.unkept]) });
    await applyChanges(tx, decision.changes, followers);
    for (const { key, value } of decision.values) tx.set(key, value);
    const results = outcomes.flatMap(storedResults);
    tx.set(slotKey(slot), encodeSlot({ lease, closed: hlc.last, batch: number, results }));
    return outcomes;
  }

  /** Why an operation is refused that was refused before the answer was lost. */
  #deniedAgain(submission: OwnSubmission, index: number): GkvError {
    const { guard, hlc, clock } = this.#deps;
    const signed = submission.kind === 'signed' ? submission.writes[index] : undefined;
    const op = submission.kind === 'local' ? submission.ops[index] : undefined;
    if (guard !== undefined && signed !== undefined) {
      const fault = signedFault(signed, guard, { nowMs: clock.now(), acceptedMs: physicalMsOf(hlc.last) }, index);
      if (fault !== undefined) return fault;
    }
    if (guard !== undefined && op !== undefined) {
      const answer = guard.leafFor({ key: op.key, tombstone: op.kind === 'delete', version: hlc.last });
      if (answer.kind === 'refused') return refusalError(answer.refusal, index);
    }
    return new GkvError('unavailable', `operation ${index} had no authority, and has it now: try again`);
  }

  /** Moves the cursors of pages that were taken in. A move's own result is `applied`, or `dominated` where the cursor was elsewhere. */
  async #moved(
    tx: Transaction,
    submissions: readonly Submission[],
    outcomes: readonly Outcome[],
    { nowMs, lapsed }: { readonly nowMs: number; readonly lapsed: ReadonlySet<string> },
  ): Promise<Outcome[]> {
    const { own } = this.#deps;
    const moved: Outcome[] = [];
    for (const [index, outcome] of outcomes.entries()) {
      const submission = submissions[index];
      const move = submission?.kind === 'received' ? submission : undefined;
      if (move?.move === undefined || outcome instanceof GkvError) moved.push(outcome);
      else {
        // What a forged write stands for did not come: our place moves on, and nothing is joined.
        const isForged = outcome.some(({ status }) => status === 'forged');
        const to = isForged ? { ...move.move, joins: undefined, reached: undefined } : move.move;
        const status = (await moveCursor(tx, to, move.peer, { own, nowMs, hasLapsed: lapsed.has(move.peer) })) ? 'applied' : 'dominated';
        moved.push([...outcome, { status, stamp: stampZero }]);
      }
    }
    return moved;
  }

  /** An unknown outcome or a lost lease ends the lease; under a new one nothing of the old can be committed any more. */
  async #failed(batch: readonly Waiting[], error: unknown): Promise<void> {
    const { log } = this.#deps;
    let reported = error;
    if (hasCode(error, 'commit_unknown', 'lease_lost')) {
      log.error(
        { slot: this.#slot, lease: this.#lease, err: error },
        'slot is given up: the outcome of a commit is unknown or its lease was lost',
      );
      reported = unknownOutcome(error);
      try {
        await this.#takeSlot();
      } catch (cause) {
        log.error({ slot: this.#slot, err: cause }, 'no slot could be taken');
      }
    }
    for (const waiting of batch) waiting.reject(reported);
  }

  async #takeSlot(): Promise<void> {
    const { slots, hlc, instanceOf } = this.#deps;
    const { slot, record } = await slots.take();
    // No later batch may have the number of one that is stored.
    this.#batch = slot === this.#slot ? Math.max(this.#batch, record.batch) : record.batch;
    this.#slot = slot;
    this.#lease = record.lease;
    hlc.startAs(instanceOf(slot), record.closed);
  }
}

const enough = 'enough'; // left out, each abort would make an exception with a stack

function unknownOutcome(cause: unknown): GkvError {
  const details = { outcome: 'unknown' };
  return new GkvError('unavailable', 'the outcome of this write is unknown: read it back before trying again', { cause, details });
}

function settle(waiting: Waiting, outcome: Outcome | undefined): void {
  if (outcome === undefined) waiting.reject(new GkvError('internal', 'a commit answered fewer submissions than it took'));
  else if (outcome instanceof GkvError) waiting.reject(outcome);
  else waiting.resolve(outcome);
}

function sum(batch: readonly Waiting[], field: 'count' | 'bytes'): number {
  return batch.reduce((total, waiting) => total + waiting[field], 0);
}
