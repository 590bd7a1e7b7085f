import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compareBytes } from '../../src/core/bytes.ts';
import { keyWithin, storeKey, tableRange, tables, type Table } from '../../src/store/keyspace.ts';

const names = Object.values(tables);
const table = fc.constantFrom(...names);
const part = fc.uint8Array({ maxLength: 4 });

function number(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
}

function isWithin(key: Uint8Array, of: Table): boolean {
  const { start, end } = tableRange(of);
  return compareBytes(start, key) <= 0 && compareBytes(key, end) < 0;
}

describe('keys of the store', () => {
  it('C26: no two tables have the same first byte, and a table’s range holds its keys alone', () => {
    assert.equal(new Set(names).size, names.length);
    fc.assert(
      fc.property(table, table, part, (one, other, within) => {
        const key = storeKey(one, within);
        assert.equal(isWithin(key, other), one === other);
        assert.deepEqual(Buffer.from(keyWithin(key)), Buffer.from(within));
      }),
    );
  });

  it('C26: the order of keys is that of their tables, then of their numbers, then of what follows', () => {
    const row = fc.record({ of: table, value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), rest: part });
    fc.assert(
      fc.property(row, row, (a, b) => {
        const [left, right] = [a, b].map(({ of, value, rest }) => storeKey(of, number(value), rest)) as [Uint8Array, Uint8Array];
        const byValue = a.value < b.value ? -1 : a.value > b.value ? 1 : compareBytes(a.rest, b.rest);
        assert.equal(Math.sign(compareBytes(left, right)), a.of === b.of ? Math.sign(byValue) : Math.sign(a.of - b.of));
      }),
    );
  });
});
