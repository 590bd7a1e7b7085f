import assert from 'node:assert/strict';
import fc from 'fast-check';
import { estimateBytes } from '../../src/store/lmdb/estimate.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { ReadConflicts, RecentCommits } from '../../src/store/optimistic/conflicts.ts';
import { RangeSet, type Span } from '../../src/store/optimistic/ranges.ts';
import { SortedKeys } from '../../src/store/optimistic/sortedKeys.ts';
import { WriteBuffer } from '../../src/store/optimistic/writeBuffer.ts';
import { seededRandom } from '../support.ts';
import { bytes, everything } from './suite/stores.ts';

const alphabet = Array.from('abcdefghij');
const letter = fc.constantFrom(...alphabet);
const letters: fc.Arbitrary<Span> = fc
  .tuple(letter, letter)
  .filter(([a, b]) => a !== b)
  .map(([a, b]) => (a < b ? { start: a, end: b } : { start: b, end: a }));

describe('optimistic transactions', () => {
  it('a range set holds what its spans hold, and its gaps are the rest', () => {
    fc.assert(
      fc.property(fc.array(letters, { maxLength: 8 }), letters, (spans, asked) => {
        const set = new RangeSet();
        for (const span of spans) set.add(span);
        const held = (key: string): boolean => spans.some(({ start, end }) => start <= key && key < end);
        for (const key of alphabet) assert.equal(set.has(key), held(key));
        const gaps = set.gaps(asked);
        for (const key of alphabet) {
          const isGap = gaps.some(({ start, end }) => start <= key && key < end);
          assert.equal(isGap, asked.start <= key && key < asked.end && !held(key));
        }
        assert.equal(
          set.intersects(asked),
          alphabet.some((key) => asked.start <= key && key < asked.end && held(key)),
        );
        set.spans.forEach(({ start }, at) => {
          assert(at === 0 || set.spans[at - 1]!.end < start, 'disjoint and not adjacent');
        });
      }),
    );
  });

  it('sorted keys are those that were added and not removed, in order', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('add' as const), keys: fc.uniqueArray(fc.string(), { maxLength: 40 }) }),
      fc.record({ kind: fc.constant('remove' as const), start: fc.string(), end: fc.string() }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 10 }), (steps) => {
        const sorted = new SortedKeys();
        const model = new Set<string>();
        for (const each of steps) {
          if (each.kind === 'add') {
            for (const key of each.keys.filter((it) => !model.has(it))) {
              sorted.add(key);
              model.add(key);
            }
          } else if (each.start < each.end) {
            sorted.remove(each.start, each.end);
            for (const key of [...model]) if (each.start <= key && key < each.end) model.delete(key);
          }
          assert.deepEqual(
            sorted.between('', '\uffff'),
            [...model].filter((it) => it < '\uffff').sort((a, b) => (a < b ? -1 : 1)),
          );
        }
      }),
    );
  });

  it('forgets commits that no transaction is older than', () => {
    const recent = new RecentCommits();
    const reads = new ReadConflicts();
    reads.keys.push('k');
    recent.begin(1);
    recent.record(2, writing('k'));
    assert.equal(recent.conflict(reads, 1), true);
    assert.equal(recent.conflict(reads, 2), false);
    recent.end(1);
    assert.equal(recent.conflict(reads, 1), false, 'there is nobody at 1 any more');
  });

  it('remembers a bounded number of keys; who is older than those is too old', () => {
    const recent = new RecentCommits(3);
    const reads = new ReadConflicts();
    reads.keys.push('x');
    recent.begin(0);
    for (let version = 1; version <= 3; version += 1) recent.record(version, writing('k'));
    assert.equal(recent.conflict(reads, 0), false);
    recent.record(4, writing('k'));
    assert.throws(() => recent.conflict(reads, 0), { code: 'transaction_too_old' });
    assert.equal(recent.conflict(reads, 1), false);
  });

  it('estimates the bytes of a large range within a factor of two, however its keys lie', () => {
    for (const skew of [1, 3]) {
      const database = new MemoryDatabase();
      const buffer = new WriteBuffer();
      const random = seededRandom(skew);
      let real = 0;
      for (let at = 0; at < 20_000; at += 1) {
        const key = Buffer.alloc(12, 'k/');
        key.writeUInt32BE(Math.floor(random.fraction() ** skew * 2 ** 32), 2);
        key.writeUInt32BE(at, 6);
        const value = Buffer.alloc(Math.floor(random.fraction() * 200));
        buffer.set(key, value);
        real += key.length + value.length;
      }
      database.apply(buffer);
      const estimate = estimateBytes(database.view(), everything);
      assert(estimate > real / 2 && estimate < real * 2, `estimated ${estimate}, it is ${real}`);
      const few = { start: bytes('k/'), end: Buffer.from([0x6b, 0x2f, 0, 0, 1]) };
      assert(estimateBytes(database.view(), few) <= real);
      assert.equal(estimateBytes(database.view(), { start: bytes('x'), end: bytes('a') }), 0);
    }
  });
});

function writing(key: string): WriteBuffer {
  const buffer = new WriteBuffer();
  buffer.set(bytes(key), bytes(''));
  return buffer;
}
