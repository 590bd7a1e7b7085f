import { emptyBytes, equalBytes, toLatin1 } from '../core/bytes.ts';
import { assert, GkvError } from '../core/errors.ts';
import { decodeEntry, visibleHead, type Entry, type Head } from '../core/entry.ts';
import { type Key } from '../core/key.ts';
import { limits } from '../core/limits.ts';
import { compareStamps, physicalMsOf, type Stamp } from '../core/stamp.ts';
import { grantZero, signatureEmpty, type Write, type WriteBody } from '../core/write.ts';
import { sha256 } from '../crypto/digest.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { isFinal } from '../grant/known.ts';
import { type Row, type Transaction } from '../store/store.ts';
import { isSettledAgainst, takeCandidate } from './candidates.ts';
import { headKey, valueKey } from './change.ts';
import { peerEnded } from './ended.ts';
import { type HybridClock } from './clock.ts';
import { mismatchIn } from './expected.ts';
import { isGone } from './floor.ts';
import { refusalError, standingOf, type Guard } from './guard.ts';
import { type EntryChange } from './follower.ts';
import {
  type FromPeer,
  keysOfSubmission,
  type Proof,
  type ReceivedWrite,
  type ClientWrite,
  type Submission,
  type WriteOp,
} from './proposal.ts';
import { belowFloor, clockFault, isOf, storedOf } from './signed.ts';
import { type BatchResult } from './slot.ts';
import { inlineRecord, valueRecord } from './value.ts';

/** What one commit does, decided from the entries that it read; no I/O in it. */
export interface BatchDecision {
  readonly results: readonly (readonly BatchResult[] | GkvError)[];
  readonly changes: readonly EntryChange[];
  /** Rows of new values that are no part of their heads. They are set once the changes are applied, which clears what lay there. */
  readonly values: readonly Row[];
  readonly parked: readonly FromPeer[];
  /** Those whose authority is not known yet. */
  readonly unproven: readonly FromPeer[];
  /** Peers of which something came that is forged, or that must wait and was not kept, as they had lapsed. */
  readonly unkept: ReadonlySet<string>;
}

interface EntryState {
  readonly key: Key;
  readonly before: Entry | undefined;
  entry: Entry | undefined;
}

export interface DecideDeps {
  readonly digests: MeshDigests;
  readonly hlc: HybridClock;
  readonly nowMs: number;
  readonly floor: Stamp;
  /** Writes that may still be parked. */
  readonly parkRoom: number;
  /** Peers, in hex, of which nothing is taken in any more. */
  readonly ended: ReadonlySet<string>;
  /** Peers, in hex, of which nothing is kept that must wait. */
  readonly lapsed: ReadonlySet<string>;
  /** In a granted mesh, of each peer: how many more of its writes may wait. */
  readonly peerRoom: ReadonlyMap<string, number>;
  /** Of a granted mesh, with all that is known as of the transaction's read. */
  readonly guard: Guard | undefined;
}

/** Reads the entry of every key that the submissions name, conflictingly. */
export async function readEntries(tx: Transaction, submissions: readonly Submission[]): Promise<Map<string, EntryState>> {
  const states = new Map<string, EntryState>();
  const reads: Promise<void>[] = [];
  const want = (key: Key): void => {
    const name = toLatin1(key);
    if (states.has(name)) return;
    states.set(name, { key, before: undefined, entry: undefined });
    reads.push(
      tx.get(headKey(key)).then((bytes) => {
        const entry = bytes === undefined ? undefined : decodeEntry(bytes);
        states.set(name, { key, before: entry, entry });
      }),
    );
  };
  for (const submission of submissions) {
    for (const key of keysOfSubmission(submission)) want(key);
  }
  await Promise.all(reads);
  return states;
}

/** Takes the submissions in, one behind the other, on the entries as read. Stamps are minted in this order. */
export function decideBatch(submissions: readonly Submission[], states: Map<string, EntryState>, deps: DecideDeps): BatchDecision {
  const batch = new Batch(states, deps);
  const results = submissions.map((submission) => batch.take(submission));
  batch.sign();
  const { parked, unproven, unkept } = batch;
  return { results, changes: batch.changes(), values: batch.values(), parked, unproven, unkept };
}

