import { assert, GkvError } from '../core/errors.ts';
import { compareStamps, makeStamp, noInstance, physicalMsOf, stampFromHex, stampZero } from '../core/stamp.ts';
import { parkingFull } from './batch.ts';
import { mismatchError } from './expected.ts';
import { countOfSubmission, type Submission, type WriteOp } from './proposal.ts';
import { type BatchResult } from './slot.ts';

/** What a submission is answered with: a result for each of its writes, or why it was refused whole. */
export type Outcome = readonly BatchResult[] | GkvError;

/**
 * A submission that was refused whole is stored as one result; where an operation has no authority, with its index in the place of a stamp's ms; where
 * one did not find what it expected, as two: the version that it found, and its index.
 */
export function storedResults(outcome: Outcome): readonly BatchResult[] {
  if (!(outcome instanceof GkvError)) return outcome;
  const { version, index } = outcome.details;
  const at = typeof index === 'number' ? makeStamp(index, 0, noInstance) : stampZero;
  if (outcome.code !== 'version_mismatch') return [{ status: typeof index === 'number' ? 'denied' : 'refused', stamp: at }];
  const found = { status: 'refused', stamp: typeof version === 'string' ? stampFromHex(version) : stampZero } as const;
  return [found, { status: 'refused', stamp: at }];
}

/** What callers of ours ask for, which may be refused for one of its operations. */
export type OwnSubmission = Extract<Submission, { kind: 'local' | 'signed' }>;

/** The stored results, given back to the submissions that they answer. */
export function splitResults(
  submissions: readonly Submission[],
  results: readonly BatchResult[],
  denied: (submission: OwnSubmission, index: number) => GkvError,
): Outcome[] {
  let at = 0;
  return submissions.map((submission) => {
    const [found, refused] = results.slice(at, at + 2);
    if ((submission.kind === 'local' || submission.kind === 'signed') && found?.status === 'denied') {
      at += 1;
      return denied(submission, physicalMsOf(found.stamp));
    }
    if (found?.status === 'refused') {
      at += submission.kind === 'local' ? 2 : 1;
      return submission.kind === 'local' ? mismatchOf(submission.ops, found, refused) : parkingFull();
    }
    const count = countOfSubmission(submission);
    at += count;
    return results.slice(at - count, at);
  });
}

function mismatchOf(ops: readonly WriteOp[], found: BatchResult, refused: BatchResult | undefined): GkvError {
  const index = refused === undefined ? -1 : physicalMsOf(refused.stamp);
  return mismatchError(index, opAt(ops, index).expected, compareStamps(found.stamp, stampZero) === 0 ? undefined : found.stamp);
}

function opAt(ops: readonly WriteOp[], index: number): WriteOp {
  const op = ops[index];
  assert(op !== undefined, 'a stored refusal names one of the operations');
  return op;
}
