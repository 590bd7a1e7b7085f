import assert from 'node:assert/strict';
import fc from 'fast-check';
import { toHex } from '../../src/core/bytes.ts';
import { allKeys, inRange, parseKey, prefixRange, type KeyRange } from '../../src/core/key.ts';
import { KeyFilter } from '../../src/grant/keyFilter.ts';
import { Pattern } from '../../src/grant/pattern.ts';
import { key, openInstance, remove, set, type Instance } from '../aae/world.ts';
import { Reader } from '../../src/replica/read.ts';
import { observing } from '../store/observing.ts';
import { FakeClock } from '../support.ts';

const noKeys: readonly string[] = [];
const edgeKeys = ['00', '7f', '80', 'ff'];

async function put(instance: Instance, hexKey: string, value: string): Promise<void> {
  await instance.replica.write([
    {
      kind: 'set',
      key: parseKey(Buffer.from(hexKey, 'hex')),
      value: Buffer.from(value),
      expiresInMs: undefined,
      expected: { kind: 'any' },
    },
  ]);
}

/** All pages of a list, one behind the other, and how many there were. */
async function pages(
  instance: Instance,
  range: KeyRange,
  limit: number,
  order: 'forward' | 'reverse',
): Promise<{ keys: string[]; count: number }> {
  const keys: string[] = [];
  let left = range;
  for (let count = 1; ; count += 1) {
    const { entries, next } = await instance.replica.list({ range: left, limit, order, values: 'without' });
    assert.ok(entries.length <= limit);
    keys.push(...entries.map((entry) => toHex(entry.key)));
    if (next === null) return { keys, count };
    left = order === 'forward' ? { start: next, end: left.end } : { start: left.start, end: next };
  }
}

