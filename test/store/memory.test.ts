import assert from 'node:assert/strict';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { type MemoryFaults } from '../../src/store/memory/faults.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { type Store } from '../../src/store/store.ts';
import { describeTransactionTime } from './optimisticSuite.ts';
import { seededRandom, TestClock } from '../support.ts';
import { describeSerialisability } from './suite/serialisability.ts';
import { bytes, content, put, rejectsWith, write } from './suite/stores.ts';
import { describeStore, type Stores } from './suite.ts';

function openStores(faults: MemoryFaults = {}): Promise<Stores> {
  const database = new MemoryDatabase();
  const open = (seed: number): Store => openMemoryStore(database, { clock: new TestClock(), random: seededRandom(seed), faults });
  const [store, other] = [open(1), open(2)];
  const close = async (): Promise<void> => {
    await store[Symbol.asyncDispose]();
    await other[Symbol.asyncDispose]();
  };
  return Promise.resolve({ store, other, [Symbol.asyncDispose]: close });
}

describeStore('memory', () => openStores());

describeTransactionTime('memory', () => {
  const clock = new TestClock();
  const store = openMemoryStore(new MemoryDatabase(), { clock, random: seededRandom(1) });
  return Promise.resolve({ store, clock, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() });
});

describe('store: memory with faults and interleavings', () => {
  const turns = seededRandom(3);
  const pause = async (): Promise<void> => {
    for (let left = Math.floor(turns.fraction() * 4); left > 0; left -= 1) await Promise.resolve();
  };
  describeSerialisability(() =>
    openStores({ conflict: 0.1, unknownCommitted: 0.1, unknownLost: 0.1, tooOld: 0.01, spuriousWatch: 0.5, pause }),
  );

  it('runs work again after a commit that was made and is not known', async () => {
    const faults: MemoryFaults = { unknownCommitted: 1 };
    const { store } = await openStores(faults);
    let visible = 0;
    let runs = 0;
    await store.transact(
      (tx) => {
        runs += 1;
        if (runs === 2) faults.unknownCommitted = 0;
        tx.add(bytes('n'), Buffer.of(1));
        return Promise.resolve();
      },
      { onVisible: () => (visible += 1) },
    );
    assert.deepEqual([runs, visible], [2, 1]);
    assert.deepEqual(await content(store), ['n=\x02']);
  });

  it('runs work again after a commit that was not made and is not known', async () => {
    const faults: MemoryFaults = { unknownLost: 1 };
    const { store } = await openStores(faults);
    let runs = 0;
    await write(store, (tx) => {
      runs += 1;
      if (runs === 2) faults.unknownLost = 0;
      tx.add(bytes('n'), Buffer.of(1));
    });
    assert.deepEqual(await content(store), ['n=\x01']);
  });

  it('answers commit_unknown when it stays unknown', async () => {
    const { store } = await openStores({ unknownLost: 1 });
    await rejectsWith(put(store, { a: '1' }), 'commit_unknown');
    assert.deepEqual(await content(store), []);
  }).timeout(20_000);

  it('refuses with disk_full, and takes writes when there is room again', async () => {
    const faults: MemoryFaults = { diskFull: 1 };
    const { store } = await openStores(faults);
    await rejectsWith(put(store, { a: '1' }), 'disk_full');
    faults.diskFull = 0;
    await put(store, { b: '1' });
    assert.deepEqual(await content(store), ['b=1']);
  });

  it('wakes watches for no reason', async () => {
    const { store } = await openStores({ spuriousWatch: 1 });
    const woken = store.watch(bytes('a'), new AbortController().signal);
    await put(store, { b: '1' });
    await woken;
  });

  it('does the same for the same seed', async () => {
    const history = async (): Promise<string> => {
      const faults = { conflict: 0.3, unknownCommitted: 0.3, unknownLost: 0.2 };
      const store = openMemoryStore(new MemoryDatabase(), { clock: new TestClock(), random: seededRandom(9), faults });
      let runs = 0;
      for (let at = 0; at < 20; at += 1) {
        await write(store, (tx) => {
          runs += 1;
          tx.add(bytes('n'), Buffer.of(1));
        });
      }
      return `${runs} ${(await content(store)).join()}`;
    };
    assert.equal(await history(), await history());
  });

  it('closes a handle and not the others', async () => {
    const { store, other } = await openStores();
    await store[Symbol.asyncDispose]();
    await put(other, { a: '1' });
    assert.deepEqual(await content(other), ['a=1']);
    await rejectsWith(put(store, { a: '2' }), 'store_closed');
  });
});
