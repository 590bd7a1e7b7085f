import assert from 'node:assert/strict';
import { hasCode } from '../../src/core/errors.ts';
import { allKeys } from '../../src/core/key.ts';
import { makeStamp, parseInstance, physicalMsMax } from '../../src/core/stamp.ts';
import { grantZero, parseGrantId } from '../../src/core/write.ts';
import { scrub } from '../../src/aae/scrub.ts';
import { silentLog } from '../../src/core/ports.ts';
import { valueKey } from '../../src/replica/change.ts';
import { type WriteOp } from '../../src/replica/proposal.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { tables } from '../../src/store/keyspace.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { storeLimits } from '../../src/store/store.ts';
import { observing } from '../store/observing.ts';
import { exchange, key, linkTo, openInstance, remove, set, type Instance } from '../aae/world.ts';
import { FakeClock, seededRandom } from '../support.ts';
import { received } from './received.ts';
import { expectedRows, rowsOf } from './rows.ts';

const never = new AbortController().signal;
const floorTop = makeStamp(physicalMsMax, 0, parseInstance(new Uint8Array(8)));
const leaf = parseGrantId(new Uint8Array(32).fill(1));

/** Bytes of a value; with the signature block's two it is a record of 2, 256, 257, and more than a store may keep whole. */
const sizes = { empty: 0, inline: 254, row: 255, parts: storeLimits.wholeBytesMax + 1 } as const;
type Content = keyof typeof sizes | 'deleted';
const contents: readonly Content[] = ['empty', 'inline', 'row', 'parts', 'deleted'];
const isInline = (content: Content): boolean => content !== 'row' && content !== 'parts';

/** Values differ from one another also where their lengths are equal. */
function opOf(content: Content, fill: string): WriteOp {
  return content === 'deleted' ? remove('k') : set('k', fill.repeat(sizes[content]));
}

/** What is to be done to the row of the value when one content follows another. */
function opsBetween(before: Content | 'nothing', after: Content): string[] {
  const hadRow = before !== 'nothing' && !isInline(before);
  if (isInline(after)) return hadRow ? ['clear value'] : [];
  return before === 'parts' ? ['clear value', 'set value'] : ['set value'];
}

interface Recorded extends Instance {
  /** What was done since the last call. */
  readonly takeLog: () => string[];
}

const tableNames: ReadonlyMap<number | undefined, string> = new Map([
  [tables.head, 'head'],
  [tables.value, 'value'],
  [tables.leafValue, 'leafValue'],
]);

/** Notes what is done to rows of heads and values: "get head", "set value". Ranges are not noted. */
async function openRecorded(): Promise<Recorded> {
  const log: string[] = [];
  const clock = new FakeClock();
  const store = observing(openMemoryStore(new MemoryDatabase(), { clock, random: seededRandom(1) }), (name, row) => {
    const table = tableNames.get(row?.[0]);
    if (table !== undefined) log.push(`${name === 'setVersionstampedValue' ? 'set' : name} ${table}`);
  });
  const instance = await openInstance({ store, clock });
  return { ...instance, takeLog: () => log.splice(0) };
}

/** The key reads as the content says, with so many reads; nothing else lies in the store. */
async function assertReads({ replica, store, digests, takeLog }: Recorded, content: Content, fill: string): Promise<void> {
  takeLog();
  const { value, exists } = await replica.get(key('k'));
  assert.deepEqual(takeLog(), isInline(content) ? ['get head'] : ['get head', 'get value']);
  assert.equal(exists, content !== 'deleted');
  assert.equal(Buffer.from(value).toString(), content === 'deleted' ? '' : fill.repeat(sizes[content]));
  assert.deepEqual(new Map([...(await rowsOf(store, 'derived'))].sort()), await expectedRows(store));
  assert.deepEqual((await scrub(store, digests, silentLog, never)).damaged, []);
  takeLog();
}

