import { type Head } from '../core/entry.ts';
import { GkvError } from '../core/errors.ts';
import { stampToHex, type Stamp } from '../core/stamp.ts';
import { type Expected, type WriteOp } from './proposal.ts';

/** Why a batch is not taken in: the first of its operations that finds another version than it expects. `visibleOf`: what is seen at its key. */
export function mismatchIn(ops: readonly WriteOp[], visibleOf: (op: WriteOp) => Head | undefined): GkvError | undefined {
  for (const [index, op] of ops.entries()) {
    if (op.expected.kind === 'any') continue;
    const visible = visibleOf(op);
    if (!meets(op.expected, visible)) return mismatchError(index, op.expected, visible?.version);
  }
  return undefined;
}

function meets(expected: Expected, visible: Head | undefined): boolean {
  switch (expected.kind) {
    case 'any':
      return true;
    case 'absent':
      return visible === undefined;
    case 'version':
      return visible !== undefined && Buffer.compare(visible.version, expected.version) === 0;
  }
}

/** `current` is the visible version that the operation found. */
export function mismatchError(index: number, expected: Expected, current: Stamp | undefined): GkvError {
  const version = current === undefined ? null : stampToHex(current);
  const wanted = expected.kind === 'version' ? `version ${stampToHex(expected.version)}` : 'no such key';
  return new GkvError(
    'version_mismatch',
    `operation ${index} expects ${wanted}, but ${version === null ? 'the key is absent' : `its version is ${version}`}`,
    { details: { version, index } },
  );
}
