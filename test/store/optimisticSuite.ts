/** What the adapters that keep time themselves must show; FoundationDB keeps its own. */
import assert from 'node:assert/strict';
import { storeLimits, type Store } from '../../src/store/store.ts';
import { type TestClock } from '../support.ts';
import { bytes, content, put, rejectsWith } from './suite/stores.ts';

export interface TimedStore extends AsyncDisposable {
  readonly store: Store;
  readonly clock: TestClock;
}

export function describeTransactionTime(name: string, open: () => Promise<TimedStore>): void {
  describe(`store: ${name}: the time of a transaction`, () => {
    let timed: TimedStore;
    beforeEach(async () => {
      timed = await open();
    });
    afterEach(() => timed[Symbol.asyncDispose]());

    it('runs again when it was too old at a read', async () => {
      const { store, clock } = timed;
      let runs = 0;
      await store.transact(async (tx) => {
        runs += 1;
        await tx.get(bytes('a'));
        if (runs === 1) clock.advance(storeLimits.transactionMsMax + 1);
        await tx.get(bytes('b'));
        tx.set(bytes('a'), bytes(String(runs)));
      });
      assert.deepEqual(await content(store), ['a=2']);
    });

    it('runs again when it was too old at the commit', async () => {
      const { store, clock } = timed;
      let runs = 0;
      await store.transact(async (tx) => {
        runs += 1;
        await tx.get(bytes('a'));
        if (runs === 1) clock.advance(storeLimits.transactionMsMax + 1);
        tx.set(bytes('a'), bytes(String(runs)));
      });
      assert.deepEqual(await content(store), ['a=2']);
    });

    it('gives up with transaction_too_old when it is so each time', async () => {
      const { store, clock } = timed;
      await rejectsWith(
        store.transact(async (tx) => {
          await tx.get(bytes('a'));
          clock.advance(storeLimits.transactionMsMax + 1);
          tx.set(bytes('a'), bytes('1'));
        }),
        'transaction_too_old',
      );
      assert.deepEqual(await content(store), []);
    });

    it('counts from the first read, so not for one that only writes', async () => {
      const { store, clock } = timed;
      await store.transact((tx) => {
        clock.advance(storeLimits.transactionMsMax + 1);
        tx.set(bytes('a'), bytes('1'));
        return Promise.resolve();
      });
      assert.deepEqual(await content(store), ['a=1']);
    });

    it('ends a snapshot that is read for too long', async () => {
      const { store, clock } = timed;
      await rejectsWith(
        store.read(async (snapshot) => {
          await snapshot.get(bytes('a'));
          clock.advance(storeLimits.transactionMsMax + 1);
          await snapshot.get(bytes('a'));
        }),
        'transaction_too_old',
      );
    });

    it('gives up with store_conflict when every run conflicts', async () => {
      const { store } = timed;
      await rejectsWith(
        store.transact(async (tx) => {
          await tx.get(bytes('a'));
          await put(store, { a: '1' });
          tx.set(bytes('b'), bytes('1'));
        }),
        'store_conflict',
      );
      assert.deepEqual(await content(store), ['a=1']);
    }).timeout(20_000);
  });
}
