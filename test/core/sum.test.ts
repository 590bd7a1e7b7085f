import assert from 'node:assert/strict';
import fc from 'fast-check';
import { addInto, bytesOf, copySum, countOf, elementSum, isZeroSum, negate, parseSum, subtractFrom, zeroSum, type Sum } from '../../src/core/sum.ts';

const modulus = 1n << 384n;
const sums = fc.uint8Array({ minLength: 48, maxLength: 48 }).map((bytes) => parseSum(bytes));
const numberOf = (sum: Sum): bigint => BigInt(`0x${Buffer.from(sum).reverse().toString('hex')}`);

function plus(a: Sum, b: Sum): Sum {
  const total = copySum(a);
  addInto(total, b);
  return total;
}

describe('sum', () => {
  it('C6: adds and subtracts as numbers modulo 2^384', () => {
    fc.assert(
      fc.property(sums, sums, (a, b) => {
        assert.equal(numberOf(plus(a, b)), (numberOf(a) + numberOf(b)) % modulus);
        const difference = copySum(a);
        subtractFrom(difference, b);
        assert.equal(numberOf(difference), (modulus + numberOf(a) - numberOf(b)) % modulus);
      }),
    );
  });

  it('C6: sums are a commutative group', () => {
    fc.assert(
      fc.property(sums, sums, sums, (a, b, c) => {
        assert.deepEqual(plus(a, b), plus(b, a));
        assert.deepEqual(plus(plus(a, b), c), plus(a, plus(b, c)));
        assert.deepEqual(plus(a, zeroSum()), a);
        assert.ok(isZeroSum(plus(a, negate(a))));
      }),
    );
  });

  it('C6: count and bytes of a set are read off its sum', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 1_049_600 }), fc.uint8Array({ minLength: 32, maxLength: 32 })), { maxLength: 50 }), (elements) => {
        const total = zeroSum();
        for (const [length, digest] of elements) addInto(total, elementSum(length, digest));
        assert.deepEqual([countOf(total), bytesOf(total)], [elements.length, elements.reduce((bytes, [length]) => bytes + length, 0)]);
      }),
    );
  });
});
