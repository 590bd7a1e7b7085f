import assert from 'node:assert/strict';
import fc from 'fast-check';
import { makeStamp, parseInstance, physicalMsMax } from '../../src/core/stamp.ts';
import { grantZero, parseGrantId } from '../../src/core/write.ts';
import { tables } from '../../src/store/keyspace.ts';
import { openInstance, remove, set, type Instance } from '../aae/world.ts';
import { FakeClock } from '../support.ts';
import { received } from './received.ts';
import { expectedRows, rowsOf } from './rows.ts';

const never = new AbortController().signal;
const floorTop = makeStamp(physicalMsMax, 0, parseInstance(new Uint8Array(8)));
const baseMs = new FakeClock().now();
const grants = [grantZero, parseGrantId(new Uint8Array(32).fill(1)), parseGrantId(new Uint8Array(32).fill(2))];
const { digests } = await openInstance();

type Step = (instance: Instance) => Promise<unknown>;

const names = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const local: fc.Arbitrary<Step> = fc
  .uniqueArray(fc.tuple(names, fc.constantFrom('set', 'expiring', 'delete')), { minLength: 1, maxLength: 5, selector: ([name]) => name })
  .map(
    (ops) => (instance) =>
      instance.replica.write(
        ops.map(([name, kind]) =>
          kind === 'delete'
            ? remove(name)
            : { ...set(name, 'v'), kind: 'set', value: Buffer.from('v'), expiresInMs: kind === 'set' ? undefined : 1_000 },
        ),
      ),
  );
const twice: fc.Arbitrary<Step> = names.map(
  (name) => (instance) =>
    Promise.all([
      instance.replica.write([set(name, '1')]),
      instance.replica.write([remove(name)]),
      instance.replica.write([set(name, '2')]),
    ]),
);
const remote: fc.Arbitrary<Step> = fc
  .array(
    fc.record({
      name: names,
      ms: fc.integer({ min: -5, max: 5 }),
      leaf: fc.constantFrom(...grants),
      tombstone: fc.boolean(),
      expires: fc.boolean(),
    }),
    { minLength: 1, maxLength: 8 },
  )
  .map(
    (list) => (instance) =>
      instance.replica.receive(
        list.map(({ name, ms, leaf, tombstone, expires }) => {
          const version = makeStamp(baseMs + ms, 0, parseInstance(new Uint8Array(8).fill(7)));
          return received(digests, name, version, version, { leaf, tombstone, expiresAt: expires ? baseMs + 500 : 0 });
        }),
        'peer',
      ),
  );
const collect: fc.Arbitrary<Step> = fc.constant((instance) => instance.replica.collect(floorTop, never));
const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: local },
    { weight: 1, arbitrary: twice },
    { weight: 4, arbitrary: remote },
    { weight: 1, arbitrary: collect },
  ),
  { maxLength: 15 },
);

describe('what follows an entry', () => {
  it('R11: after any history there is one feed row, one value and the right index rows for each candidate, and no other', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        const instance = await openInstance();
        for (const step of list) {
          await step(instance);
          assert.deepEqual(
            await rowsOf(instance.store, 'derived').then((rows) => new Map([...rows].sort())),
            await expectedRows(instance.store),
          );
        }
      }),
      { numRuns: 100 },
    );
  });

  it('R11: an overwrite moves the feed row to the end', async () => {
    const { replica, store } = await openInstance();
    const feed = async (): Promise<string[]> =>
      [...(await rowsOf(store, 'derived'))]
        .filter(([row]) => row.startsWith(tables.feed.toString(16)))
        .map(([, value]) => Buffer.from(value.slice(64), 'hex').toString());
    await replica.write([set('a', '1')]);
    await replica.write([set('b', '1'), set('c', '1')]);
    assert.deepEqual(await feed(), ['a', 'b', 'c']);
    await replica.write([set('a', '2')]);
    assert.deepEqual(await feed(), ['b', 'c', 'a']);
    await replica.write([remove('b')]);
    assert.deepEqual(await feed(), ['c', 'a', 'b']);
  });
});
