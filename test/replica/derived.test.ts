import assert from 'node:assert/strict';
import fc from 'fast-check';
import { silentLog } from '../../src/core/ports.ts';
import { makeStamp, parseInstance, physicalMsMax } from '../../src/core/stamp.ts';
import { grantZero, parseGrantId } from '../../src/core/write.ts';
import { scrub } from '../../src/aae/scrub.ts';
import { tables } from '../../src/store/keyspace.ts';
import { storeLimits } from '../../src/store/store.ts';
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
/** Around the limit up to which values are part of their heads, and that up to which a store keeps them whole. */
const values = fc
  .oneof(
    { weight: 5, arbitrary: fc.constantFrom(0, 1, 253, 254, 255, 256) },
    { weight: 1, arbitrary: fc.constant(storeLimits.wholeBytesMax + 1) },
  )
  .map((bytes) => 'v'.repeat(bytes));
const local: fc.Arbitrary<Step> = fc
  .uniqueArray(fc.tuple(names, fc.constantFrom('set', 'expiring', 'delete'), values), {
    minLength: 1,
    maxLength: 5,
    selector: ([name]) => name,
  })
  .map(
    (ops) => (instance) =>
      instance.replica.write(
        ops.map(([name, kind, value]) =>
          kind === 'delete'
            ? remove(name)
            : { ...set(name, value), kind: 'set', value: Buffer.from(value), expiresInMs: kind === 'set' ? undefined : 1_000 },
        ),
      ),
  );
const twice: fc.Arbitrary<Step> = fc.tuple(names, values, values).map(
  ([name, first, second]) =>
    (instance) =>
      Promise.all([
        instance.replica.write([set(name, first)]),
        instance.replica.write([remove(name)]),
        instance.replica.write([set(name, second)]),
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
      value: values,
    }),
    { minLength: 1, maxLength: 8 },
  )
  .map(
    (list) => (instance) =>
      instance.replica.receive(
        list.map(({ name, ms, leaf, tombstone, expires, value }) => {
          const version = makeStamp(baseMs + ms, 0, parseInstance(new Uint8Array(8).fill(7)));
          return received(digests, name, version, version, { leaf, tombstone, value, expiresAt: expires ? baseMs + 500 : 0 });
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
  it('R11: after any history there is one feed row, one value in its head or in a row, and the right index rows for each candidate, and no other', async () => {
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
        assert.deepEqual((await scrub(instance.store, instance.digests, silentLog, never)).damaged, []);
      }),
      { numRuns: 100 },
    );
  });

  it('S11: R11: an overwrite moves the feed row to the end, in its own commit: no reader finds both, or neither', async () => {
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
