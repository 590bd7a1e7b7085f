import assert from 'node:assert/strict';
import { hasCode, type ErrorCode } from '../../../src/core/errors.ts';
import { storeLimits } from '../../../src/store/store.ts';
import { bytes, everything, type OpenStores, rejectsWith, withStores, write } from './stores.ts';

export function describeLimits(open: OpenStores): void {
  function throwsWith(action: () => void, code: ErrorCode): void {
    assert.throws(action, (error) => hasCode(error, code));
  }

  describe('limits', () => {
    it(
      'takes keys and values at the limit',
      withStores(open, async ({ store }) => {
        const key = Buffer.alloc(storeLimits.keyBytesMax, 0xfe);
        const value = Buffer.alloc(storeLimits.valueBytesMax, 1);
        await write(store, (tx) => {
          tx.set(key, value);
        });
        const got = await store.read((snapshot) => snapshot.get(key));
        assert(got !== undefined && value.equals(got));
        const rows = await store.read((snapshot) =>
          snapshot.range({ start: key, end: Buffer.concat([key, Buffer.of(0)]) }, { limit: 9, order: 'reverse' }),
        );
        assert.equal(rows.length, 1);
      }),
    );

    it(
      'refuses keys and values beyond',
      withStores(open, async ({ store }) => {
        const key = Buffer.alloc(storeLimits.keyBytesMax + 1, 1);
        const value = Buffer.alloc(storeLimits.valueBytesMax + 1);
        await write(store, (tx) => {
          throwsWith(() => {
            tx.set(key, bytes(''));
          }, 'too_large');
          throwsWith(() => {
            tx.set(bytes('k'), value);
          }, 'too_large');
          throwsWith(() => {
            tx.set(bytes(''), bytes(''));
          }, 'too_large');
          throwsWith(() => {
            tx.clear(key);
          }, 'too_large');
          throwsWith(() => {
            tx.add(key, Buffer.of(1));
          }, 'too_large');
          throwsWith(() => {
            tx.setVersionstampedKey(key.subarray(0, -9), bytes(''), bytes(''));
          }, 'too_large');
          throwsWith(() => {
            tx.setVersionstampedValue(key, Buffer.alloc(10), 0);
          }, 'too_large');
          throwsWith(() => {
            tx.setVersionstampedValue(bytes('k'), Buffer.alloc(10), 1);
          }, 'internal');
        });
      }),
    );

    it(
      'refuses row limits out of bounds',
      withStores(open, async ({ store }) => {
        await store.read(async (snapshot) => {
          for (const limit of [0, -1, 1.5, storeLimits.rowsMax + 1]) {
            await rejectsWith(snapshot.range(everything, { limit }), 'too_large');
          }
        });
      }),
    );

    it(
      'refuses a transaction that writes too much, and leaves nothing of it',
      withStores(open, async ({ store }) => {
        const tooMuch = store.transact((tx) => {
          for (let at = 0; at < 11; at += 1) tx.set(bytes(`k${at}`), Buffer.alloc(1_000_000));
          return Promise.resolve();
        });
        await rejectsWith(tooMuch, 'transaction_too_large');
        const swallowed = store.transact((tx) => {
          try {
            for (let at = 0; at < 11; at += 1) tx.set(bytes(`k${at}`), Buffer.alloc(1_000_000));
          } catch {
            // The commit must refuse it nevertheless.
          }
          return Promise.resolve();
        });
        await rejectsWith(swallowed, 'transaction_too_large');
        assert.deepEqual(await store.read((snapshot) => snapshot.range(everything, { limit: 9 })), []);
      }),
    );

    it(
      'counts conflict ranges',
      withStores(open, async ({ store }) => {
        const start = Buffer.alloc(1_900, 1);
        await rejectsWith(
          store.transact((tx) => {
            for (let at = 0; at < 3_000; at += 1) tx.addReadConflict({ start, end: Buffer.alloc(1_900, 2) });
            return Promise.resolve();
          }),
          'transaction_too_large',
        );
      }),
    );
  });
}
