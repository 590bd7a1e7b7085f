import assert from 'node:assert/strict';
import { type Transaction } from '../../../src/store/store.ts';
import { bytes, content, getText, type OpenStores, put, span, type Stores, text, withStores, write } from './stores.ts';

export function describeConflicts(open: OpenStores): void {
  /** How often work runs that does `first`, while another transaction does `then` in between. */
  async function runsOf({ store, other }: Stores, first: (tx: Transaction) => unknown, then: (tx: Transaction) => void): Promise<number> {
    let runs = 0;
    await store.transact(async (tx) => {
      runs += 1;
      await first(tx);
      // Nothing conflicts that has read nothing.
      await tx.get(bytes('~begin'));
      tx.set(bytes('~end'), bytes(String(runs)));
      if (runs === 1) await write(other, then);
    });
    return runs;
  }

  const limit = 10;
  const setB = (tx: Transaction): void => {
    tx.set(bytes('b'), bytes('new'));
  };

  const cases: [name: string, runs: number, first: (tx: Transaction) => unknown, then: (tx: Transaction) => void][] = [
    ['runs again when a key that it read was set', 2, (tx) => tx.get(bytes('b')), setB],
    [
      'runs again when a key that it read was cleared',
      2,
      (tx) => tx.get(bytes('b')),
      (tx) => {
        tx.clear(bytes('b'));
      },
    ],
    [
      'runs again when a key that it read was in a cleared range',
      2,
      (tx) => tx.get(bytes('b')),
      (tx) => {
        tx.clearRange(span('a', 'c'));
      },
    ],
    [
      'runs again when an absent key that it read was set',
      2,
      (tx) => tx.get(bytes('bb')),
      (tx) => {
        tx.set(bytes('bb'), bytes(''));
      },
    ],
    [
      'runs again when a key that it read was added to',
      2,
      (tx) => tx.get(bytes('b')),
      (tx) => {
        tx.add(bytes('b'), Buffer.of(1));
      },
    ],
    ['runs once when another key was set', 1, (tx) => tx.get(bytes('a')), setB],
    [
      'runs again when a range that it read got a row',
      2,
      (tx) => tx.range(span('a', 'c'), { limit }),
      (tx) => {
        tx.set(bytes('ab'), bytes(''));
      },
    ],
    [
      'runs again when a range that it read lost a row',
      2,
      (tx) => tx.range(span('a', 'c'), { limit }),
      (tx) => {
        tx.clearRange(span('b', 'bz'));
      },
    ],
    [
      'runs again when a range that it read gets a versionstamped key',
      2,
      (tx) => tx.range(span('s/', 's0'), { limit }),
      (tx) => {
        tx.setVersionstampedKey(bytes('s/'), bytes(''), bytes(''));
      },
    ],
    ['runs once when the end of the range was set', 1, (tx) => tx.range(span('a', 'b'), { limit }), setB],
    ['runs once when the row behind a limit was set', 1, (tx) => tx.range(span('a', 'z'), { limit: 1 }), setB],
    ['runs again when the last row within a limit was set', 2, (tx) => tx.range(span('a', 'z'), { limit: 2 }), setB],
    ['runs once when the row before a reverse limit was set', 1, (tx) => tx.range(span('a', 'd'), { limit: 1, order: 'reverse' }), setB],
    [
      'runs again when a row was put behind the last of a reverse limit',
      2,
      (tx) => tx.range(span('a', 'd'), { limit: 1, order: 'reverse' }),
      (tx) => {
        tx.set(bytes('cc'), bytes(''));
      },
    ],
    [
      'runs once when it read by snapshot alone',
      1,
      async (tx) => {
        await tx.get(bytes('b'), 'snapshot');
        await tx.range(span('a', 'z'), { limit, isolation: 'snapshot' });
      },
      setB,
    ],
    [
      'runs again when an explicit conflict range was written',
      2,
      (tx) => {
        tx.addReadConflict(span('b', 'c'));
      },
      setB,
    ],
    [
      'runs once when it reads what it has set',
      1,
      async (tx) => {
        tx.set(bytes('b'), bytes('own'));
        await tx.get(bytes('b'));
        await tx.range(span('b', 'b\0'), { limit });
      },
      setB,
    ],
    [
      'runs once when it reads within a range that it has cleared',
      1,
      async (tx) => {
        tx.clearRange(span('b', 'c'));
        await tx.get(bytes('bx'));
        await tx.range(span('b', 'c'), { limit });
      },
      setB,
    ],
    [
      'leaves what it has set out of an explicit conflict range',
      1,
      (tx) => {
        tx.set(bytes('b'), bytes(''));
        tx.addReadConflict(span('b', 'b\0'));
      },
      setB,
    ],
    [
      'leaves what it has cleared out of an explicit conflict range',
      1,
      (tx) => {
        tx.clearRange(span('a', 'c'));
        tx.addReadConflict(span('aa', 'bz'));
      },
      setB,
    ],
    [
      'leaves only that out of an explicit conflict range',
      2,
      (tx) => {
        tx.set(bytes('aa'), bytes(''));
        tx.set(bytes('bb'), bytes(''));
        tx.addReadConflict(span('aa', 'c'));
      },
      setB,
    ],
    [
      'does not leave out what it adds to',
      2,
      (tx) => {
        tx.add(bytes('b'), Buffer.of(1));
        tx.addReadConflict(span('b', 'b\0'));
      },
      setB,
    ],
    [
      'leaves out what it stamps',
      1,
      (tx) => {
        tx.setVersionstampedValue(bytes('b'), Buffer.alloc(10), 0);
        tx.addReadConflict(span('b', 'b\0'));
      },
      setB,
    ],
    [
      'does not leave out what it sets afterwards',
      2,
      (tx) => {
        tx.addReadConflict(span('b', 'b\0'));
        tx.set(bytes('b'), bytes(''));
      },
      setB,
    ],
    [
      'runs again when it read a key after adding to it',
      2,
      async (tx) => {
        tx.add(bytes('b'), Buffer.of(1));
        await tx.get(bytes('b'));
      },
      setB,
    ],
    [
      'runs once when both only write the same key',
      1,
      (tx) => {
        tx.set(bytes('b'), bytes(''));
      },
      setB,
    ],
    [
      'runs once when both only add to the same key',
      1,
      (tx) => {
        tx.add(bytes('b'), Buffer.of(1));
      },
      (tx) => {
        tx.add(bytes('b'), Buffer.of(1));
      },
    ],
  ];

  describe('conflicts', () => {
    for (const [name, runs, first, then] of cases) {
      it(
        name,
        withStores(open, async (stores) => {
          await put(stores.store, { a: '1', b: '2', c: '3' });
          const did = await runsOf(stores, first, then);
          if (stores.failsOnPurpose === true) assert.ok(did >= runs, `${did} runs`);
          else assert.equal(did, runs);
          assert.equal(await getText(stores.store, '~end'), String(did));
        }),
      );
    }

    it(
      'reads a new snapshot when it runs again',
      withStores(open, async ({ store, other }) => {
        await put(store, { a: '1' });
        const seen: (string | undefined)[] = [];
        await store.transact(async (tx) => {
          seen.push(text(await tx.get(bytes('a'))));
          if (seen.length === 1) await put(other, { a: '2' });
          tx.set(bytes('b'), bytes(`after ${seen.at(-1) ?? ''}`));
        });
        assert.deepEqual([seen[0], seen.at(-1)], ['1', '2']);
        assert.deepEqual(await content(store), ['a=2', 'b=after 2']);
      }),
    );

    it(
      'prevents write skew',
      withStores(open, async ({ store, other }) => {
        await put(store, { a: '1', b: '1' });
        // Each may take its own key away only while both are there.
        const takeAway = (from: typeof store, key: string): Promise<void> =>
          from.transact(async (tx) => {
            const rows = await tx.range(span('a', 'c'), { limit });
            if (rows.length === 2) tx.clear(bytes(key));
          });
        await Promise.all([takeAway(store, 'a'), takeAway(other, 'b')]);
        assert.equal((await content(store)).length, 1);
      }),
    );

    it(
      'never conflicts when it only reads',
      withStores(open, async ({ store, other }) => {
        await put(store, { a: '1' });
        let runs = 0;
        const got = await store.transact(async (tx) => {
          runs += 1;
          const value = text(await tx.get(bytes('a')));
          await put(other, { a: '2' });
          return value;
        });
        assert.deepEqual([runs, got], [1, '1']);
      }),
    );
  });
}
