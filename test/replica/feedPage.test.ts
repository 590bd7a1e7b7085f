import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { compareBytes, toHex } from '../../src/core/bytes.ts';
import { clusterPartOf, covers, frontierZero } from '../../src/core/frontier.ts';
import { limits } from '../../src/core/limits.ts';
import { positionPastAll, positionZero } from '../../src/replica/cursor.ts';
import { readFeedPage, type FeedPage } from '../../src/replica/feedPage.ts';
import { stampZero } from '../../src/core/stamp.ts';
import { type Snapshot } from '../../src/store/store.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openInstance, set, type Instance } from '../aae/world.ts';
import { seededRandom } from '../support.ts';

function names({ writes }: FeedPage): string[] {
  return writes.map(({ write }) => Buffer.from(write.key).toString());
}

/** Page after page to the end. */
async function readAll({ replica }: Instance, from: Uint8Array = positionZero): Promise<{ names: string[]; pages: FeedPage[] }> {
  const pages: FeedPage[] = [];
  for (let after = from; pages.at(-1)?.end === undefined; after = pages.at(-1)?.position ?? after)
    pages.push(await replica.feedPage(after, frontierZero));
  return { names: pages.flatMap(names), pages };
}

describe('R18: pages of a feed', () => {
  for (const feedPartitions of [1, 16] as const) {
    it(`S12: each write once, in the order of commits, while two slots commit: ${feedPartitions} partitions`, async () => {
      const database = new MemoryDatabase();
      const random = seededRandom(feedPartitions);
      const pause = async (): Promise<void> => {
        for (let turns = Math.floor(random.fraction() * 4); turns > 0; turns -= 1) await new Promise((resolve) => setImmediate(resolve));
      };
      const faults = { pause, conflict: 0.05, unknownCommitted: 0.05, unknownLost: 0.05 };
      const one = await openInstance({ database, slot: 0, seed: 3, feedPartitions, faults });
      const two = await openInstance({ database, slot: 1, seed: 4, feedPartitions, faults });
      let isWriting = true;
      const acknowledged = new Map<string, string>();
      const write = async ({ replica }: Instance, who: string): Promise<void> => {
        for (let i = 0; i < 60; i += 1) {
          const ops = Array.from({ length: 1 + Math.floor(random.fraction() * 30) }, (_, j) => set(`${who}${i}/${j}`, 'v'));
          const outcomes = await replica.write(ops);
          for (const [n, { key }] of ops.entries())
            acknowledged.set(Buffer.from(key).toString(), toHex(outcomes[n]?.version ?? Buffer.of()));
        }
      };
      const seen: string[] = [];
      let position: Uint8Array = positionZero;
      const step = async (): Promise<boolean> => {
        const page = await one.replica.feedPage(position, frontierZero);
        assert.ok(compareBytes(page.position, position) >= 0);
        seen.push(...names(page));
        position = page.position;
        if (page.end !== undefined) {
          // What the frontier of the same snapshot covers has been seen.
          const had = new Set(seen);
          const frontier = page.end;
          for (const [name, version] of acknowledged) {
            const stamp = Buffer.from(version, 'hex') as Uint8Array as Parameters<typeof covers>[1]; // as it was minted
            if (covers(frontier, stamp)) assert.ok(had.has(name), name);
          }
        }
        return page.end !== undefined;
      };
      const read = async (): Promise<void> => {
        while (isWriting) await step();
        while (!(await step()));
      };
      const reading = read();
      await Promise.all([write(one, 'a'), write(two, 'b')]);
      isWriting = false;
      await reading;
      assert.equal(new Set(seen).size, seen.length, 'none twice');
      assert.deepEqual([...seen].sort(), [...acknowledged.keys()].sort());
      const { names: order } = await readAll(one);
      assert.deepEqual(seen, order);
    });
  }

  it('an overwritten write is gone from its place and stands at the end (S10: as much history as there are writes)', async () => {
    const instance = await openInstance();
    for (const name of ['a', 'b', 'c', 'a']) await instance.replica.write([set(name, 'v')]);
    const first = await instance.replica.feedPage(positionZero, frontierZero);
    assert.deepEqual(names(first), ['b', 'c', 'a']);
    await instance.replica.write([set('b', 'again')]);
    assert.deepEqual(names(await instance.replica.feedPage(first.position, frontierZero)), ['b']);
    assert.deepEqual((await readAll(instance)).names, ['c', 'a', 'b']);
  });

  it('S13: I9: at most 500 writes and 512 KiB, but one write whatever its size', async () => {
    const instance = await openInstance();
    await instance.replica.write(Array.from({ length: 700 }, (_, i) => set(`s${i}`, 'v')));
    await instance.replica.write([set('big1', 'x'.repeat(1_048_576)), set('big2', 'x'.repeat(1_048_576))]);
    await instance.replica.write(Array.from({ length: 9 }, (_, i) => set(`m${i}`, 'x'.repeat(100_000))));
    const { names: all, pages } = await readAll(instance);
    assert.equal(new Set(all).size, 711);
    assert.equal(all.length, 711);
    for (const { writes } of pages) {
      const bytes = writes.reduce((sum, { write }) => sum + write.key.length + write.value.length, 0);
      assert.ok(writes.length <= limits.commitWritesMax);
      assert.ok(writes.length === 1 || bytes <= limits.feedPageBytesMax, `${writes.length} writes of ${bytes} bytes`);
    }
    assert.deepEqual(
      pages.map(({ end }) => end !== undefined),
      pages.map((_, n) => n === pages.length - 1),
      'the end at the end alone',
    );
  });

  it('S2: what the reader covers is left out, and the place moves over it; 4,000 rows are looked at', async () => {
    const instance = await openInstance();
    for (let i = 0; i < 9; i += 1) await instance.replica.write(Array.from({ length: 500 }, (_, j) => set(`old${i}/${j}`, 'v')));
    const covered = await instance.replica.frontier();
    await instance.replica.write([set('new', 'v')]);
    const first = await instance.replica.feedPage(positionZero, covered);
    assert.deepEqual([first.writes.length, first.end], [0, undefined]);
    assert.ok(compareBytes(first.position, positionZero) > 0);
    const second = await instance.replica.feedPage(first.position, covered);
    assert.deepEqual(names(second), ['new']);
    assert.ok(second.end !== undefined);
  });

  for (const partitions of [1, 16] as const) {
    it(`M15: what is behind a page that does not end the feed is counted where that is asked for: ${partitions} partitions`, async () => {
      const instance = await openInstance({ feedPartitions: partitions });
      const { replica, store } = instance;
      for (let i = 0; i < 4; i += 1) await replica.write(Array.from({ length: 500 }, (_, j) => set(`k${i}/${j}`, 'v')));
      const behind: (number | undefined)[] = [];
      let after: Uint8Array = positionZero;
      for (let pages = 0; pages < 4; pages += 1) {
        assert.equal((await replica.feedPage(after, frontierZero)).behind, undefined);
        const page = await replica.feedPage(after, frontierZero, { behindMax: 700 });
        behind.push(page.behind);
        after = page.position;
        const rest = { behindMax: 1_510 }; // of some partitions there is more than their part of it
        if (page.end === undefined) assert.equal((await replica.feedPage(positionZero, frontierZero, rest)).behind, 1_500);
      }
      assert.deepEqual(behind, [700, 700, 500, undefined]);
      const reads = (behindMax: number | undefined): Promise<number> =>
        store.read(async (snapshot) => {
          let count = 0;
          const counted: Snapshot = {
            get: (name) => snapshot.get(name),
            range: (range, options) => {
              count += 1;
              return snapshot.range(range, options);
            },
          };
          const source = { own: clusterPartOf(stampZero), partitions };
          const page = await readFeedPage(counted, source, after, { covered: frontierZero, behindMax });
          assert.ok(page.end !== undefined);
          return count;
        });
      assert.equal(await reads(700), await reads(undefined), 'a page that ends the feed takes no read more');
    });
  }

  it('from past all there is the frontier alone', async () => {
    const instance = await openInstance();
    await instance.replica.write([set('k', 'v')]);
    const page = await instance.replica.feedPage(positionPastAll, frontierZero);
    assert.deepEqual([page.writes.length, page.end], [0, await instance.replica.frontier()]);
  });

  it('a place holds over a restart', async () => {
    const database = new MemoryDatabase();
    const before = await openInstance({ database });
    await before.replica.write([set('a', 'v'), set('b', 'v')]);
    const { position } = await before.replica.feedPage(positionZero, frontierZero);
    await before.replica.close();
    const after = await openInstance({ database, seed: 2 });
    await after.replica.write([set('c', 'v')]);
    assert.deepEqual(names(await after.replica.feedPage(position, frontierZero)), ['c']);
  });
});
