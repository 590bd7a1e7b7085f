import { ByteReader } from '../core/bytes.ts';
import { assert } from '../core/errors.ts';
import { digestBytes, type WriteId } from '../core/write.ts';
import { sha256 } from '../crypto/digest.ts';
import { type SigningKey } from '../crypto/ed25519.ts';
import { grantLimits } from './limits.ts';

/** A signature over the Merkle root of a batch of writes, and the way from one write up to that root. */
export interface SignatureBlock {
  /** From the write upwards. */
  readonly path: readonly Sibling[];
  /** 64 bytes, of the root. */
  readonly signature: Uint8Array;
}

export interface Sibling {
  readonly side: 'left' | 'right';
  readonly digest: Uint8Array;
}

const signatureBytes = 64;

/** length u16 of what follows | pathLen u8 ≤ 8 | sides u8: bit i where sibling i is on the left | siblings 32 each | signature 64. */
export function encodeSignatureBlock({ path, signature }: SignatureBlock): Uint8Array {
  const bytes = Buffer.alloc(2 + 2 + path.length * digestBytes + signatureBytes);
  bytes.writeUInt16BE(bytes.length - 2, 0);
  bytes.writeUInt8(path.length, 2);
  let sides = 0;
  for (const [i, { side, digest }] of path.entries()) {
    if (side === 'left') sides |= 1 << i;
    bytes.set(digest, siblingAt(i));
  }
  bytes.writeUInt8(sides, 3);
  bytes.set(signature, bytes.length - signatureBytes);
  return bytes;
}

/** Of a block that is one: 64 bytes. */
export function signatureOf(block: Uint8Array): Uint8Array {
  return block.subarray(block.length - signatureBytes);
}

/** Of a block, what the rest of it follows from. */
export interface BlockShape {
  readonly pathLength: number;
  /** Bit i: sibling i is on the left. */
  readonly sides: number;
}

/** Undefined for the block of length 0, which writes of an open mesh have. Error: `malformed` for everything that is not exactly one block. */
export function shapeOf(bytes: Uint8Array): BlockShape | undefined {
  const reader = new ByteReader(bytes, 'signature block');
  const length = reader.u16();
  if (length !== reader.left) throw reader.fail(`says ${length} bytes, has ${reader.left}`);
  if (length === 0) return undefined;
  const pathLength = reader.u8();
  if (pathLength > grantLimits.pathMax) throw reader.fail(`${pathLength} siblings, at most ${grantLimits.pathMax}`);
  const sides = reader.u8();
  if (sides >> pathLength !== 0) throw reader.fail(`sides ${sides} for ${pathLength} siblings`);
  const left = pathLength * digestBytes + signatureBytes;
  if (reader.left !== left) throw reader.fail(`${reader.left} bytes of siblings and signature, ${left} for ${pathLength} siblings`);
  return { pathLength, sides };
}

export function isOnTheLeft({ sides }: BlockShape, sibling: number): boolean {
  return ((sides >> sibling) & 1) === 1;
}

/** Where a sibling begins in a block; behind the last one the signature does. */
export function siblingAt(sibling: number): number {
  return 4 + sibling * digestBytes;
}

/** What is signed: the label, the mesh id, the root. */
export function batchMessage(meshId: Uint8Array, root: Uint8Array): Uint8Array {
  return Buffer.concat([batchLabel, meshId, root]);
}

/** One signature for 1 to 256 writes: the encoded block of each. */
export function signWrites(meshId: Uint8Array, ids: readonly WriteId[], key: SigningKey): Uint8Array[] {
  assert(ids.length >= 1 && ids.length <= 1 << grantLimits.pathMax, 'one signature is for 1 to 256 writes');
  const { root, paths } = treeOf(ids.map(leafOf));
  const signature = key.sign(batchMessage(meshId, root));
  return paths.map((path) => encodeSignatureBlock({ path, signature }));
}

const batchLabel = Buffer.from('gkvmesh/batch/v1\0');

/** What is hashed is put together in place: there are two digests a write, and eight for one that is verified. */
const leafInput = Buffer.alloc(1 + digestBytes, 0);
const branchInput = Buffer.alloc(1 + 2 * digestBytes, 1);

export function leafOf(id: WriteId): Buffer {
  leafInput.set(id, 1);
  return sha256(leafInput);
}

export function branchOf(left: Uint8Array, right: Uint8Array): Buffer {
  branchInput.set(left, 1);
  branchInput.set(right, 1 + digestBytes);
  return sha256(branchInput);
}

/** The tree of RFC 6962, 2.1: on the left the greatest power of two that leaves something for the right. */
function treeOf(leaves: readonly Uint8Array[]): { root: Uint8Array; paths: Sibling[][] } {
  const [only] = leaves;
  if (leaves.length === 1 && only !== undefined) return { root: only, paths: [[]] };
  let half = 1;
  while (half * 2 < leaves.length) half *= 2;
  const left = treeOf(leaves.slice(0, half));
  const right = treeOf(leaves.slice(half));
  for (const path of left.paths) path.push({ side: 'right', digest: right.root });
  for (const path of right.paths) path.push({ side: 'left', digest: left.root });
  return { root: branchOf(left.root, right.root), paths: [...left.paths, ...right.paths] };
}
