/** Signature blocks taken apart step by step, as SPEC.md says it: what the quicker ways of the code are held against. */
import { type WriteId } from '../../src/core/write.ts';
import {
  branchOf,
  isOnTheLeft,
  leafOf,
  shapeOf,
  siblingAt,
  signatureOf,
  type Sibling,
  type SignatureBlock,
} from '../../src/grant/signatureBlock.ts';

/** Undefined for the block of length 0. Error: `malformed`. */
export function decodeSignatureBlock(bytes: Uint8Array): SignatureBlock | undefined {
  const shape = shapeOf(bytes);
  if (shape === undefined) return undefined;
  const path = Array.from({ length: shape.pathLength }, (_, i) => {
    const side = isOnTheLeft(shape, i) ? ('left' as const) : ('right' as const);
    return { side, digest: bytes.subarray(siblingAt(i), siblingAt(i + 1)) };
  });
  return { path, signature: signatureOf(bytes) };
}

/** The root that the path leads to from the write. */
export function rootOfPath(id: WriteId, path: readonly Sibling[]): Uint8Array {
  let digest = leafOf(id);
  for (const { side, digest: sibling } of path) digest = side === 'left' ? branchOf(sibling, digest) : branchOf(digest, sibling);
  return digest;
}
