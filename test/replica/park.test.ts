import assert from 'node:assert/strict';
import { hasCode } from '../../src/core/errors.ts';
import { limits } from '../../src/core/limits.ts';
import { compareStamps, makeStamp, parseInstance, physicalMsOf, type Stamp } from '../../src/core/stamp.ts';
import { tableRange, tables } from '../../src/store/keyspace.ts';
import { assertTree } from '../aae/oracle.ts';
import { key, openInstance, type Instance } from '../aae/world.ts';
import { FakeClock } from '../support.ts';
import { received } from './received.ts';

const yearMs = 365 * 86_400_000;
const peerInstance = parseInstance(new Uint8Array(8).fill(0xee));

async function world(): Promise<{ instance: Instance; clock: FakeClock; at: (aheadMs: number) => Stamp }> {
  const clock = new FakeClock();
  return { instance: await openInstance({ clock }), clock, at: (aheadMs) => makeStamp(clock.now() + aheadMs, 0, peerInstance) };
}

describe('parking', () => {
  it('G39: K13: R9: a write a year ahead is parked and counted, unseen, and moves no clock', async () => {
    const { instance, clock, at } = await world();
    const { replica, digests, store } = instance;
    const [result] = await replica.receive([received(digests, 'k', at(yearMs))], 'peer');
    assert.equal(result?.status, 'parked');
    assert.deepEqual((await replica.parkedCount()).writes, 1);
    assert.equal((await replica.get(key('k'))).exists, false);
    assert.ok(physicalMsOf(replica.hlc.last) <= clock.now());
    await assertTree(store, digests);
  });

  it('R9: a parked write is taken in once the clock has reached it, not before', async () => {
    const { instance, clock, at } = await world();
    const { replica, digests, store } = instance;
    const version = at(yearMs);
    await replica.receive([received(digests, 'k', version)], 'peer');
    clock.ms += yearMs - 5_001;
    assert.equal(await replica.retryParked(), 0);
    clock.ms += 1;
    assert.equal(await replica.retryParked(), 1);
    assert.deepEqual(await replica.parkedCount(), { writes: 0, bytes: 0, unproven: 0 });
    const { version: read } = await replica.get(key('k'));
    assert.equal(read === null ? undefined : compareStamps(read, version), 0);
    await assertTree(store, digests);
  });

  it('R9: 5 s ahead is taken in and observed, a ms more is parked; the accepted stamp counts as well', async () => {
    const { instance, at } = await world();
    const { replica, digests } = instance;
    const limit = at(5_000);
    const results = await replica.receive(
      [received(digests, 'a', limit), received(digests, 'b', at(5_001)), received(digests, 'c', at(0), at(5_001))],
      'peer',
    );
    assert.deepEqual(
      results.map(({ status }) => status),
      ['applied', 'parked', 'parked'],
    );
    assert.equal(compareStamps(replica.hlc.last, limit), 0);
  });

  it('I9: R9: as many bytes as may wait are taken in when they come due together', async () => {
    const { instance, clock } = await world();
    const { replica, digests } = instance;
    const value = 'x'.repeat(limits.valueBytesMax);
    const version = (n: number): Stamp => makeStamp(clock.now() + 60_000, n, peerInstance);
    const park = (n: number): Promise<unknown> => replica.receive([received(digests, `k${n}`, version(n), undefined, { value })], 'peer');
    let parked = 0;
    for (; parked * limits.valueBytesMax < limits.parkedBytesMax; parked += 1) await park(parked);
    await assert.rejects(park(parked), (error) => hasCode(error, 'unavailable'));
    clock.ms += 60_000;
    assert.equal(await replica.retryParked(), parked);
    assert.deepEqual(await replica.parkedCount(), { writes: 0, bytes: 0, unproven: 0 });
    assert.equal((await replica.get(key(`k${parked - 1}`))).exists, true);
  }).timeout(30_000);

  it('R9: the same write from one peer is parked once, from two peers twice', async () => {
    const { instance, at } = await world();
    const { replica, digests } = instance;
    const write = received(digests, 'k', at(yearMs));
    await replica.receive([write, write], 'one');
    await replica.receive([write], 'one');
    assert.equal((await replica.parkedCount()).writes, 1);
    await replica.receive([write], 'two');
    assert.equal((await replica.parkedCount()).writes, 2);
  });

  it('R9: what waits for the clock is counted as that; a store of before tells it once nothing waits any more', async () => {
    const { instance, clock, at } = await world();
    const { replica, digests, store } = instance;
    await replica.receive([received(digests, 'k', at(60_000))], 'peer');
    const { bytes, ...counted } = await replica.parkedCount();
    assert.deepEqual(counted, { writes: 1, unproven: 0 });
    const rows = (await store.read((snapshot) => snapshot.range(tableRange(tables.parkedCount), { limit: 10 }))).map(({ key: row }) => row);
    const before = Buffer.from(`00000001${bytes.toString(16).padStart(8, '0')}`, 'hex');
    await store.transact((tx) => {
      for (const row of rows) tx.set(row, before);
      return Promise.resolve();
    });
    assert.deepEqual(await replica.parkedCount(), { writes: 1, bytes, unproven: undefined });
    await replica.receive([received(digests, 'l', at(120_000))], 'peer');
    assert.deepEqual(await replica.parkedCount(), { writes: 2, bytes: 2 * bytes, unproven: undefined });
    clock.ms += 120_000;
    await replica.retryParked();
    await replica.receive([received(digests, 'm', at(60_000))], 'peer');
    assert.deepEqual(await replica.parkedCount(), { writes: 1, bytes, unproven: 0 });
  });

  it('I9: R9: parking is bounded: over 10,000 writes are refused with unavailable, and what is parked stays', async () => {
    const { instance, clock, at } = await world();
    const { replica, digests } = instance;
    const far = at(yearMs);
    for (let page = 0; page < 20; page += 1) {
      await replica.receive(
        Array.from({ length: 500 }, (_, i) => received(digests, `k${page}-${i}`, far)),
        'peer',
      );
    }
    await assert.rejects(replica.receive([received(digests, 'one more', far)], 'peer'), (error) => hasCode(error, 'unavailable'));
    assert.equal((await replica.parkedCount()).writes, 10_000);
    clock.ms += yearMs;
    while ((await replica.retryParked()) > 0);
    assert.deepEqual(await replica.parkedCount(), { writes: 0, bytes: 0, unproven: 0 });
    assert.ok((await replica.get(key('k19-499'))).exists);
  });
});
