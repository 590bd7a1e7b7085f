import assert from 'node:assert/strict';
import {
  assertTimes,
  bytes,
  content,
  everything,
  gate,
  getText,
  type OpenStores,
  pairs,
  put,
  rejectsWith,
  span,
  text,
  withStores,
  write,
} from './stores.ts';

export function describeTransactions(open: OpenStores): void {
  describe('transactions', () => {
    it(
      'answers what the work answers, once it is stored',
      withStores(open, async ({ store, other }) => {
        const answer = await store.transact((tx) => {
          tx.set(bytes('a'), bytes('1'));
          return Promise.resolve(7);
        });
        assert.equal(answer, 7);
        assert.equal(await getText(other, 'a'), '1');
      }),
    );

    it(
      'reads its own writes',
      withStores(open, async ({ store }) => {
        await put(store, { a: '1', b: '2', c: '3', d: '4' });
        await store.transact(async (tx) => {
          tx.set(bytes('b'), bytes('B'));
          tx.clear(bytes('c'));
          tx.set(bytes('bb'), bytes('new'));
          assert.equal(text(await tx.get(bytes('b'))), 'B');
          assert.equal(await tx.get(bytes('c')), undefined);
          assert.deepEqual(pairs(await tx.range(everything, { limit: 9 })), ['a=1', 'b=B', 'bb=new', 'd=4']);
          assert.deepEqual(pairs(await tx.range(everything, { limit: 2, order: 'reverse' })), ['d=4', 'bb=new']);
          tx.clearRange(span('b', 'c'));
          assert.deepEqual(pairs(await tx.range(everything, { limit: 9 })), ['a=1', 'd=4']);
          tx.set(bytes('b2'), bytes('x'));
          assert.deepEqual(pairs(await tx.range(everything, { limit: 2 })), ['a=1', 'b2=x']);
        });
        assert.deepEqual(await content(store), ['a=1', 'b2=x', 'd=4']);
      }),
    );

    it(
      'pages on when clears eat the rows of a limited range',
      withStores(open, async ({ store }) => {
        const keys = Array.from({ length: 300 }, (_, at) => `k${String(at).padStart(3, '0')}`);
        await put(store, Object.fromEntries(keys.map((key) => [key, ''])));
        await store.transact(async (tx) => {
          for (const key of keys) if (key.endsWith('0') || key < 'k250') tx.clear(bytes(key));
          tx.clearRange(span('k260', 'k290'));
          const kept = keys.filter((key) => key > 'k250' && !key.endsWith('0') && (key < 'k260' || key >= 'k290'));
          const forward = await tx.range(span('k', 'l'), { limit: 3 });
          assert.deepEqual(
            forward.map(({ key }) => text(key)),
            kept.slice(0, 3),
          );
          const reverse = await tx.range(span('k', 'l'), { limit: 12, order: 'reverse' });
          assert.deepEqual(
            reverse.map(({ key }) => text(key)),
            kept.toReversed().slice(0, 12),
          );
        });
      }),
    );

    it(
      'takes a set after a clear, and a clear after a set',
      withStores(open, async ({ store }) => {
        await put(store, { a: '1', b: '1', c: '1' });
        await write(store, (tx) => {
          tx.clearRange(span('a', 'c'));
          tx.set(bytes('a'), bytes('2'));
          tx.set(bytes('x'), bytes('2'));
          tx.clear(bytes('x'));
          tx.set(bytes('y'), bytes('2'));
          tx.clearRange(span('y', 'z'));
        });
        assert.deepEqual(await content(store), ['a=2', 'c=1']);
      }),
    );

    it(
      'leaves nothing of work that throws, at once or after an await',
      withStores(open, async ({ store }) => {
        await put(store, { a: '1' });
        const thrown = new Error('from the work');
        const isThrown = (error: unknown): boolean => error === thrown;
        await assert.rejects(
          store.transact((tx) => {
            tx.set(bytes('a'), bytes('2'));
            throw thrown;
          }),
          isThrown,
        );
        await assert.rejects(
          store.transact(async (tx) => {
            tx.set(bytes('a'), bytes('2'));
            await tx.get(bytes('b'));
            tx.clearRange(everything);
            throw thrown;
          }),
          isThrown,
        );
        assert.deepEqual(await content(store), ['a=1']);
      }),
    );

    it(
      'delays nobody while the work of another is slow',
      withStores(open, async ({ store, other }) => {
        const { opened, open: finish } = gate();
        const { opened: begun, open: begin } = gate();
        const slow = store.transact(async (tx) => {
          tx.set(bytes('slow'), bytes('1'));
          await tx.get(bytes('x'));
          begin();
          await opened;
        });
        await begun;
        await put(other, { quick: '1' });
        assert.equal(await getText(store, 'quick'), '1');
        finish();
        await slow;
        assert.deepEqual(await content(store), ['quick=1', 'slow=1']);
      }),
    );

    it(
      'calls onVisible once, when transactions that begin then see the commit',
      withStores(open, async ({ store, other }) => {
        const seen: Promise<string | undefined>[] = [];
        const onVisible = (): void => {
          seen.push(store.transact(async (tx) => text(await tx.get(bytes('a')))));
        };
        await store.transact(
          (tx) => {
            tx.set(bytes('a'), bytes('1'));
            return Promise.resolve();
          },
          { onVisible },
        );
        assert.deepEqual(await Promise.all(seen), ['1']);
        const failing = store.transact(() => Promise.reject(new Error('no')), { onVisible });
        await assert.rejects(failing);
        assert.equal(seen.length, 1);
        assert.equal(await getText(other, 'a'), '1');
      }),
    );

    it(
      'keeps transactions apart that follow each other from onVisible',
      withStores(open, async (stores) => {
        const { store } = stores;
        const acknowledged: Promise<unknown>[] = [];
        for (let round = 0; round < 30; round += 1) {
          await new Promise<void>((resolve, reject) => {
            const done = store.transact(
              async (tx) => {
                const before = Number(text(await tx.get(bytes('count'))) ?? '0');
                assertTimes(stores, before, round);
                tx.set(bytes('count'), bytes(String(before + 1)));
              },
              { onVisible: resolve },
            );
            done.catch(reject);
            acknowledged.push(done);
          });
        }
        await Promise.all(acknowledged);
        assertTimes(stores, Number(await getText(store, 'count')), 30);
      }),
    );

    it(
      'refuses a transaction that is used after its work has ended',
      withStores(open, async ({ store }) => {
        const leaked = await store.transact((tx) => Promise.resolve({ tx }));
        await rejectsWith(leaked.tx.get(bytes('a')), 'internal');
        assert.throws(() => {
          leaked.tx.set(bytes('a'), bytes('1'));
        });
        const snapshot = await store.read((reads) => Promise.resolve({ reads }));
        await rejectsWith(snapshot.reads.get(bytes('a')), 'internal');
      }),
    );
  });
}
