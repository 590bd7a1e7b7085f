import assert from 'node:assert/strict';
import { makeStamp, parseInstance, physicalMsMax, type Stamp } from '../../src/core/stamp.ts';
import { parseGrantId } from '../../src/core/write.ts';
import { assertTree } from '../aae/oracle.ts';
import { key, openInstance, type Instance } from '../aae/world.ts';
import { FakeClock } from '../support.ts';
import { received, type WriteShape } from './received.ts';
import { expectedRows, rowsOf } from './rows.ts';

const never = new AbortController().signal;
const floorMs = new FakeClock().now() - 1_000;
const atMs = (ms: number, logical = 0): Stamp => makeStamp(ms, logical, parseInstance(new Uint8Array(8)));
const floor = atMs(floorMs, 5);
const floorTop = atMs(physicalMsMax);
const leaf = parseGrantId(new Uint8Array(32).fill(1));

async function receive(instance: Instance, writes: Readonly<Record<string, readonly [version: Stamp, shape: WriteShape]>>): Promise<void> {
  const list = Object.entries(writes).map(([name, [version, shape]]) =>
    received(instance.digests, name.split(' ')[0] ?? '', version, version, shape),
  );
  for (let at = 0; at < list.length; at += 500) await instance.replica.receive(list.slice(at, at + 500), 'peer');
}

/** The keys that are left; the tree and all derived rows are those of these. */
async function left(instance: Instance): Promise<string[]> {
  await assertTree(instance.store, instance.digests);
  assert.deepEqual(new Map([...(await rowsOf(instance.store, 'derived'))].sort()), await expectedRows(instance.store));
  const rows = [...(await rowsOf(instance.store, 'content')).keys()].filter((row) => row.startsWith('10'));
  return rows.map((row) => Buffer.from(row.slice(2), 'hex').toString()).sort();
}

describe('collection', () => {
  it('G22: R12: a tombstone is collected only below the floor, and with it all that it had deleted', async () => {
    const instance = await openInstance();
    const tombstone = { tombstone: true };
    await receive(instance, {
      alone: [atMs(floorMs, 4), tombstone],
      at: [floor, tombstone],
      above: [atMs(floorMs + 1), tombstone],
      both: [atMs(floorMs - 1), tombstone],
      'both again': [atMs(floorMs - 2), { leaf }],
      'at again': [atMs(floorMs - 2), { leaf }],
      value: [atMs(floorMs - 3), {}],
    });
    assert.equal(await instance.replica.collect(floor, never), 2);
    assert.deepEqual(await left(instance), ['above', 'at', 'value']);
    assert.equal(
      (await instance.replica.candidates(key('at'))).length,
      2,
      'what the tombstone of the floor deleted is not everywhere deleted yet',
    );
  });

  it('I2: I3: R12: of several candidates below the floor the greatest stays, but where it reads as absent, whatever is above the floor', async () => {
    const instance = await openInstance();
    const before = atMs(floorMs - 10);
    await receive(instance, {
      deleted: [atMs(floorMs - 1), { tombstone: true }],
      'deleted again': [before, { leaf }],
      expired: [atMs(floorMs - 1), { expiresAt: floorMs - 1 }],
      'expired again': [before, { leaf }],
      kept: [atMs(floorMs - 1), { leaf }],
      'kept again': [before, { tombstone: true }],
      later: [atMs(floorMs + 1), { tombstone: true }],
      'later again': [before, { leaf }],
      over: [atMs(floorMs + 1), {}],
      'over again': [before, { leaf, tombstone: true }],
    });
    assert.equal(await instance.replica.collect(floor, never), 4);
    assert.deepEqual(await left(instance), ['kept', 'later', 'over']);
    assert.equal((await instance.replica.candidates(key('over'))).length, 1);
    assert.equal((await instance.replica.candidates(key('kept'))).length, 1);
    assert.equal((await instance.replica.candidates(key('later'))).length, 2, 'the greater one is not everywhere yet');
  });

  it('R12: an expired write is collected only where its version and its expiry are below the floor', async () => {
    const instance = await openInstance();
    const before = atMs(floorMs - 10);
    await receive(instance, {
      expired: [before, { expiresAt: floorMs - 1 }],
      'expires-at': [before, { expiresAt: floorMs }],
      'expires-later': [before, { expiresAt: floorMs + 100_000 }],
      'written-later': [atMs(floorMs + 1), { expiresAt: floorMs - 1 }],
      both: [before, { expiresAt: floorMs - 1 }],
      'both again': [atMs(floorMs - 9), { leaf, expiresAt: floorMs + 2 }],
      value: [before, {}],
    });
    assert.equal(await instance.replica.collect(floor, never), 2);
    assert.deepEqual(await left(instance), ['both', 'expires-at', 'expires-later', 'value', 'written-later']);
    const [stays, ...others] = await instance.replica.candidates(key('both'));
    assert.deepEqual([stays?.expiresAt, others], [floorMs + 2, []], 'it is greater, and has not expired');
  });

  it('R12: many that stay do not hide what comes after them', async () => {
    const instance = await openInstance();
    const writes: Record<string, readonly [Stamp, WriteShape]> = {};
    for (let i = 0; i < 450; i += 1) {
      const staying = i < 250;
      const [version, other] = [atMs(floorMs - 1_000 + i), atMs((staying ? floorMs + 1 : floorMs - 2_000) + i)];
      writes[`tombstone${i}`] = [version, { tombstone: true }];
      writes[`expired${i}`] = [other, { expiresAt: floorMs - 1_000 + i }];
    }
    await receive(instance, writes);
    assert.equal(await instance.replica.collect(floor, never), 650);
    const names = await left(instance);
    assert.equal(names.length, 250);
    assert.ok(names.every((name) => Number(/\d+$/.exec(name)?.[0]) < 250));
    assert.equal(await instance.replica.collect(floor, never), 0);
  });

  it('R12: keys so long that a commit takes few of them are all taken away', async () => {
    const instance = await openInstance();
    const names = Array.from({ length: 300 }, (_, i) => `k${i}`.padEnd(1_024, '/'));
    await receive(instance, Object.fromEntries(names.map((name, i) => [name, [atMs(floorMs - 1_000 + i), { tombstone: true }]])));
    assert.equal(await instance.replica.collect(floor, never), 300);
    assert.deepEqual(await left(instance), []);
  });

  it('R12: takes nothing away once it is told to stop', async () => {
    const instance = await openInstance();
    await receive(instance, { gone: [atMs(1), { tombstone: true }] });
    assert.equal(await instance.replica.collect(floorTop, AbortSignal.abort()), 0);
    assert.deepEqual(await left(instance), ['gone']);
  });
});
