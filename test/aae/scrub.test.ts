import assert from 'node:assert/strict';
import fc from 'fast-check';
import { growStep } from '../../src/aae/grow.ts';
import { readTreeState } from '../../src/aae/records.ts';
import { scrub, type ScrubReport } from '../../src/aae/scrub.ts';
import { silentLog } from '../../src/core/ports.ts';
import { isZeroSum } from '../../src/core/sum.ts';
import { rootSum } from '../../src/aae/tree.ts';
import { headKey, valueKey } from '../../src/replica/change.ts';
import { grantZero } from '../../src/core/write.ts';
import { makeStamp, parseInstance, physicalMsMax } from '../../src/core/stamp.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { keyWithin, levelKey, tableKeys, tables } from '../../src/store/keyspace.ts';
import { allKeys } from '../../src/core/key.ts';
import { type Store, type Transaction } from '../../src/store/store.ts';
import { observing } from '../store/observing.ts';
import { forwarded } from '../store/wrap.ts';
import { FakeClock } from '../support.ts';
import { assertTree } from './oracle.ts';
import { failsOnPurpose, key, openInstance, remove, set, type Instance } from './world.ts';

const never = new AbortController().signal;
const floorTop = makeStamp(physicalMsMax, 0, parseInstance(new Uint8Array(8)));

const scrubbed = ({ store, digests }: Instance): Promise<ScrubReport> => scrub(store, digests, silentLog, never);

/** 600 keys and two levels. */
async function loaded(): Promise<Instance> {
  const instance = await openInstance();
  await instance.replica.write(Array.from({ length: 600 }, (_, i) => set(`k${i}`, 'value')));
  await growTo(instance, 2);
  return instance;
}

async function growTo({ store, digests }: Instance, level: number): Promise<void> {
  while ((await store.read(readTreeState)).active < level) await growStep(store, digests, { max: 0, min: 0 });
}

/** The third bound of a level. */
async function someBound({ store }: Instance, level: number): Promise<Uint8Array> {
  const rows = await store.read((snapshot) => snapshot.range(tableKeys(tables.bound, allKeys, Uint8Array.of(level)), { limit: 3 }));
  return keyWithin(rows[2]?.key ?? new Uint8Array(0), 1);
}

/** The store as the scrubber sees it; `hook` runs after each slice that looked at something, and is told the bound where it ended. */
function afterEachSlice(store: Store, hook: (end: Uint8Array) => Promise<void>): Store {
  return {
    ...forwarded(store),
    transact: async (work, options) => {
      const result = await store.transact(work, options);
      const { branches, next } = result as { branches: number; next: Uint8Array | null }; // a slice: the scrubber does nothing else
      if (branches > 0 && next !== null) await hook(next);
      return result;
    },
  };
}

const damages: Readonly<Record<string, (tx: Transaction, level: number, at: Uint8Array) => void>> = {
  'a wrong sum': (tx, level, at) => {
    tx.set(levelKey(tables.sum, level, at), new Uint8Array(48).fill(1));
  },
  'a missing sum': (tx, level, at) => {
    tx.clear(levelKey(tables.sum, level, at));
  },
  'a missing bound': (tx, level, at) => {
    tx.clear(levelKey(tables.bound, level, at));
  },
  'a superfluous bound': (tx, level) => {
    tx.set(levelKey(tables.bound, level, key('k3zz')), new Uint8Array(0));
  },
  'a superfluous bound and its sum': (tx, level) => {
    tx.set(levelKey(tables.bound, level, key('k3zz')), new Uint8Array(0));
    tx.set(levelKey(tables.sum, level, key('k3zz')), new Uint8Array(48).fill(2));
  },
};

