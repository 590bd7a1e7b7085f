import { equalBytes } from '../core/bytes.ts';
import { type Frontier } from '../core/frontier.ts';
import { type Key } from '../core/key.ts';
import { limits } from '../core/limits.ts';
import { stampZero, type Stamp } from '../core/stamp.ts';
import { type Write, type WriteId } from '../core/write.ts';
import { countSegments } from '../grant/pattern.ts';
import { type FeedCursor } from './cursor.ts';
import { type Reach } from './ended.ts';
import { type EntryChange } from './follower.ts';

/** What must be there for a write to be made; checked in its transaction, in this cluster alone. */
export type Expected = { readonly kind: 'any' } | { readonly kind: 'absent' } | { readonly kind: 'version'; readonly version: Stamp };

/** One operation of a client; its version is minted here. */
export type WriteOp =
  | {
      readonly kind: 'set';
      readonly key: Key;
      readonly value: Uint8Array;
      readonly expiresInMs: number | undefined;
      readonly expected: Expected;
    }
  | { readonly kind: 'delete'; readonly key: Key; readonly expected: Expected };

/** A write that was made elsewhere, and its id. */
export interface ReceivedWrite {
  readonly write: Write;
  readonly id: WriteId;
  /** The stamp under which the instance that took it in first accepted it; travels unsigned. */
  readonly accepted: Stamp;
}

/** Whether the holder of a write's leaf grant signed it: for good, but where that grant is not known yet. */
export type Proof = 'held' | 'false' | 'grant unknown';

/** A write that a client made and signed; nobody has accepted it yet. */
export interface ClientWrite {
  readonly write: Write;
  readonly id: WriteId;
  readonly proof: Proof;
}

/** A received write and the cluster that sent it, in hex. */
export interface FromPeer {
  readonly received: ReceivedWrite;
  readonly peer: string;
}

/**
 * Whether the sender may bring back what is below the floor and not here: a member in an exchange may, to repair damage; nobody else, so
 * that nothing comes back from the dead. Nor may it where it did not know of our floor when it read what it sends: that may have been deleted, and
 * the delete collected, since.
 */
export type Standing = 'repairs' | 'plain';

/** What asks to be taken in; each submission of them is taken in whole or not at all. */
export type Submission =
  | { readonly kind: 'local'; readonly ops: readonly WriteOp[] }
  | { readonly kind: 'signed'; readonly writes: readonly ClientWrite[] }
  | {
      readonly kind: 'received';
      readonly writes: readonly ReceivedWrite[];
      readonly peer: string;
      readonly standing: Standing;
      /** The floor below which all was there, with the sender, when it read the writes. */
      readonly asOf: Stamp;
      /** They waited here, and were counted then: they may wait on. */
      readonly hasWaited?: true;
      readonly move?: FeedMove;
      /** In a granted mesh, of each write; in the same order. */
      readonly proofs?: readonly Proof[];
    }
  | { readonly kind: 'closing' };

/** Where a page of a peer's feed, or an exchange with it, brings us, in the commit that takes its last writes in. */
export interface FeedMove {
  readonly peerId: Uint8Array;
  /** Undefined for an exchange. Where the stored cursor is not `from` by now, nothing is moved or joined. */
  readonly cursor: { readonly from: FeedCursor | undefined; readonly to: FeedCursor } | undefined;
  /** What the peer had of all, where we have all of that now. It is joined unless something that this peer sent is parked. */
  readonly joins: Frontier | undefined;
  /** What else is reached where that is joined. */
  readonly reached?: Reach | undefined;
  /** Of an exchange: the peer's lapse, if any, from before it began; it is made good where that is the same still. */
  readonly lapse?: Uint8Array | undefined;
}

export interface WriteOutcome {
  readonly version: Stamp;
  readonly accepted: Stamp;
  /** False where the write lost to a greater one that is here. */
  readonly applied: boolean;
}

/** Results that it is answered with: one for each write, and one for a move or a closing. */
export function countOfSubmission(submission: Submission): number {
  switch (submission.kind) {
    case 'local':
      return submission.ops.length;
    case 'signed':
      return submission.writes.length;
    case 'received':
      return submission.writes.length + (submission.move === undefined ? 0 : 1);
    case 'closing':
      return 1;
  }
}

