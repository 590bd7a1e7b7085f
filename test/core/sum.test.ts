import assert from 'node:assert/strict';
import fc from 'fast-check';
import { addInto, bytesOf, countOf, isZeroSum, parseSum, subtractFrom, zeroSum, type Sum } from '../../src/core/sum.ts';
import { parseWriteId } from '../../src/core/write.ts';
import { stampZero } from '../../src/core/stamp.ts';
import { MeshDigests, openMesh } from '../../src/crypto/mesh.ts';
import { shown } from './strict.ts';

const digests = new MeshDigests(openMesh);
const modulus = 1n << 384n;
const sums = fc.uint8Array({ minLength: 48, maxLength: 48 }).map((bytes) => parseSum(bytes));
const numberOf = (sum: Sum): bigint => BigInt(`0x${Buffer.from(sum).reverse().toString('hex')}`);

function plus(a: Sum, b: Sum): Sum {
  const total = parseSum(Buffer.from(a));
  addInto(total, b);
  return total;
}

function minus(a: Sum, b: Sum): Sum {
  const difference = parseSum(Buffer.from(a));
  subtractFrom(difference, b);
  return difference;
}

describe('sum', () => {
  it('C6: adds and subtracts as numbers modulo 2^384', () => {
    fc.assert(
      fc.property(sums, sums, (a, b) => {
        assert.equal(numberOf(plus(a, b)), (numberOf(a) + numberOf(b)) % modulus);
        assert.equal(numberOf(minus(a, b)), (modulus + numberOf(a) - numberOf(b)) % modulus);
      }),
    );
  });

  it('C6: sums are a commutative group', () => {
    fc.assert(
      fc.property(sums, sums, sums, (a, b, c) => {
        assert.deepEqual(shown(plus(a, b)), shown(plus(b, a)));
        assert.deepEqual(shown(plus(plus(a, b), c)), shown(plus(a, plus(b, c))));
        assert.deepEqual(shown(plus(a, zeroSum())), shown(a));
        assert.ok(isZeroSum(plus(a, minus(zeroSum(), a))));
        assert.equal(isZeroSum(a), numberOf(a) === 0n);
      }),
    );
  });

  it('C6: count and bytes of a set are read off its sum', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 1_049_600 }), fc.uint8Array({ minLength: 32, maxLength: 32 })), { maxLength: 50 }),
        (elements) => {
          const total = zeroSum();
          for (const [length, id] of elements) addInto(total, digests.element({ version: stampZero, id: parseWriteId(id), length }));
          assert.deepEqual([countOf(total), bytesOf(total)], [elements.length, elements.reduce((bytes, [length]) => bytes + length, 0)]);
        },
      ),
    );
  });
});
