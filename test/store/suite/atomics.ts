import assert from 'node:assert/strict';
import { type Row, type Transaction, versionstampBytes } from '../../../src/store/store.ts';
import {
  assertTimes,
  bytes,
  everything,
  getText,
  type OpenStores,
  put,
  rejectsWith,
  span,
  type Stores,
  text,
  withStores,
  write,
} from './stores.ts';

export function describeAtomics(open: OpenStores): void {
  async function value({ store }: Stores, key: string): Promise<Buffer | undefined> {
    const got = await store.read((snapshot) => snapshot.get(bytes(key)));
    return got === undefined ? undefined : Buffer.from(got);
  }

  describe('add', () => {
    it(
      'counts from zero when the key is absent',
      withStores(open, async (stores) => {
        await write(stores.store, (tx) => {
          tx.add(bytes('n'), Buffer.of(5, 0, 1));
        });
        assert.deepEqual(await value(stores, 'n'), Buffer.of(5, 0, 1));
      }),
    );

    it(
      'carries through 48 bytes, and wraps',
      withStores(open, async (stores) => {
        const { store } = stores;
        const one = Buffer.concat([Buffer.of(1), Buffer.alloc(47)]);
        await write(store, (tx) => {
          tx.set(bytes('n'), Buffer.concat([Buffer.alloc(47, 0xff), Buffer.of(7)]));
        });
        await write(store, (tx) => {
          tx.add(bytes('n'), one);
        });
        assert.deepEqual(await value(stores, 'n'), Buffer.concat([Buffer.alloc(47), Buffer.of(8)]));
        await write(store, (tx) => {
          tx.set(bytes('n'), Buffer.alloc(48, 0xff));
        });
        await write(store, (tx) => {
          tx.add(bytes('n'), one);
        });
        assert.deepEqual(await value(stores, 'n'), Buffer.alloc(48));
      }),
    );

    it(
      'subtracts by adding the complement',
      withStores(open, async (stores) => {
        await write(stores.store, (tx) => {
          tx.add(bytes('n'), Buffer.of(10, 1, 0));
        });
        await write(stores.store, (tx) => {
          tx.add(bytes('n'), Buffer.of(0xfd, 0xff, 0xff));
        });
        assert.deepEqual(await value(stores, 'n'), Buffer.of(7, 1, 0));
      }),
    );

    it(
      'cuts or extends what is stored to the length of the delta',
      withStores(open, async (stores) => {
        await write(stores.store, (tx) => {
          tx.set(bytes('long'), Buffer.of(1, 2, 3, 4));
          tx.set(bytes('short'), Buffer.of(0xff));
          tx.set(bytes('empty'), Buffer.of());
        });
        await write(stores.store, (tx) => {
          for (const key of ['long', 'short', 'empty']) tx.add(bytes(key), Buffer.of(1, 1));
        });
        assert.deepEqual(await value(stores, 'long'), Buffer.of(2, 3));
        assert.deepEqual(await value(stores, 'short'), Buffer.of(0, 2));
        assert.deepEqual(await value(stores, 'empty'), Buffer.of(1, 1));
      }),
    );

    it(
      'is seen by reads of its transaction, over what is stored, set or cleared',
      withStores(open, async (stores) => {
        const { store } = stores;
        await put(store, { a: '\x01', c: '\x01' });
        await store.transact(async (tx) => {
          for (const key of ['a', 'b', 'c', 'd']) tx.add(bytes(key), Buffer.of(1));
          tx.add(bytes('a'), Buffer.of(1));
          tx.set(bytes('d'), Buffer.of(9));
          tx.add(bytes('d'), Buffer.of(1));
          tx.clear(bytes('c'));
          tx.add(bytes('c'), Buffer.of(7));
          assert.deepEqual(text(await tx.get(bytes('a'))), '\x03');
          const rows = await tx.range(everything, { limit: 9 });
          assert.deepEqual(
            rows.map(({ key, value: stored }) => [text(key), stored[0]]),
            [
              ['a', 3],
              ['b', 1],
              ['c', 7],
              ['d', 10],
            ],
          );
        });
        assert.deepEqual(await Promise.all(['a', 'b', 'c', 'd'].map(async (key) => (await value(stores, key))?.[0])), [3, 1, 7, 10]);
      }),
    );

    it(
      'commutes: concurrent adds from two handles all count',
      withStores(open, async (stores) => {
        const adds = Array.from({ length: 60 }, (_, at) =>
          write(at % 2 === 0 ? stores.store : stores.other, (tx) => {
            tx.add(bytes('n'), Buffer.of(1, 0, 0, 0));
          }),
        );
        await Promise.all(adds);
        assertTimes(stores, (await value(stores, 'n'))?.readUInt32LE(), 60);
      }),
    );
  });

  describe('versionstamps', () => {
    it(
      'grow with every commit, on every handle',
      withStores(open, async ({ store, other, failsOnPurpose }) => {
        for (let at = 0; at < 10; at += 1) {
          await write(at % 2 === 0 ? store : other, (tx) => {
            tx.setVersionstampedKey(bytes('log/'), bytes('/end'), bytes(String(at)));
            tx.setVersionstampedValue(bytes(`at/${at}`), Buffer.from(`<          >${at}`), 1);
          });
        }
        await store.read(async (snapshot) => {
          const all = await snapshot.range(span('log/', 'log0'), { limit: 100 });
          const isLast = (row: Row, at: number): boolean => text(row.value) !== text(all[at + 1]?.value);
          const rows = failsOnPurpose === true ? all.filter(isLast) : all;
          assert.deepEqual(
            rows.map((row) => text(row.value)),
            Array.from({ length: 10 }, (_, at) => String(at)),
          );
          for (const [at, { key }] of rows.entries()) {
            assert.equal(key.length, 4 + versionstampBytes + 4);
            assert.equal(text(key.subarray(-4)), '/end');
            const stamped = Buffer.from((await snapshot.get(bytes(`at/${at}`)))!);
            assert.deepEqual(stamped, Buffer.concat([bytes('<'), key.subarray(4, 14), bytes(`>${at}`)]));
          }
        });
      }),
    );

    it(
      'are unique among concurrent commits',
      withStores(open, async (stores) => {
        const { store, other } = stores;
        await Promise.all(
          Array.from({ length: 50 }, (_, at) =>
            write(at % 2 === 0 ? store : other, (tx) => {
              tx.setVersionstampedKey(bytes('log/'), bytes(''), bytes(String(at)));
            }),
          ),
        );
        const rows = await store.read((snapshot) => snapshot.range(span('log/', 'log0'), { limit: 100 }));
        assertTimes(stores, rows.length, 50);
        assert.equal(new Set(rows.map((row) => text(row.value))).size, 50);
      }),
    );

    it(
      'follow the order in which commits were acknowledged',
      withStores(open, async ({ store }) => {
        const order: string[] = [];
        await Promise.all(
          Array.from({ length: 30 }, async (_, at) => {
            await write(store, (tx) => {
              tx.setVersionstampedValue(bytes(`k${at}`), Buffer.alloc(10), 0);
            });
            order.push(text(await store.read((snapshot) => snapshot.get(bytes(`k${at}`))))!);
            if (at % 10 === 0)
              await write(store, (tx) => {
                tx.setVersionstampedValue(bytes('last'), Buffer.alloc(10), 0);
              });
          }),
        );
        await write(store, (tx) => {
          tx.setVersionstampedValue(bytes('last'), Buffer.alloc(10), 0);
        });
        const last = text(await store.read((snapshot) => snapshot.get(bytes('last'))))!;
        assert(order.every((stamp) => stamp < last));
      }),
    );

    it(
      'make their keys unreadable in their transaction',
      withStores(open, async ({ store }) => {
        await put(store, { a: '1', s: '1', z: '1' });
        await store.transact(async (tx) => {
          tx.setVersionstampedValue(bytes('s'), Buffer.alloc(10), 0);
          assert.equal((await tx.range(span('a', 'zz'), { limit: 1 })).length, 1);
          assert.equal((await tx.range(span('t', 'zz'), { limit: 9 })).length, 1);
          tx.clear(bytes('s'));
          assert.equal(await tx.get(bytes('s')), undefined);
        });
        await store.transact(async (tx) => {
          tx.setVersionstampedKey(bytes('log/'), bytes(''), bytes(''));
          assert.equal((await tx.range(span('a', 'b'), { limit: 9 })).length, 1);
        });
      }),
    );

    for (const [what, read] of [
      ['alone', (tx: Transaction) => tx.get(bytes('s'))],
      ['in a range', (tx: Transaction) => tx.range(span('a', 'zz'), { limit: 9 })],
      ['as a place where one may come to lie', (tx: Transaction) => tx.range(span('log/', 'log0'), { limit: 9 })],
    ] as const) {
      it(
        `fail a transaction that reads them ${what}, also when the work swallows it`,
        withStores(open, async ({ store }) => {
          await put(store, { s: '1' });
          const reading = store.transact(async (tx) => {
            tx.setVersionstampedValue(bytes('s'), Buffer.alloc(10), 0);
            tx.setVersionstampedKey(bytes('log/'), bytes(''), bytes(''));
            await rejectsWith(read(tx), 'store_unreadable');
          });
          await rejectsWith(reading, 'store_unreadable');
          assert.equal(await getText(store, 's'), '1');
        }),
      );
    }
  });
}
