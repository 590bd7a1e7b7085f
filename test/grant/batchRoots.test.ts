import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { digestBytes, parseWriteId, type WriteId } from '../../src/core/write.ts';
import { BatchRoots } from '../../src/grant/batchRoots.ts';
import { signWrites } from '../../src/grant/signatureBlock.ts';
import { WriteSignatures } from '../../src/grant/writeSignatures.ts';
import { decodeSignatureBlock, rootOfPath } from './plainBlocks.ts';
import { person, signatures } from './world.ts';

const meshId = Buffer.alloc(32, 5);

interface Signed {
  readonly id: WriteId;
  readonly block: Uint8Array;
}

function batchOf(count: number, name = 'batch'): Signed[] {
  const ids = Array.from({ length: count }, (_, i) => parseWriteId(createHash('sha256').update(`${name} ${count} ${i}`).digest()));
  return signWrites(meshId, ids, person('writer')).map((block, i) => ({ id: ids[i]!, block }));
}

function rootOf({ id, block }: Signed): Uint8Array {
  return rootOfPath(id, decodeSignatureBlock(block)!.path);
}

/** With one bit turned. */
function turned(bytes: Uint8Array, bit: number): Buffer {
  const other = Buffer.from(bytes);
  other[bit >> 3]! ^= 1 << (bit & 7);
  return other;
}

function isBlock(block: Uint8Array): boolean {
  try {
    return decodeSignatureBlock(block) !== undefined;
  } catch {
    return false;
  }
}

describe('roots of batches', () => {
  it('T8: are those that each write leads to alone, in whatever order writes of whatever batches come', () => {
    const batches = [1, 2, 3, 5, 7, 64, 100, 255, 256].map((count) => batchOf(count));
    const inOrder = batches.flat();
    const byTurns = inOrder.map((_, i) => inOrder[(i * 7) % inOrder.length]!);
    const woven = Array.from({ length: 256 }, (_, i) => batches.flatMap((batch) => batch.slice(i, i + 1))).flat();
    for (const order of [inOrder, [...inOrder].reverse(), byTurns, woven, inOrder.flatMap((each) => [each, each])]) {
      const roots = new BatchRoots();
      for (const signed of order) assert.deepEqual(roots.of(signed.id, signed.block), rootOf(signed));
    }
  });

  it('T8: T15: next to a write of the same batch, every bit of a block and of an id counts as it does alone', () => {
    for (const count of [2, 3, 8, 11]) {
      const batch = batchOf(count);
      for (const [i, { id, block }] of batch.entries()) {
        const before = batch[(i + count - 1) % count]!;
        const wrong = [
          ...Array.from({ length: block.length * 8 }, (_, bit) => ({ id, block: turned(block, bit) })),
          ...Array.from({ length: digestBytes * 8 }, (_, bit) => ({ id: parseWriteId(turned(id, bit)), block })),
          ...batch.map((other) => ({ id, block: other.block })),
        ];
        for (const signed of wrong.filter((each) => isBlock(each.block))) {
          const roots = new BatchRoots();
          roots.of(before.id, before.block);
          assert.deepEqual(roots.of(signed.id, signed.block), rootOf(signed));
        }
      }
    }
  });

  it('T8: are the same where the block of the write before is another by now', () => {
    const [first, second] = batchOf(8) as [Signed, Signed];
    for (let bit = 0; bit < second.block.length * 8; bit += 1) {
      const block = turned(second.block, bit);
      if (!isBlock(block)) continue;
      const roots = new BatchRoots();
      const place = Buffer.from(first.block);
      roots.of(first.id, place);
      place.set(turned(first.block, bit));
      assert.deepEqual(roots.of(second.id, block), rootOf({ id: second.id, block }), String(bit));
    }
  });

  it('T15: what holds for the write before holds for the next one of its batch, and not under another signature or key', async () => {
    const verifier = new WriteSignatures(meshId, signatures);
    const { publicKey } = person('writer');
    const [first, second] = batchOf(2);
    assert.equal(await verifier.hold(publicKey, first!.id, first!.block), true);
    assert.equal(await verifier.hold(publicKey, second!.id, turned(second!.block, second!.block.length * 8 - 300)), false);
    assert.equal(await verifier.hold(publicKey, first!.id, first!.block), true);
    assert.equal(await verifier.hold(person('other').publicKey, second!.id, second!.block), false);
    assert.equal(verifier.hold(publicKey, second!.id, second!.block), true); // at once: nothing is checked again
  });

  it('T15: a batch that comes in one go waits for one check, in one promise', async () => {
    const verifier = new WriteSignatures(meshId, signatures);
    const { publicKey } = person('writer');
    const found = batchOf(64).map(({ id, block }) => verifier.hold(publicKey, id, block));
    assert.equal(new Set(found).size, 1);
    assert.equal(await found[0], true);
  });
});