describe('get, set and list', () => {
  it('G1: R4: a missing key and an empty value differ only in exists and version', async () => {
    const instance = await openInstance();
    await instance.replica.write([set('empty', '')]);
    const empty = await instance.replica.get(key('empty'));
    assert.deepEqual([empty.value.length, empty.exists, empty.version === null], [0, true, false]);
    const missing = await instance.replica.get(key('missing'));
    assert.deepEqual([missing.value.length, missing.exists, missing.version], [0, false, null]);
  });

  it('G2: R4: what was set is read back, under the version that the answer named', async () => {
    const { replica } = await openInstance();
    const [outcome] = await replica.write([set('k', 'v')]);
    const read = await replica.get(key('k'));
    assert.deepEqual([Buffer.from(read.value).toString(), read.version], ['v', outcome?.version]);
    assert.ok(outcome?.applied);
  });

  it('G3: R4: a deleted key is missing, is left out of lists, and can be set again', async () => {
    const { replica } = await openInstance();
    await replica.write([set('a', '1'), set('b', '2')]);
    await replica.write([remove('a')]);
    assert.equal((await replica.get(key('a'))).exists, false);
    const { entries } = await replica.list({ range: allKeys, limit: 10, order: 'forward', values: 'with' });
    assert.deepEqual(
      entries.map((entry) => Buffer.from(entry.key).toString()),
      ['b'],
    );
    await replica.write([set('a', '3')]);
    assert.equal(Buffer.from((await replica.get(key('a'))).value).toString(), '3');
  });

  it('R4: a write past its expiry reads as absent, in get and in list, from that millisecond on', async () => {
    const clock = new FakeClock();
    const { replica } = await openInstance({ clock });
    await replica.write([{ kind: 'set', key: key('k'), value: Buffer.from('v'), expiresInMs: 100, expected: { kind: 'any' } }]);
    const seen = async (): Promise<[boolean, number]> => [
      (await replica.get(key('k'))).exists,
      (await replica.list({ range: allKeys, limit: 10, order: 'forward', values: 'with' })).entries.length,
    ];
    clock.ms += 99;
    assert.deepEqual(await seen(), [true, 1]);
    clock.ms += 1;
    assert.deepEqual(await seen(), [false, 0]);
  });

  it('G4: R5: keys lie in unsigned byte order, ranges are half-open, and null is past the last', async () => {
    const instance = await openInstance();
    for (const name of ['ff', '80', '00', '7f']) await put(instance, name, name);
    assert.deepEqual((await pages(instance, allKeys, 100, 'forward')).keys, edgeKeys);
    const from = (start: string, end: string | null): KeyRange => ({
      start: Buffer.from(start, 'hex'),
      end: end === null ? null : Buffer.from(end, 'hex'),
    });
    assert.deepEqual((await pages(instance, from('00', 'ff'), 100, 'forward')).keys, ['00', '7f', '80']);
    assert.deepEqual((await pages(instance, from('7f', 'ff00'), 100, 'reverse')).keys, ['ff', '80', '7f']);
    assert.deepEqual((await pages(instance, from('7f00', '80'), 100, 'forward')).keys, noKeys);
    assert.deepEqual((await pages(instance, from('80', null), 100, 'forward')).keys, ['80', 'ff']);
  });

  it('G4: R5: pages by next, both ways, are the whole range, without a gap or a repetition', async () => {
    const bytes = fc
      .array(fc.constantFrom(0, 0x7f, 0x80, 0xff), { minLength: 1, maxLength: 3 })
      .map((list) => Buffer.from(list).toString('hex'));
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(bytes, { maxLength: 40 }),
        fc.integer({ min: 1, max: 7 }),
        bytes,
        fc.nat(4),
        async (names, limit, prefix, dead) => {
          const instance = await openInstance();
          for (const name of names) await put(instance, name, '');
          const deleted = names.filter((_, i) => i % 5 < dead);
          for (const name of deleted)
            await instance.replica.write([{ kind: 'delete', key: parseKey(Buffer.from(name, 'hex')), expected: { kind: 'any' } }]);
          for (const range of [allKeys, prefixRange(Buffer.from(prefix, 'hex'))]) {
            const expected = names.filter((name) => !deleted.includes(name) && inRange(Buffer.from(name, 'hex'), range)).sort();
            const forward = await pages(instance, range, limit, 'forward');
            assert.deepEqual(forward.keys, expected);
            assert.equal(forward.count, Math.max(1, Math.ceil(expected.length / limit)), 'no empty page at the end');
            assert.deepEqual((await pages(instance, range, limit, 'reverse')).keys, expected.toReversed());
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it('R5: a page ends at the bytes of one answer, after one entry at least', async () => {
    const instance = await openInstance();
    const big = 'x'.repeat(1_048_576);
    for (let i = 0; i < 10; i += 1) await instance.replica.write([set(`k${i}`, big)]);
    const first = await instance.replica.list({ range: allKeys, limit: 100, order: 'forward', values: 'with' });
    assert.equal(first.entries.length, 7, '8 MiB in all, keys counted');
    assert.equal(Buffer.from(first.next ?? '').toString(), 'k7');
  });

  it('K22: R5: of keys that do not match no page looks at more than it could match, and goes on behind them', async () => {
    const instance = await openInstance();
    const names = Array.from({ length: 3_000 }, (_, i) => `k/${String(i).padStart(4, '0')}`);
    for (let at = 0; at < names.length; at += 500) await instance.replica.write(names.slice(at, at + 500).map((name) => set(name, 'v')));
    const pattern = (text: string): Pattern => Pattern.parse(Buffer.from(text));
    const others = Array.from({ length: 7 }, () => ({ pattern: pattern('other/**'), removes: false }));
    const filter = new KeyFilter([...others, { pattern: pattern('*/2999'), removes: false }]);
    const query = { limit: 10, order: 'forward', values: 'with', filter } as const;
    const first = await instance.replica.list({ range: allKeys, ...query });
    assert.deepEqual([first.entries, Buffer.from(first.next ?? '').toString()], [[], 'k/2222\0'], '20,000 by nine');
    const last = await instance.replica.list({ range: { start: first.next ?? new Uint8Array(0), end: null }, ...query });
    assert.deepEqual([last.entries.map((entry) => Buffer.from(entry.key).toString()), last.next], [['k/2999'], null]);
  });

  it('K22: R5: keys of many segments take as many looks as they take time, in both directions', async () => {
    const instance = await openInstance();
    const names = Array.from({ length: 100 }, (_, i) => `${'/'.repeat(1_020)}${String(i).padStart(4, '0')}`);
    await instance.replica.write(names.map((name) => set(name, 'v')));
    const pattern = Pattern.parse(Buffer.from('**//*/**/*//**/x'));
    const filter = new KeyFilter(Array.from({ length: 8 }, () => ({ pattern, removes: false })));
    for (const order of ['forward', 'reverse'] as const) {
      let left = allKeys;
      const pagesNeeded = 1 + Math.floor(names.length / Math.ceil(20_000 / (1 + 8 * Math.ceil(1_021 / 16))));
      for (let page = 1; ; page += 1) {
        const { entries, next } = await instance.replica.list({ range: left, limit: 1_000, order, values: 'with', filter });
        assert.equal(entries.length, 0);
        assert.equal(next === null, page === pagesNeeded, `page ${page} of ${pagesNeeded}`);
        if (next === null) break;
        left = order === 'forward' ? { start: next, end: null } : { start: allKeys.start, end: next };
      }
    }
  });

  it('R5: behind many deleted keys it takes few reads, however little is asked for', async () => {
    const { replica, store, clock } = await openInstance();
    const names = Array.from({ length: 2_000 }, (_, i) => `k${i}`);
    for (let at = 0; at < names.length; at += 500) await replica.write(names.slice(at, at + 500).map((name) => set(name, 'v')));
    for (let at = 0; at < names.length; at += 500) await replica.write(names.slice(at, at + 500).map(remove));
    let reads = 0;
    const reader = new Reader(
      observing(store, () => (reads += 1)),
      clock,
    );
    const { entries, next } = await reader.list({ range: allKeys, limit: 1, order: 'forward', values: 'without' });
    assert.deepEqual([entries, next], [[], null]);
    assert.ok(reads < 20, `${reads} reads`);
  });

  it('R5: a list of keys alone reads no values', async () => {
    const instance = await openInstance();
    await instance.replica.write([set('k', 'v')]);
    const { entries } = await instance.replica.list({ range: allKeys, limit: 1, order: 'forward', values: 'without' });
    assert.deepEqual(
      entries.map(({ value }) => value.length),
      [0],
    );
  });
});