describe('scrub', () => {
  it('A15: a right tree is left alone, and every key and branch is looked at', async () => {
    const instance = await loaded();
    const report = await scrubbed(instance);
    assert.deepEqual([report.keys, report.repaired, report.damaged], [600, 0, []]);
    assert.ok(report.branches > 100);
  });

  for (const level of [1, 2]) {
    for (const [title, damage] of Object.entries(damages)) {
      it(`A15: ${title} at level ${level} is put right and counted`, async () => {
        const instance = await loaded();
        const at = await someBound(instance, level);
        await instance.store.transact((tx) => {
          damage(tx, level, at);
          return Promise.resolve();
        });
        const { repaired, damaged } = await scrubbed(instance);
        assert.deepEqual([failsOnPurpose && repaired === 0 ? 1 : repaired, damaged.length], [1, 0]);
        await assertTree(instance.store, instance.digests);
        await instance.replica.write([set('k3zzz', 'after'), ...Array.from({ length: 50 }, (_, i) => set(`k3${i}x`, 'after'))]);
        await assertTree(instance.store, instance.digests);
        assert.equal((await scrubbed(instance)).repaired, 0);
      });
    }
  }

  for (const [where, bytes, row] of [
    ['in its head', 254, headKey(key('k7'))],
    ['in a row of its own', 255, valueKey(key('k7'), grantZero)],
  ] as const) {
    it(`G17: A16: a flipped bit in any byte of a stored value ${where} is reported, under its key`, async () => {
      const instance = await openInstance();
      await instance.replica.write([set('k6', 'value'), set('k7', 'v'.repeat(bytes)), set('k8', 'v'.repeat(255))]);
      const whole = Buffer.from((await instance.store.read((snapshot) => snapshot.get(row))) ?? []);
      const recordBytes = 2 + bytes; // at the end of either row
      for (let at = whole.length - recordBytes; at < whole.length; at += 1) {
        const flipped = Buffer.from(whole);
        flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
        await instance.store.transact((tx) => {
          tx.set(row, flipped);
          return Promise.resolve();
        });
        const { repaired, damaged } = await scrubbed(instance);
        assert.deepEqual([repaired, damaged.map((name) => Buffer.from(name).toString())], [0, ['k7']], `byte ${at}`);
      }
    });
  }

  it('G17: A16: a value that is gone is reported', async () => {
    const instance = await loaded();
    await instance.replica.write([set('k7', 'v'.repeat(255))]);
    await instance.store.transact((tx) => {
      tx.clear(valueKey(key('k7'), grantZero));
      return Promise.resolve();
    });
    assert.deepEqual((await scrubbed(instance)).damaged.length, 1);
  });

  it('G20: A17: under writers it finds nothing wrong, and the tree stays right', async () => {
    for (let seed = 1; seed <= 5; seed += 1) {
      const database = new MemoryDatabase();
      const one = await openInstance({ database, seed, fan: 3 });
      const two = await openInstance({ database, slot: 1, seed: seed + 50, fan: 3 });
      await one.replica.write(Array.from({ length: 500 }, (_, i) => set(`k${i}`, 'value')));
      await growTo(one, 2);
      const writing = async (): Promise<void> => {
        for (let i = 0; i < 40; i += 1)
          await one.replica.write(Array.from({ length: 5 }, (_, n) => set(`k${(i * 37 + n * 101 + seed) % 700}`, `${i}`)));
      };
      const scrubbing = async (): Promise<void> => {
        for (let i = 0; i < 5; i += 1) assert.deepEqual((await scrubbed(two)).repaired, 0);
      };
      await Promise.all([writing(), scrubbing()]);
      await assertTree(one.store, one.digests);
    }
  });

  it('G20: A17: a bound that is collected as soon as a slice has ended there leads to no finding, and the rest is looked at', async () => {
    const instance = await openInstance({ fan: 2 });
    await instance.replica.write(Array.from({ length: 999 }, (_, i) => set(`k${i}`, 'value')));
    await growTo(instance, 2);
    let collected = 0;
    const store = afterEachSlice(instance.store, async (end) => {
      await instance.replica.write([remove(Buffer.from(end).toString())]);
      collected += await instance.replica.collect(floorTop, never);
    });
    const { keys, repaired, damaged } = await scrub(store, instance.digests, silentLog, never);
    assert.deepEqual([repaired, damaged], [0, []]);
    assert.ok(keys >= 999 - collected && collected > 5, `${keys} keys, ${collected} collected`); // five slices of level 1, and more of level 2
    await assertTree(instance.store, instance.digests);
    assert.equal((await scrubbed(instance)).keys, 999 - collected);
  });

  it('A16: values that take longer than a transaction may are looked at in several', async () => {
    const clock = new FakeClock();
    const instance = await openInstance({ clock });
    const value = 'v'.repeat(100_000);
    for (let i = 0; i < 100; i += 10) await instance.replica.write(Array.from({ length: 10 }, (_, n) => set(`k${i + n}`, value)));
    const slow = observing(instance.store, (name) => {
      if (name === 'get') clock.ms += 100;
    });
    const { keys, repaired, damaged } = await scrub(slow, instance.digests, silentLog, never);
    assert.deepEqual([keys, repaired, damaged], [100, 0, []]);
  });

  it('A17: a bound that is collected between the looks at a slice and the slice leads to no finding, and nothing is left out', async () => {
    const instance = await openInstance({ fan: 2 });
    await instance.replica.write(Array.from({ length: 999 }, (_, i) => set(`k${i}`, 'value')));
    let collected = 0;
    let looks = 0;
    const store: Store = {
      ...forwarded(instance.store),
      read: async (work) => {
        const result = await instance.store.read(work);
        const { next, isEnd } = result as { next?: Uint8Array | null; isEnd?: boolean }; // of a look; the scrubber reads little else
        if (isEnd !== true || next === null || next === undefined) return result;
        looks += 1;
        if (looks > 3) return result;
        await instance.replica.write([remove(Buffer.from(next).toString())]);
        collected += await instance.replica.collect(floorTop, never);
        return result;
      },
    };
    const { keys, repaired, damaged } = await scrub(store, instance.digests, silentLog, never);
    assert.deepEqual([keys, repaired, damaged], [999 - collected, 0, []]);
    assert.equal(collected, 3);
    await assertTree(instance.store, instance.digests);
  });

  it('A16: a head that is damaged between the look at a slice and the slice is reported, and the sums are left as they were', async () => {
    const instance = await openInstance({ fan: 2 });
    await instance.replica.write(Array.from({ length: 999 }, (_, i) => set(`k${i}`, 'value')));
    let isDamaged = false;
    const store: Store = {
      ...forwarded(instance.store),
      read: async (work) => {
        const result = await instance.store.read(work);
        if (isDamaged || (result as { isEnd?: boolean }).isEnd !== true) return result; // of a look; the scrubber reads little else
        isDamaged = true;
        await instance.store.transact((tx) => {
          tx.set(headKey(key('k0')), Buffer.from('no entry'));
          return Promise.resolve();
        });
        return result;
      },
    };
    const sums = (): Promise<unknown> =>
      instance.store.read((snapshot) => snapshot.range(tableKeys(tables.sum, allKeys), { limit: 10_000 }));
    const before = await sums();
    const { repaired, damaged } = await scrub(store, instance.digests, silentLog, never);
    assert.deepEqual([repaired, damaged], [0, [key('k0')]]);
    assert.deepEqual(await sums(), before);
  });

  it('A15: ends early when the signal aborts', async () => {
    const { store, digests } = await loaded();
    const { keys } = await scrub(store, digests, silentLog, AbortSignal.abort());
    assert.equal(keys, 0);
  });
});

