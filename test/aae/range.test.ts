import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decodeEntry } from '../../src/core/entry.ts';
import { compareBytes } from '../../src/core/bytes.ts';
import { allKeys, type KeyRange } from '../../src/core/key.ts';
import { stampZero } from '../../src/core/stamp.ts';
import { addInto, zeroSum, type Sum } from '../../src/core/sum.ts';
import { Fingerprints } from '../../src/aae/fingerprint.ts';
import { growStep } from '../../src/aae/grow.ts';
import { RangeView } from '../../src/aae/range.ts';
import { entrySum } from '../../src/aae/sums.ts';
import { headKey } from '../../src/replica/change.ts';
import { keyWithin, tableRange, tables } from '../../src/store/keyspace.ts';
import { scanned } from '../store/scanned.ts';
import { type Snapshot } from '../../src/store/store.ts';
import { key, openInstance, set, type Instance } from './world.ts';

/** What lies in the range, by looking at every head. */
async function countedSum(snapshot: Snapshot, { start, end }: KeyRange, { digests }: Instance): Promise<Sum> {
  const sum = zeroSum();
  for await (const row of scanned(snapshot, tableRange(tables.head))) {
    const at = keyWithin(row.key);
    if (compareBytes(at, start) >= 0 && (end === null || compareBytes(at, end) < 0))
      addInto(sum, entrySum(decodeEntry(row.value), digests));
  }
  return sum;
}

const name = fc.integer({ min: 0, max: 120 }).map((n) => `k${String(n).padStart(3, '0')}`);
const scope = fc.option(fc.tuple(name, name));
const fineness = fc.record({
  parts: fc.integer({ min: 2, max: 12 }),
  idsMax: fc.constant(8),
  wholeMax: fc.integer({ min: 1, max: 8 }),
  evenMax: fc.integer({ min: 0, max: 40 }),
});

describe('ranges of an exchange', () => {
  it('A4: the parts of any range make it up, and each is told with what it holds, along bounds of any level and between keys', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(name, { maxLength: 90 }),
        scope,
        fineness,
        fc.integer({ min: 0, max: 4 }),
        async (names, between, how, steps) => {
          const instance = await openInstance({ fan: 3 });
          if (names.length > 0) await instance.replica.write(names.map((each) => set(each, each)));
          for (let step = 0; step < steps; step += 1) await growStep(instance.store, instance.digests, { max: 4, min: 2 });
          const [start, end] = between === null ? [undefined, undefined] : [...between].sort();
          const range = start === undefined || end === undefined || start === end ? allKeys : { start: key(start), end: key(end) };
          const prints = new Fingerprints(instance.digests, new Uint8Array(16));
          await instance.store.read(async (snapshot) => {
            const view = new RangeView(snapshot, instance.digests, prints, stampZero);
            const { start: first, parts } = await view.parts(range, how);
            assert.deepEqual(first, range.start);
            assert.deepEqual(parts.at(-1)?.end, range.end);
            assert.ok(parts.length <= how.parts);
            let from = first;
            for (const { end: to, fingerprint } of parts) {
              assert.deepEqual(fingerprint, prints.of(await countedSum(snapshot, { start: from, end: to }, instance)));
              from = to ?? from;
            }
          });
        },
      ),
      { numRuns: 200 },
    );
  });

  it('A4: an entry that is damaged stands in the way of none before it', async () => {
    const instance = await openInstance();
    await instance.replica.write(Array.from({ length: 20 }, (_, i) => set(`k${i + 10}`, 'v')));
    await instance.store.transact((tx) => {
      tx.set(headKey(key('k25')), Buffer.of(9));
      return Promise.resolve();
    });
    const prints = new Fingerprints(instance.digests, new Uint8Array(16));
    const found: string[] = [];
    await assert.rejects(
      instance.store.read(async (snapshot) => {
        const view = new RangeView(snapshot, instance.digests, prints, stampZero);
        for await (const page of view.writes(allKeys)) for (const listed of page) found.push(Buffer.from(listed.key).toString());
      }),
      { code: 'corrupt' },
    );
    assert.deepEqual(
      found,
      Array.from({ length: 15 }, (_, i) => `k${i + 10}`),
    );
  });
});