describe('values in heads', () => {
  for (const before of contents) {
    for (const after of contents) {
      it(`R11: ${before}, then ${after}: rows of values are set and cleared only where they must be`, async () => {
        const instance = await openRecorded();
        for (const [from, to, fill] of [
          ['nothing', before, 'a'],
          [before, after, 'b'],
          [after, before, 'c'],
        ] as const) {
          instance.takeLog();
          await instance.replica.write([opOf(to, fill)]);
          assert.deepEqual(instance.takeLog(), ['get head', 'set head', ...opsBetween(from, to)]);
          await assertReads(instance, to, fill);
        }
      });

      it(`R11: ${before} and ${after} in one commit leave the row of the last alone`, async () => {
        for (const first of [...contents, 'nothing'] as const) {
          const instance = await openRecorded();
          if (first !== 'nothing') await instance.replica.write([opOf(first, 'a')]);
          instance.takeLog();
          await Promise.all([instance.replica.write([opOf(before, 'b')]), instance.replica.write([opOf(after, 'c')])]);
          assert.deepEqual(instance.takeLog(), ['get head', 'set head', ...opsBetween(first, after)]);
          await assertReads(instance, after, 'c');
        }
      });
    }
  }

  it('R11: a write under another leaf grant leaves the value beside it where it is', async () => {
    const instance = await openRecorded();
    const { replica, digests, store, takeLog } = instance;
    const version = replica.hlc.next();
    await replica.write([opOf('row', 'a')]);
    for (const [size, ops] of [
      [sizes.parts, ['set leafValue']],
      [sizes.inline, ['clear leafValue']],
      [sizes.row, ['set leafValue']],
    ] as const) {
      takeLog();
      const stamp = size === sizes.parts ? version : replica.hlc.next();
      const value = 'b'.repeat(size);
      await replica.receive([received(digests, 'k', stamp, stamp, { leaf, value })], 'peer');
      assert.deepEqual(takeLog(), ['get head', 'set head', ...ops]);
      assert.deepEqual(new Map([...(await rowsOf(store, 'derived'))].sort()), await expectedRows(store));
      assert.deepEqual((await scrub(store, digests, silentLog, never)).damaged, []);
    }
  });

  it('R11: a small value is inline beside three others, also where it takes the place of a fourth; beside four it is not', async () => {
    const { replica, digests, store, takeLog } = await openRecorded();
    const take = async (holder: number): Promise<string[]> => {
      const at = { leaf: parseGrantId(new Uint8Array(32).fill(holder)), value: 'b' };
      await replica.receive([received(digests, 'k', replica.hlc.next(), undefined, at)], 'peer');
      return takeLog();
    };
    for (const holder of [1, 2, 3, 4, 4, 1]) assert.deepEqual(await take(holder), ['get head', 'set head'], `holder ${holder}`);
    for (const holder of [5, 1]) assert.deepEqual(await take(holder), ['get head', 'set head', 'set leafValue'], `holder ${holder}`);
    assert.deepEqual(new Map([...(await rowsOf(store, 'derived'))].sort()), await expectedRows(store));
  });

  it('R11: a list reads no more rows for values that are inline', async () => {
    const { replica, takeLog } = await openRecorded();
    await replica.write([set('a', 'x'), set('b', 'y'.repeat(sizes.inline)), set('c', 'z'.repeat(sizes.row))]);
    takeLog();
    const { entries } = await replica.list({ range: allKeys, limit: 10, order: 'forward', values: 'with' });
    assert.deepEqual(takeLog(), ['get value']);
    assert.deepEqual(
      entries.map(({ value }) => value.length),
      [1, sizes.inline, sizes.row],
    );
  });

  it('R11: an exchange reads no more rows for values that are inline, and brings both kinds over', async () => {
    const ours = await openRecorded();
    const theirs = await openInstance({ cluster: 2, seed: 2 });
    await ours.replica.write([set('a', ''), set('b', 'y'.repeat(sizes.inline)), set('c', 'z'.repeat(sizes.row)), remove('d')]);
    ours.takeLog();
    const report = await exchange(theirs, linkTo(ours));
    assert.deepEqual([report.converged, report.received], [true, 4]);
    assert.deepEqual(ours.takeLog(), ['get value']);
    assert.deepEqual(await rowsOf(theirs.store, 'content'), await rowsOf(ours.store, 'content'));
  });

  it('R12: collection clears the row of a value only where there is one', async () => {
    const { replica, store, takeLog } = await openRecorded();
    const expiring = (name: string, bytes: number): WriteOp => {
      return { kind: 'set', key: key(name), value: Buffer.alloc(bytes), expiresInMs: 1, expected: { kind: 'any' } };
    };
    await replica.write([expiring('a', sizes.inline), expiring('b', sizes.row), remove('c')]);
    takeLog();
    assert.equal(await replica.collect(floorTop, never), 3);
    assert.deepEqual(
      takeLog().filter((op) => op.endsWith('value')),
      ['clear value'],
    );
    assert.equal((await rowsOf(store, 'derived')).size, 0);
  });

  it('G17: a value whose row is gone reads as corrupt, is not given to peers, and can be written again', async () => {
    const { replica, store, ...rest } = await openInstance();
    await replica.write([set('k', 'v'.repeat(sizes.row))]);
    await store.transact((tx) => {
      tx.clear(valueKey(key('k'), grantZero));
      return Promise.resolve();
    });
    const isCorrupt = (error: unknown): boolean => hasCode(error, 'corrupt');
    await assert.rejects(replica.get(key('k')), isCorrupt);
    await assert.rejects(replica.list({ range: allKeys, limit: 1, order: 'forward', values: 'with' }), isCorrupt);
    const other = await openInstance({ cluster: 2, seed: 2 });
    await assert.rejects(exchange(other, linkTo({ replica, store, ...rest })), isCorrupt);
    assert.equal((await other.replica.get(key('k'))).exists, false);
    await replica.write([set('k', 'again')]);
    assert.equal(Buffer.from((await replica.get(key('k'))).value).toString(), 'again');
  });
});