describe('levels', () => {
  it('G18: A18: grow to three, drop back to one, with right sums and an equal root at each step (replaced)', async () => {
    const instance = await openInstance({ fan: 3 });
    const { store, digests } = instance;
    await instance.replica.write(Array.from({ length: 800 }, (_, i) => set(`k${i}`, 'v')));
    const root = (): Promise<unknown> =>
      store.read((snapshot) => rootSum(snapshot, digests)).then((sum) => Buffer.from(sum).toString('hex'));
    const before = await root();
    while ((await store.read(readTreeState)).active < 3) {
      await growStep(store, digests, { max: 2, min: 0 });
      await assertTree(store, digests);
      assert.equal(await root(), before);
    }
    for (let level = 2; level >= 1; level -= 1) {
      assert.equal(await growStep(store, digests, { max: 9_000, min: 8_999 }), 'dropped');
      assert.equal((await store.read(readTreeState)).active, level);
      await assertTree(store, digests);
      assert.equal(await root(), before);
    }
    assert.equal(await growStep(store, digests, { max: 9_000, min: 8_999 }), 'nothing');
  });

  it('A18: grow right where the last bound, from which a step would go on, is collected before it', async () => {
    const instance = await openInstance({ fan: 3 });
    const { store, digests, replica } = instance;
    await replica.write(Array.from({ length: 60 }, (_, i) => set(`k${i}`, 'v')));
    const [row] = await store.read((snapshot) =>
      snapshot.range(tableKeys(tables.bound, allKeys, Uint8Array.of(1)), { limit: 1, order: 'reverse' }),
    );
    const last = Buffer.from(keyWithin(row?.key ?? new Uint8Array(0), 1));
    const behind = Array.from({ length: 50 }, (_, i) => `${last.toString()}${i}`).filter((name) => digests.boundLevel(key(name)) === 0);
    await replica.write(behind.map((name) => set(name, 'v')));
    const step = (): Promise<unknown> => growStep(store, digests, { max: 0, min: 0 }, { branches: 1 });
    for (let cursor: Uint8Array | undefined; cursor === undefined || !last.equals(cursor);) {
      await step();
      ({ cursor } = (await store.read(readTreeState)).building ?? { cursor });
    }
    await replica.write([remove(last.toString())]);
    assert.equal(await replica.collect(floorTop, never), 1);
    while ((await store.read(readTreeState)).active < 2) await step();
    await assertTree(store, digests);
  });

  it('A18: random histories of writes, collections, growing, dropping and scrubs keep the tree right', async () => {
    type Step = (instance: Instance) => Promise<unknown>;
    const names = fc.uniqueArray(fc.nat(80), { minLength: 1, maxLength: 40 });
    const steps: fc.Arbitrary<Step> = fc.oneof(
      {
        weight: 4,
        arbitrary: names.map(
          (list): Step =>
            ({ replica }) =>
              replica.write(list.map((n) => set(`k${n}`, 'v'))),
        ),
      },
      {
        weight: 3,
        arbitrary: names.map(
          (list): Step =>
            ({ replica }) =>
              replica.write(list.map((n) => remove(`k${n}`))),
        ),
      },
      { weight: 2, arbitrary: fc.constant<Step>(({ replica }) => replica.collect(floorTop, never)) },
      {
        weight: 3,
        arbitrary: fc.constantFrom({ max: 0, min: 0 }, { max: 5, min: 3 }, { max: 99, min: 98 }).map(
          (sizes): Step =>
            ({ store, digests }) =>
              growStep(store, digests, sizes),
        ),
      },
      {
        weight: 1,
        arbitrary: fc.constant<Step>(async (instance) => {
          assert.equal((await scrubbed(instance)).repaired, 0);
        }),
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { maxLength: 30 }), async (list) => {
        const instance = await openInstance({ fan: 2 });
        for (const step of list) {
          // 12 levels are the most that a key can bound.
          if ((await instance.store.read(readTreeState)).active > 4)
            await growStep(instance.store, instance.digests, { max: 9_000, min: 8_999 });
          await step(instance);
          await assertTree(instance.store, instance.digests);
        }
        await instance.replica.write(Array.from({ length: 81 }, (_, n) => remove(`k${n}`)));
        await instance.replica.collect(floorTop, never);
        await assertTree(instance.store, instance.digests);
        assert.ok(isZeroSum(await instance.store.read((snapshot) => rootSum(snapshot, instance.digests))));
      }),
      { numRuns: 60 },
    );
  });
});
