import { asBuffer } from '../core/bytes.ts';
import { assert } from '../core/errors.ts';
import { digestBytes, type WriteId } from '../core/write.ts';
import { branchOf, isOnTheLeft, leafOf, shapeOf, siblingAt, type BlockShape } from './signatureBlock.ts';

/** The way of one write up to the root of its batch. */
interface Way {
  readonly block: Buffer;
  readonly shape: BlockShape;
  /** From the leaf to the root. */
  readonly digests: readonly Buffer[];
}

interface Met {
  /** Above where they met. */
  readonly digests: readonly Buffer[];
  readonly root: Buffer;
}

/**
 * The roots that signature blocks lead to. Writes of one batch mostly come one behind the other, in order: from where the way of one meets that
 * of the one before, nothing is hashed again, which leaves about two digests a write of log2(batch) + 1.
 */
export class BatchRoots {
  #before: Way | undefined;

  /**
   * The very same object as for the write before where both have the same signature and meet. The block is one, and not the one of length 0.
   */
  of(id: WriteId, bytes: Uint8Array): Uint8Array {
    const block = asBuffer(bytes);
    const shape = shapeOf(block);
    assert(shape !== undefined, 'a write without a signature is in no batch');
    let digest = leafOf(id);
    const digests = [digest];
    for (let level = 0; level < shape.pathLength; level += 1) {
      const above = this.#met({ block, shape, level, digest });
      if (above !== undefined) {
        this.#keep({ block, shape, digests: [...digests, ...above.digests] });
        return above.root;
      }
      const sibling = block.subarray(siblingAt(level), siblingAt(level + 1));
      digest = isOnTheLeft(shape, level) ? branchOf(sibling, digest) : branchOf(digest, sibling);
      digests.push(digest);
    }
    this.#keep({ block, shape, digests });
    return digest;
  }

  /** A copy: it rests on nobody leaving the bytes as they are, and keeps no whole frame. */
  #keep(way: Way): void {
    this.#before = { ...way, block: Buffer.from(way.block) };
  }

  /**
   * The digests above a level, where the way of the write before came from the other side there, and all above and the signature are the same: both hash the
   * same two digests then.
   */
  #met({ block, shape, level, digest }: Omit<Way, 'digests'> & { level: number; digest: Buffer }): Met | undefined {
    if (this.#before === undefined) return undefined;
    const { block: other, shape: otherShape, digests } = this.#before;
    const there = level + otherShape.pathLength - shape.pathLength;
    const from = digests[there];
    if (there < 0 || from === undefined) return undefined;
    if (isOnTheLeft(shape, level) === isOnTheLeft(otherShape, there)) return undefined;
    if (shape.sides >> (level + 1) !== otherShape.sides >> (there + 1)) return undefined;
    const [at, otherAt] = [siblingAt(level), siblingAt(there)];
    if (digest.compare(other, otherAt, otherAt + digestBytes) !== 0 || from.compare(block, at, at + digestBytes) !== 0) return undefined;
    const isSameAbove = block.compare(other, otherAt + digestBytes, other.length, at + digestBytes, block.length) === 0;
    const root = digests.at(-1);
    return isSameAbove && root !== undefined ? { digests: digests.slice(there + 1), root } : undefined;
  }
}