/** The keys that it names. */
export function keysOfSubmission(submission: Submission): readonly Key[] {
  switch (submission.kind) {
    case 'local':
      return submission.ops.map(({ key }) => key);
    case 'signed':
    case 'received':
      return submission.writes.map(({ write }) => write.key);
    case 'closing':
      return [];
  }
}

/**
 * About what a write costs of a store's limit on one transaction, beside its own bytes: a key is written, and stands in conflict ranges, in its
 * head, value and feed row and at each level of the tree, some 40 times in a tree of a million keys, by FoundationDB's way of counting.
 */
const costPerKeyByte = 64;

/** What a write costs by its key alone. */
function costOfKey(key: Key): number {
  return costPerKeyByte * key.length;
}

/** What an entry costs that is written anew: its heads, and the rows of those that go. */
export function costOfChange({ key, before = [], after = [] }: EntryChange): number {
  const written = after.reduce((bytes, { record }) => bytes + headCost + (record?.length ?? 0), 0);
  return written + costOfKey(key) + Math.max(0, before.length - after.length) * (goneCost + goneCostPerKeyByte * key.length);
}

/** About what a head takes in its entry without its record. */
const headCost = 128;

/**
 * What clearing the rows of a head that goes takes at the most, beside its key: of value and of its parts, feed, rival, and tombstone or expiry. FoundationDB counts
 * a key that is cleared four times, and some 80 bytes more: both ends of what is cleared, and of what conflicts with it; with a prefix of up to 64 bytes each time.
 */
const goneCost = 2_816;
/** The key is in the row of its value, and in the range of its parts, where a byte of zero takes two. */
const goneCostPerKeyByte = 12;

/**
 * A commit is decided in one turn, and each segment of its keys is matched against up to 64 patterns, those of all links of a grant's chain (T15), in some 25 ns each: as
 * many segments as one commit takes in are matched within 50 ms.
 */
const costPerSegment = 256;

/** What a submission costs of `limits.commitCostMax`. */
export function costOfSubmission(submission: Submission): number {
  let keyBytes = 0;
  for (const key of keysOfSubmission(submission)) keyBytes += key.length;
  return bytesOfSubmission(submission) + costPerKeyByte * keyBytes + costPerSegment * segmentsOfSubmission(submission);
}

/** Of all its keys together. */
export function segmentsOfSubmission(submission: Submission): number {
  return keysOfSubmission(submission).reduce((total, key) => total + countSegments(key), 0);
}

/** Neighbours of one key: which of them may come back depends on the others (R23), so they go together as far as may be. */
export function byKey(writes: readonly ReceivedWrite[]): ReceivedWrite[][] {
  const keys: ReceivedWrite[][] = [];
  for (const received of writes) {
    const last = keys.at(-1);
    if (last?.[0] !== undefined && equalBytes(last[0].write.key, received.write.key)) last.push(received);
    else keys.push([received]);
  }
  return keys;
}

/** Cuts what need not be committed together into parts that one transaction takes, between keys as far as may be; each has at least one write. */
export function partsOfWrites(writes: readonly ReceivedWrite[]): ReceivedWrite[][] {
  const parts: ReceivedWrite[][] = [];
  let cost = Infinity;
  for (const ofKey of byKey(writes)) {
    if (cost + costOfReceived(ofKey) > limits.commitCostMax) cost = Infinity;
    for (const received of ofKey) {
      const own = costOfReceived([received]);
      if (cost + own > limits.commitCostMax) {
        parts.push([]);
        cost = 0;
      }
      parts.at(-1)?.push(received);
      cost += own;
    }
  }
  return parts;
}

function costOfReceived(writes: readonly ReceivedWrite[]): number {
  return costOfSubmission({ kind: 'received', writes, peer: '', standing: 'plain', asOf: stampZero });
}

export function bytesOfSubmission(submission: Submission): number {
  let bytes = 0;
  if (submission.kind === 'local') {
    for (const op of submission.ops) bytes += op.key.length + (op.kind === 'set' ? op.value.length : 0);
  } else if (submission.kind !== 'closing') {
    for (const { write } of submission.writes) bytes += write.key.length + write.value.length;
  }
  return bytes;
}
