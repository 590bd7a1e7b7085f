import assert from 'node:assert/strict';
import { bytes, everything, gate, getText, type OpenStores, put, rejectsWith, withStores } from './stores.ts';

export function describeLifetime(open: OpenStores): void {
  describe('watch', () => {
    it(
      'wakes when the key changes, on any handle',
      withStores(open, async ({ store, other }) => {
        const { signal } = new AbortController();
        for (const change of [
          () => put(other, { a: '1' }),
          () => put(store, { a: '2' }),
          () =>
            other.transact((tx) => {
              tx.add(bytes('a'), Buffer.of(1));
              return Promise.resolve();
            }),
          () =>
            other.transact((tx) => {
              tx.clearRange(everything);
              return Promise.resolve();
            }),
        ]) {
          const woken = store.watch(bytes('a'), signal);
          await change();
          await woken;
        }
      }),
    );

    it(
      'ends when the signal aborts',
      withStores(open, async ({ store }) => {
        const abort = new AbortController();
        const woken = store.watch(bytes('a'), abort.signal);
        abort.abort();
        await woken;
        await store.watch(bytes('a'), abort.signal);
      }),
    );

    it(
      'misses nothing: who watches, then reads, sees every change',
      withStores(open, async ({ store, other }) => {
        const { signal } = new AbortController();
        const follower = (async () => {
          for (;;) {
            const woken = store.watch(bytes('n'), signal);
            if ((await getText(store, 'n')) === '20') return;
            await woken;
          }
        })();
        for (let n = 1; n <= 20; n += 1) await put(other, { n: String(n) });
        await follower;
      }),
    );
  });

  describe('close', () => {
    it(
      'waits for what is under way, and refuses everything after',
      withStores(open, async ({ store }) => {
        const { opened, open: finish } = gate();
        const { opened: begun, open: begin } = gate();
        const underWay = store.transact(async (tx) => {
          begin();
          await opened;
          tx.set(bytes('a'), bytes('1'));
        });
        await begun;
        const closed = store[Symbol.asyncDispose]();
        await rejectsWith(
          store.read(() => Promise.resolve()),
          'store_closed',
        );
        finish();
        await underWay;
        await closed;
        await store[Symbol.asyncDispose]();

        const { signal } = new AbortController();
        await rejectsWith(
          store.transact(() => Promise.resolve()),
          'store_closed',
        );
        await rejectsWith(
          store.read(() => Promise.resolve()),
          'store_closed',
        );
        await rejectsWith(store.watch(bytes('a'), signal), 'store_closed');
        await rejectsWith(store.approximateBytes(everything), 'store_closed');
        assert.throws(() => store.diskBytes(), { code: 'store_closed' });
      }),
    );

    it(
      'ends watches with store_closed',
      withStores(open, async ({ store }) => {
        const woken = store.watch(bytes('a'), new AbortController().signal);
        const refused = rejectsWith(woken, 'store_closed');
        await store[Symbol.asyncDispose]();
        await refused;
      }),
    );
  });
}
