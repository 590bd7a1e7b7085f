import assert from 'node:assert/strict';
import { type Row } from '../../../src/store/store.ts';
import { scanned } from '../scanned.ts';
import { bytes, everything, type OpenStores, pairs, put, span, text, withStores, write } from './stores.ts';

export function describeReads(open: OpenStores): void {
  describe('reads', () => {
    it(
      'orders keys as unsigned bytes',
      withStores(open, async ({ store }) => {
        const keys = ['a', '\x00', '\x00\x00', '\x7f', '\x80', '\xfe', 'a\x00', 'aa', 'b'];
        await put(store, Object.fromEntries(keys.map((key) => [key, 'v'])));
        const rows = await store.read((snapshot) => snapshot.range(everything, { limit: 100 }));
        assert.deepEqual(
          rows.map(({ key }) => text(key)),
          keys.toSorted((a, b) => Buffer.compare(bytes(a), bytes(b))),
        );
      }),
    );

    it(
      'reads half-open ranges both ways, up to a limit',
      withStores(open, async ({ store }) => {
        await put(store, { a: '1', b: '2', c: '3', d: '4', e: '5' });
        await store.read(async (snapshot) => {
          assert.deepEqual(pairs(await snapshot.range(span('b', 'd'), { limit: 9 })), ['b=2', 'c=3']);
          assert.deepEqual(pairs(await snapshot.range(span('b', 'd'), { limit: 1 })), ['b=2']);
          assert.deepEqual(pairs(await snapshot.range(span('b', 'd'), { limit: 9, order: 'reverse' })), ['c=3', 'b=2']);
          assert.deepEqual(pairs(await snapshot.range(span('b', 'd\0'), { limit: 2, order: 'reverse' })), ['d=4', 'c=3']);
          assert.deepEqual(pairs(await snapshot.range(span('b\0', 'c\0'), { limit: 9, order: 'reverse' })), ['c=3']);
          assert.deepEqual(await snapshot.range(span('x', 'z'), { limit: 9 }), []);
          assert.deepEqual(await snapshot.range(span('d', 'b'), { limit: 9 }), []);
          assert.deepEqual(await snapshot.range(span('c', 'c'), { limit: 9, order: 'reverse' }), []);
          assert.deepEqual(pairs(await snapshot.range(everything, { limit: 1, order: 'reverse' })), ['e=5']);
          assert.deepEqual(pairs(await snapshot.range(span('', 'b'), { limit: 9, order: 'reverse' })), ['a=1']);
        });
      }),
    );

    it(
      'tells an absent key from an empty value',
      withStores(open, async ({ store }) => {
        await put(store, { empty: '' });
        await store.read(async (snapshot) => {
          assert.equal(text(await snapshot.get(bytes('empty'))), '');
          assert.equal(await snapshot.get(bytes('absent')), undefined);
          assert.deepEqual(pairs(await snapshot.range(everything, { limit: 9 })), ['empty=']);
        });
      }),
    );

    it(
      'keeps values of 0 B to 1 MiB, and what it answered, when the snapshot is over',
      withStores(open, async ({ store }) => {
        const values = [0, 1, 100, 4_096, 40_000, 1 << 20].map((length, at) => Buffer.alloc(length, at + 65));
        await write(store, (tx) => {
          values.forEach((value, at) => {
            tx.set(bytes(`k${at}`), value);
          });
        });
        const got = await store.read((snapshot) => Promise.all(values.map((_, at) => snapshot.get(bytes(`k${at}`)))));
        const rows = await store.read((snapshot) => snapshot.range(everything, { limit: 9 }));
        await write(store, (tx) => {
          values.forEach((value, at) => {
            tx.set(bytes(`k${at}`), Buffer.alloc(value.length, 1));
          });
        });
        values.forEach((value, at) => {
          assert(Buffer.from(got[at]!).equals(value));
          assert(Buffer.from(rows[at]!.value).equals(value));
        });
      }),
    );

    it(
      'reads one snapshot, whatever is written meanwhile',
      withStores(open, async ({ store, other }) => {
        await put(store, { a: '1' });
        await store.read(async (snapshot) => {
          assert.equal(text(await snapshot.get(bytes('a'))), '1');
          await put(other, { a: '2', b: '2' });
          assert.equal(text(await snapshot.get(bytes('a'))), '1');
          assert.deepEqual(pairs(await snapshot.range(everything, { limit: 9 })), ['a=1']);
        });
      }),
    );

    it(
      'shows a reader everything that was acknowledged before',
      withStores(open, async ({ store, other }) => {
        for (let round = 0; round < 20; round += 1) {
          await put(store, { a: String(round) });
          assert.equal(text(await other.read((snapshot) => snapshot.get(bytes('a')))), String(round));
        }
      }),
    );

    it(
      'scans a range page by page, both ways',
      withStores(open, async ({ store }) => {
        const keys = Array.from({ length: 25 }, (_, at) => `k${String(at).padStart(2, '0')}`);
        await put(store, Object.fromEntries(keys.map((key) => [key, ''])));
        for (const pageRows of [1, 5, 7, 25, 100]) {
          for (const order of ['forward', 'reverse'] as const) {
            const rows = await store.read(async (snapshot) => {
              const all: Row[] = [];
              for await (const row of scanned(snapshot, span('k', 'l'), { pageRows, order })) all.push(row);
              return all;
            });
            const found = rows.map(({ key }) => text(key));
            assert.deepEqual(order === 'forward' ? found : found.toReversed(), keys);
          }
        }
      }),
    );

    it(
      'estimates the bytes of a range',
      withStores(open, async ({ store }) => {
        assert.equal(await store.approximateBytes(everything), 0);
        await write(store, (tx) => {
          for (let at = 0; at < 100; at += 1) tx.set(bytes(`k${at}`), Buffer.alloc(1_000));
        });
        assert(Number.isInteger(await store.approximateBytes(span('k', 'l'))));
        assert(store.diskBytes() >= 0);
      }),
    );
  });
}
