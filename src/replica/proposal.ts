import { type Key } from '../core/key.ts';
import { limits } from '../core/limits.ts';
import { type Stamp } from '../core/stamp.ts';
import { type Write, type WriteId } from '../core/write.ts';

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

/** What asks to be taken in; each submission of them is taken in whole or not at all. */
export type Submission =
  | { readonly kind: 'local'; readonly ops: readonly WriteOp[] }
  | { readonly kind: 'received'; readonly writes: readonly ReceivedWrite[]; readonly peer: string };

export interface WriteOutcome {
  readonly version: Stamp;
  readonly accepted: Stamp;
  /** False where the write lost to a greater one that is here. */
  readonly applied: boolean;
}

export function countOfSubmission(submission: Submission): number {
  return submission.kind === 'local' ? submission.ops.length : submission.writes.length;
}

/**
 * About what a write costs of a store's limit on one transaction, beside its own bytes: a key is written, and stands in conflict ranges, in its
 * head, value and feed row and at each level of the tree, some 40 times in a tree of a million keys, by FoundationDB's way of counting.
 */
const costPerKeyByte = 64;

/** What a submission costs of `limits.commitCostMax`. */
export function costOfSubmission(submission: Submission): number {
  let keyBytes = 0;
  if (submission.kind === 'local') for (const { key } of submission.ops) keyBytes += key.length;
  else for (const { write } of submission.writes) keyBytes += write.key.length;
  return bytesOfSubmission(submission) + costPerKeyByte * keyBytes;
}

/** Cuts what need not be committed together into parts that one transaction takes; each has at least one write. */
export function partsOfWrites(writes: readonly ReceivedWrite[]): ReceivedWrite[][] {
  const parts: ReceivedWrite[][] = [];
  let cost = Infinity;
  for (const received of writes) {
    const own = costOfSubmission({ kind: 'received', writes: [received], peer: '' });
    if (cost + own > limits.commitCostMax) {
      parts.push([]);
      cost = 0;
    }
    parts.at(-1)?.push(received);
    cost += own;
  }
  return parts;
}

export function bytesOfSubmission(submission: Submission): number {
  let bytes = 0;
  if (submission.kind === 'local') {
    for (const op of submission.ops) bytes += op.key.length + (op.kind === 'set' ? op.value.length : 0);
  } else {
    for (const { write } of submission.writes) bytes += write.key.length + write.value.length;
  }
  return bytes;
}
