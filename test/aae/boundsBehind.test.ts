import assert from 'node:assert/strict';
import { BoundsCache, trimLog } from '../../src/aae/bounds.ts';
import { scrub } from '../../src/aae/scrub.ts';
import { decodeEntry, encodeEntry } from '../../src/core/entry.ts';
import { silentLog } from '../../src/core/ports.ts';
import { headKey } from '../../src/replica/change.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { type Transaction } from '../../src/store/store.ts';
import { forwardedTransaction } from '../store/wrap.ts';
import { until } from '../support.ts';
import { assertTree } from './oracle.ts';
import { key, openInstance, set } from './world.ts';

describe('bounds in memory', () => {
  it('I5: A9: who is more than 1,000 rows of the log behind loads them anew', async () => {
    const database = new MemoryDatabase();
    const one = await openInstance({ database, fan: 2 });
    const two = await openInstance({ database, slot: 1, seed: 2, fan: 2 });
    await two.replica.write([set('a', '1')]);
    for (let i = 0; i < 2_200; i += 1) await one.replica.write([set(`k${i}`, '1')]);
    await two.replica.write(Array.from({ length: 400 }, (_, i) => set(`k${i * 5}x`, '2')));
    await assertTree(two.store, two.digests);
  });

  it('I5: A9: and who is behind rows that were taken away', async () => {
    const database = new MemoryDatabase();
    const one = await openInstance({ database, fan: 2 });
    const two = await openInstance({ database, slot: 1, seed: 2, fan: 2 });
    await two.replica.write([set('a', '1')]);
    for (let i = 0; i < 200; i += 1) await one.replica.write([set(`k${i}`, '1')]);
    await one.store.transact((tx) => trimLog(tx, 10));
    await two.replica.write(Array.from({ length: 200 }, (_, i) => set(`k${i}x`, '2')));
    await assertTree(two.store, two.digests);
  });

  it('A9: a load that began before another one and ends after it leaves what that one brought', async () => {
    const { store, replica } = await openInstance({ fan: 2 });
    const write = (from: number): Promise<unknown> => replica.write(Array.from({ length: 50 }, (_, i) => set(`k${from + i}`, '1')));
    await write(0);
    const cache = new BoundsCache();
    let goOn = (): void => undefined;
    const newer = new Promise<void>((resolve) => (goOn = resolve));
    const older = store.transact(async (tx) => {
      await tx.get(headKey(key('k0'))); // from here on it sees nothing newer
      await write(100);
      const late: Transaction = {
        ...forwardedTransaction(tx),
        range: async (range, options) => {
          await newer;
          return tx.range(range, options);
        },
      };
      await cache.sync(late);
    });
    await until(async () => (await replica.get(key('k149'))).exists);
    await store.transact(async (tx) => {
      await cache.sync(tx);
      const count = cache.count(1);
      goOn();
      await older;
      assert.equal(cache.count(1), count);
    });
  });
});

describe('scrubbing', () => {
  it('G17: A16: a length that is not that of the key and the value is reported, and no sum made to agree with it', async () => {
    const { store, replica, digests } = await openInstance();
    await replica.write([set('k7', 'value')]);
    const row = headKey(key('k7'));
    await store.transact(async (tx) => {
      const [head] = decodeEntry((await tx.get(row)) ?? new Uint8Array(0));
      assert.ok(head);
      tx.set(row, encodeLike(head));
    });
    const { repaired, damaged } = await scrub(store, digests, silentLog, new AbortController().signal);
    assert.deepEqual([repaired, damaged.length], [0, 1]);
    function encodeLike(head: ReturnType<typeof decodeEntry>[number]): Uint8Array {
      return encodeEntry([{ ...head, length: head.length + 1 }], () => 0);
    }
  });
});