/** What becomes of a received write before it is merged. */
type Fate = 'early' | 'denied' | 'forged' | 'unproven' | 'merge';

/** What becomes of a received write below the floor that is gone here. */
type BelowFloor = 'repair' | 'refuse';

type Received = Extract<Submission, { kind: 'received' }>;

interface Unsigned {
  readonly state: EntryState;
  readonly write: Write;
  /** As it was merged, without its record. */
  readonly head: Head;
}

class Batch {
  readonly parked: FromPeer[] = [];
  readonly unproven: FromPeer[] = [];
  readonly unkept = new Set<string>();
  readonly #unsigned: Unsigned[] = [];
  /** Writes that were merged and whose values get rows of their own; some are overwritten by later ones of the batch. */
  readonly #large = new Map<Head, Write>();
  readonly #states: Map<string, EntryState>;
  readonly #deps: DecideDeps;

  constructor(states: Map<string, EntryState>, deps: DecideDeps) {
    this.#states = states;
    this.#deps = deps;
  }

  take(submission: Submission): BatchResult[] | GkvError {
    if (submission.kind === 'closing') return [{ status: 'applied', stamp: this.#deps.hlc.next() }];
    if (submission.kind === 'received') {
      if (this.#deps.ended.has(submission.peer)) return peerEnded(submission.peer);
      const fates = submission.writes.map((received, i) => this.#fateOf(received, submission.proofs?.[i]));
      const isKept = !this.#deps.lapsed.has(submission.peer);
      const waiting = isKept ? fates.filter((fate) => fate === 'early' || fate === 'unproven').length : 0;
      const more = submission.hasWaited === true ? 0 : waiting;
      if (more > 0 && this.parked.length + this.unproven.length + more > this.#deps.parkRoom) return parkingFull();
      if (more > 0 && more > this.#peerRoom(submission.peer)) return peerParkingFull(submission.peer);
      const belowFloorOf = this.#belowFloor(submission, fates);
      return submission.writes.map((received, i) =>
        this.#takeReceived(received, fates[i] ?? 'denied', submission.peer, belowFloorOf(received.write.key)),
      );
    }
    const { guard } = this.#deps;
    if (submission.kind === 'signed') {
      assert(guard !== undefined, 'what is signed is taken in a granted mesh alone');
      return this.#takeSigned(submission.writes, guard);
    }
    const { ops } = submission;
    const mismatch = mismatchIn(ops, ({ key }) => visibleHead(standingOf(this.#state(key).entry, guard), this.#deps.nowMs));
    if (mismatch !== undefined) return mismatch;
    return guard === undefined ? ops.map((op) => this.#takeLocal(op)) : this.#takeGranted(ops, guard);
  }

  /** Signs what was made here and still stands: their records are known only then. */
  sign(): void {
    const { guard } = this.#deps;
    if (guard === undefined || this.#unsigned.length === 0) return;
    const standing = this.#unsigned.filter(({ state, head }) => state.entry?.includes(head) === true);
    const blocks = guard.sign(standing.map(({ head }) => head.id));
    for (const [i, { state, write, head }] of standing.entries()) {
      const signed = { ...write, signature: blocks[i] ?? signatureEmpty };
      const sealed = { ...head, record: inlineRecord(signed, (state.entry?.length ?? 1) - 1) };
      state.entry = state.entry?.map((each) => (each === head ? sealed : each));
      if (sealed.record === undefined) this.#large.set(sealed, signed);
    }
  }

  changes(): EntryChange[] {
    const changes: EntryChange[] = [];
    for (const { key, before, entry } of this.#states.values()) if (entry !== before) changes.push({ key, before, after: entry });
    return changes;
  }

  values(): Row[] {
    const rows: Row[] = [];
    if (this.#large.size === 0) return rows;
    for (const { key, entry = [] } of this.#states.values()) {
      for (const head of entry) {
        const write = this.#large.get(head);
        if (write !== undefined) rows.push({ key: valueKey(key, head.leaf), value: valueRecord(write) });
      }
    }
    return rows;
  }

  #peerRoom(peer: string): number {
    const here = [...this.parked, ...this.unproven].filter((from) => from.peer === peer).length;
    return (this.#deps.peerRoom.get(peer) ?? Infinity) - here;
  }

  #state(key: Key): EntryState {
    const state = this.#states.get(toLatin1(key));
    if (state === undefined) throw new GkvError('internal', 'a key of the batch was not read');
    return state;
  }

  #takeLocal(op: WriteOp): BatchResult {
    const write = this.#make(op);
    const { version } = write;
    const head = headOf(write, this.#deps.digests.writeId(bodyOf(write)), version);
    return { status: this.#merge(this.#state(op.key), write, head), stamp: version };
  }

  /** All or none. The versions of those that are refused are lost. */
  #takeGranted(ops: readonly WriteOp[], guard: Guard): BatchResult[] | GkvError {
    const writes: Write[] = [];
    for (const [index, op] of ops.entries()) {
      const write = this.#make(op);
      const answer = guard.leafFor(write);
      if (answer.kind === 'refused') return refusalError(answer.refusal, index);
      writes.push({ ...write, leaf: answer.leaf });
    }
    return writes.map((write) => {
      const state = this.#state(write.key);
      const head = headOf(write, this.#deps.digests.writeId(bodyOf(write)), write.version);
      const taken = takeCandidate(state.entry, head, guard);
      assert(taken.kind === 'applied', 'a version that is minted here is greater than all that are here');
      state.entry = taken.entry;
      this.#unsigned.push({ state, write, head });
      return { status: 'applied', stamp: write.version };
    });
  }

  /** All or none. What is here already, and what loses to a greater write, changes nothing that is seen, and is no refusal. */
  #takeSigned(writes: readonly ClientWrite[], guard: Guard): BatchResult[] | GkvError {
    const { hlc, nowMs } = this.#deps;
    const judged: { readonly signed: ClientWrite; readonly stored: Head | undefined; readonly minted: Stamp }[] = [];
    for (const [index, signed] of writes.entries()) {
      const { write, proof } = signed;
      const state = this.#state(write.key);
      const minted = hlc.next();
      const fault = clockFault(write.version, { nowMs, acceptedMs: physicalMsOf(minted) }, index);
      if (fault !== undefined) return fault;
      const stored = storedOf(state.entry, signed, guard);
      judged.push({ signed, stored, minted });
      if (stored !== undefined) continue;
      const refusal = guard.refusalOf(signed, proof);
      if (refusal !== undefined) return refusalError(refusal, index);
      const below = this.#statusBelowFloor(state, headOf(write, signed.id, minted), 'refuse');
      if (below === 'below_floor') return belowFloor(write.version, index);
    }
    return judged.map(({ signed, stored, minted }) =>
      stored === undefined ? this.#takeProven(signed, minted, guard) : { status: 'duplicate', stamp: stored.accepted },
    );
  }

  /** Accepted above its version, as what is made here is; only what has authority moves our clock. */
  #takeProven({ write, id }: ClientWrite, minted: Stamp, guard: Guard): BatchResult {
    const { hlc } = this.#deps;
    const stamp = compareStamps(minted, write.version) > 0 ? minted : hlc.nextAbove(write.version);
    const state = this.#state(write.key);
    this.#merge(state, write, headOf(write, id, stamp));
    const isSeen = isOf(standingOf(state.entry, guard)?.[0], id);
    return { status: isSeen ? 'applied' : 'dominated', stamp };
  }

  #make(op: WriteOp): Write {
    const { hlc, nowMs } = this.#deps;
    const version = hlc.nextAbove(this.#state(op.key).entry?.[0]?.version);
    const tombstone = op.kind === 'delete';
    const value = tombstone ? emptyBytes : op.value;
    const expiresAt = tombstone || op.expiresInMs === undefined ? 0 : nowMs + op.expiresInMs;
    return { key: op.key, version, tombstone, expiresAt, leaf: grantZero, value, signature: signatureEmpty };
  }

  #fateOf(received: ReceivedWrite, proof: Proof = 'grant unknown'): Fate {
    if (proof === 'false') return 'forged';
    const refusal = this.#deps.guard?.refusalOf(received, proof);
    if (refusal !== undefined && isFinal(refusal)) return refusal.code === 'bad_signature' ? 'forged' : 'denied';
    if (this.#isEarly(received)) return 'early';
    return refusal === undefined ? 'merge' : 'unproven';
  }

  /**
   * Of which keys what is below the floor, and gone here, may come back. Of none of which something must wait: that may stand there in the place of a delete that was
   * collected here, over what would be seen here without it. Of who has lapsed nothing waits, and so it repairs nothing.
   */
  #belowFloor({ peer, standing, asOf, writes }: Received, fates: readonly Fate[]): (key: Key) => BelowFloor {
    const { floor, lapsed } = this.#deps;
    if (standing === 'plain' || compareStamps(asOf, floor) < 0 || lapsed.has(peer)) return () => 'refuse';
    const waiting = new Set(
      writes.filter((_, i) => fates[i] === 'early' || fates[i] === 'unproven').map(({ write }) => toLatin1(write.key)),
    );
    return (key) => (waiting.size > 0 && waiting.has(toLatin1(key)) ? 'refuse' : 'repair');
  }

  #takeReceived(received: ReceivedWrite, fate: Fate, peer: string, below: BelowFloor): BatchResult {
    const { write, id, accepted } = received;
    if (fate === 'forged') this.unkept.add(peer); // what it stands in place of did not come
    if (fate === 'early' || fate === 'unproven') {
      if (this.#deps.lapsed.has(peer)) this.unkept.add(peer);
      else (fate === 'early' ? this.parked : this.unproven).push({ received, peer });
    }
    if (fate !== 'merge') return { status: fate === 'early' ? 'parked' : fate, stamp: accepted };
    this.#deps.hlc.observe(write.version);
    this.#deps.hlc.observe(accepted);
    const state = this.#state(write.key);
    const head = headOf(write, id, accepted);
    const status = this.#statusBelowFloor(state, head, below) ?? this.#merge(state, write, head);
    return { status, stamp: accepted };
  }

  /** Below the floor every member had it, so what is not here was taken away, and must not come back. Undefined: it may be merged. */
  #statusBelowFloor({ entry }: EntryState, head: Head, below: BelowFloor): 'dominated' | 'below_floor' | undefined {
    const { floor, guard } = this.#deps;
    if (compareStamps(head.version, floor) >= 0 || entry?.some(({ id }) => equalBytes(id, head.id)) === true) return undefined;
    if (isSettledAgainst(entry, head, floor, guard)) return 'dominated';
    if (entry?.some(({ leaf }) => equalBytes(leaf, head.leaf)) === true) return undefined;
    return below === 'refuse' || isGone(head, floor) ? 'below_floor' : undefined;
  }

  /** Too far ahead of our wall clock to be taken in. */
  #isEarly({ write, accepted }: ReceivedWrite): boolean {
    const latestMs = this.#deps.nowMs + limits.futureMsMax;
    return physicalMsOf(write.version) > latestMs || physicalMsOf(accepted) > latestMs;
  }

  #merge(state: EntryState, write: Write, bare: Head): BatchResult['status'] {
    const taken = takeCandidate(state.entry, bare, this.#deps.guard);
    if (taken.kind !== 'applied') return taken.kind;
    const record = inlineRecord(write, taken.entry.length - 1);
    state.entry = record === undefined ? taken.entry : taken.entry.map((each) => (each === bare ? { ...bare, record } : each));
    if (record === undefined) this.#large.set(bare, write);
    return 'applied';
  }
}

export function parkingFull(): GkvError {
  return new GkvError(
    'unavailable',
    `more than ${limits.parkedWritesMax} writes would be parked for being in the future: a clock is wrong`,
  );
}

function peerParkingFull(peer: string): GkvError {
  return new GkvError(
    'unavailable',
    `more than ${limits.parkedOfPeerMax} writes of cluster ${peer} would wait for their grants, or for our clock`,
  );
}

/** The body that a write's id is made from. */
export function bodyOf({ key, version, tombstone, expiresAt, leaf, value }: Omit<Write, 'signature'>): WriteBody {
  return { key, version, tombstone, expiresAt, leaf, valueLength: value.length, valueDigest: sha256(value) };
}

/** Without its record. */
function headOf(write: Write, id: Head['id'], accepted: Stamp): Head {
  const { version, tombstone, expiresAt, leaf } = write;
  const length = write.key.length + write.value.length;
  return { version, id, tombstone, expiresAt, leaf, length, accepted, position: undefined, record: undefined };
}
