import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { hasCode } from '../../src/core/errors.ts';
import { compareStamps, physicalMsOf, stampZero } from '../../src/core/stamp.ts';
import { floorOf, isAboveFloor, isPlausibleFloor } from '../../src/mesh/floor.ts';
import { headKey } from '../../src/replica/change.ts';
import { storeKey, tables } from '../../src/store/keyspace.ts';
import { assertTree } from '../aae/oracle.ts';
import { key, remove, set, type Instance } from '../aae/world.ts';
import { TestClock, until } from '../support.ts';
import { partOf } from '../../src/mesh/words.ts';
import { joinFrontier } from '../../src/replica/frontier.ts';
import { askFrame, liarId, saysNothing, stampAt } from './hostile.ts';
import { memberOp, Network, openCluster, openWorld, untilEqual, type Cluster } from './world.ts';

const dayMs = 86_400_000;
const hourMs = 3_600_000;

describe('M10: the floor', () => {
  it('is the least low less 15 s and a day, rounded down to the hour', () => {
    const noonMs = 20_000 * dayMs + 12 * hourMs;
    for (const [lowMs, floorMs] of [
      [noonMs, noonMs - dayMs - hourMs],
      [noonMs + 14_999, noonMs - dayMs - hourMs],
      [noonMs + 15_000, noonMs - dayMs],
      [noonMs + hourMs + 14_999, noonMs - dayMs],
    ] as const) {
      assert.deepEqual(floorOf([stampAt(noonMs * 2), stampAt(lowMs), stampAt(lowMs + 1)], dayMs), stampAt(floorMs));
    }
    assert.equal(floorOf([], dayMs), undefined);
    assert.equal(floorOf([stampAt(noonMs), stampZero], dayMs), undefined, 'a member of whom nothing is known');
  });

  it('a cluster is above it where it has all up to 15 s later; one later than a day ago is none', () => {
    assert.equal(isAboveFloor(stampZero, stampZero), true);
    assert.equal(isAboveFloor(stampAt(115_000), stampAt(100_000)), true);
    assert.equal(isAboveFloor(stampAt(114_999), stampAt(100_000)), false);
    assert.equal(isPlausibleFloor(stampAt(10 * dayMs + 5_000), dayMs, 11 * dayMs), true);
    assert.equal(isPlausibleFloor(stampAt(10 * dayMs + 5_001), dayMs, 11 * dayMs), false);
  });

  it('R23: never moves back', async () => {
    const { replica } = await openCluster(new Network(), 1);
    assert.equal(await replica.raiseFloor(stampAt(100)), true);
    assert.equal(await replica.raiseFloor(stampAt(99)), false);
    assert.equal(await replica.raiseFloor(stampAt(100)), false);
    assert.deepEqual(await replica.floor(), stampAt(100));
  });

  it('M11: free slots are closed at once when a region starts, and so its low is known soon', async () => {
    const { mesh, replica, store } = await openCluster(new Network(), 1);
    const free = mesh.jobs.find(({ name }) => name === 'free slots');
    assert.equal(free?.pauseMs(), 0);
    await replica.closePresent();
    await free.work(store, new AbortController().signal);
    await mesh.readMembers();
    assert.notDeepEqual((await mesh.view()).low, stampZero);
    assert.notEqual(free.pauseMs(), 0);
  });
});

async function holds({ store }: Instance, name: string): Promise<boolean> {
  return (await store.read((snapshot) => snapshot.get(headKey(key(name))))) !== undefined;
}

/** What never used slots are closed up to: its low, once its own slot has closed the present. */
async function closedUpTo({ store, replica }: Cluster, ms: number): Promise<void> {
  await replica.closePresent();
  await store.transact((tx) => {
    tx.set(storeKey(tables.slotBase), stampAt(ms));
    return Promise.resolve();
  });
}

describe('M10: collection in a mesh', () => {
  it('G22: S18: a tombstone is collected everywhere once all have been level for a day, and the trees stay right', async () => {
    await using world = await openWorld(3);
    await world.clusters[0]?.replica.write([set('gone', 'v'), set('stays', 'v')]);
    await untilEqual(world.clusters); // in the same millisecond the delete could be the lesser write
    await world.clusters[1]?.replica.write([remove('gone')]);
    await untilEqual(world.clusters);
    for (const cluster of world.clusters) assert.equal(await holds(cluster, 'gone'), true);
    world.clock.advance(60_000);
    for (const cluster of world.clusters) {
      await until(async () => !(await holds(cluster, 'gone')));
      assert.equal(await holds(cluster, 'stays'), true);
    }
    await untilEqual(world.clusters);
    for (const { store, digests } of world.clusters) await assertTree(store, digests);
  });

  it('I3: a member that is away holds it back, and nothing that it missed is collected', async () => {
    await using world = await openWorld(3);
    const [a, b, c] = world.clusters as [Cluster, Cluster, Cluster];
    await a.replica.write([set('k', 'old')]);
    await untilEqual([a, b, c]);
    for (const other of [a, b]) world.network.cut(other, c);
    await a.replica.write([remove('k')]);
    const deletedMs = world.clock.now();
    world.clock.advance(60_000);
    await until(() => physicalMsOf(b.replica.hlc.last) > deletedMs + 50_000);
    for (let i = 0; i < 20; i += 1) {
      await a.replica.write([set('busy', `${i}`)]);
      await until(async () => Buffer.from((await b.replica.get(key('busy'))).value).toString() === `${i}`);
    }
    for (const cluster of [a, b]) {
      assert.ok(physicalMsOf(await cluster.replica.floor()) < deletedMs);
      assert.equal(await holds(cluster, 'k'), true, 'the tombstone');
    }
    world.network.heal();
    for (const cluster of [a, b, c]) await until(async () => !(await holds(cluster, 'k')));
    assert.equal((await c.replica.get(key('k'))).exists, false);
  });

  it('I3: M10: a cluster that has not read its members yet claims nothing', async () => {
    const network = new Network();
    const cluster = await openCluster(network, 1);
    await cluster.replica.write([memberOp(cluster), set('k', 'v')]);
    await closedUpTo(cluster, cluster.clock.now());
    assert.deepEqual((await cluster.mesh.view()).low, stampZero);
    for (const { name, work } of [...cluster.mesh.jobs, ...cluster.mesh.memberJobs])
      if (name === 'floor') await work(cluster.store, new AbortController().signal);
    assert.deepEqual(await cluster.replica.floor(), stampZero);
  });

  it('I3: M9: a member whose record cannot be read holds it back all the same, until the record is removed', async () => {
    await using world = await openWorld(2);
    const [a, b] = world.clusters as [Cluster, Cluster];
    const away = '03'.repeat(16);
    const record = `@system/peers/${away.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')}`;
    await a.replica.write([set(record, '{"address":'), set('k', 'v')]);
    await untilEqual([a, b]);
    for (const { mesh } of [a, b]) await until(async () => (await mesh.view()).unreadable.length === 1);
    const beforeMs = physicalMsOf(await a.replica.floor());
    world.clock.advance(60_000);
    for (let i = 0; i < 20; i += 1) {
      await a.replica.write([set('busy', `${i}`)]);
      await untilEqual([a, b]);
    }
    assert.equal(physicalMsOf(await a.replica.floor()), beforeMs);
    assert.equal(a.lines.filter(({ message }) => message.includes('cannot be read')).length, 1, 'warned of once');
    await a.replica.write([remove(record)]);
    for (const { replica } of [a, b]) await until(async () => physicalMsOf(await replica.floor()) > beforeMs);
  });
});

describe('M10: floors that are heard', () => {
  const floorJob = async (cluster: Cluster): Promise<void> => {
    for (const name of ['members', 'floor'])
      for (const job of [...cluster.mesh.jobs, ...cluster.mesh.memberJobs])
        if (job.name === name) await job.work(cluster.store, new AbortController().signal);
  };
  const hear = (cluster: Cluster, floor: number): Promise<Uint8Array> =>
    cluster.mesh.feedServer.answer(askFrame({ statement: { ...saysNothing, floor: stampAt(floor) } }));

  it('one that is known to the mesh is adopted by who has everything up to it', async () => {
    const clock = new TestClock();
    const cluster = await openCluster(new Network(), 1, { clock, times: { dayMs: hourMs } });
    await floorJob(cluster);
    const floorMs = clock.now() - hourMs - 1;
    await hear(cluster, floorMs);
    await closedUpTo(cluster, clock.now());
    await floorJob(cluster);
    assert.ok(physicalMsOf(await cluster.replica.floor()) >= floorMs - 1);
    assert.deepEqual(cluster.lines, []);
  });

  it('a lie of one in the last day, or the future, is not adopted, raises no alarm, and hides no right one', async () => {
    const clock = new TestClock();
    const cluster = await openCluster(new Network(), 1, { clock, times: { dayMs: hourMs } });
    await floorJob(cluster);
    const before = await cluster.replica.floor();
    await closedUpTo(cluster, clock.now() - 2 * hourMs);
    for (const ms of [clock.now(), clock.now() + 365 * dayMs, 2 ** 48 - 1]) await hear(cluster, ms);
    await floorJob(cluster);
    assert.ok(compareStamps(await cluster.replica.floor(), before) >= 0);
    assert.ok(physicalMsOf(await cluster.replica.floor()) < clock.now() - hourMs);
    assert.deepEqual(cluster.lines, []);
    const right = clock.now() - 3 * hourMs;
    await hear(cluster, right);
    await floorJob(cluster);
    assert.ok(physicalMsOf(await cluster.replica.floor()) >= right);
  });

  it('a cluster that has joined nothing yet is not told to start anew; one that was away too long is, and adopts nothing', async () => {
    const clock = new TestClock();
    const network = new Network();
    const fresh = await openCluster(network, 1, { clock, times: { dayMs: hourMs } });
    const other = await openCluster(network, 2, { clock, times: { dayMs: hourMs } });
    await fresh.replica.write([memberOp(fresh), memberOp(other)]);
    await floorJob(fresh);
    await hear(fresh, clock.now() - 2 * hourMs);
    await floorJob(fresh);
    assert.deepEqual(fresh.lines, []);
    // A slot that nobody holds is behind for a moment after a start: that alone says nothing.
    await closedUpTo(fresh, clock.now() - 5 * hourMs);
    await hear(fresh, clock.now() - 2 * hourMs);
    assert.deepEqual(fresh.lines, []);
    const away = await openCluster(network, 3, { clock, times: { dayMs: hourMs } });
    await away.replica.write([memberOp(away), memberOp({ clusterId: liarId, address: away.address })]);
    await floorJob(away);
    const reached = new Map([
      [partOf({ clusterId: liarId, incarnation: 1 }), { base: stampAt(clock.now() - 5 * hourMs), slots: new Map() }],
    ]);
    await away.store.transact((tx) => joinFrontier(tx, reached, partOf({ clusterId: away.clusterId, incarnation: 1 })));
    await assert.rejects(hear(away, clock.now() - 2 * hourMs), (error) => hasCode(error, 'unavailable'));
    await floorJob(away);
    assert.deepEqual(
      away.lines.map(({ level }) => level),
      ['error'],
    );
    assert.ok(physicalMsOf(await away.replica.floor()) < clock.now() - 2 * hourMs);
    assert.ok(hasCode(away.mesh.fault(), 'must_bootstrap'));
  });

  it('M25: who made everything itself below the floor is too old, before it has a low; who has none any more is not', async () => {
    const clock = new TestClock();
    const cluster = await openCluster(new Network(), 1, { clock, times: { dayMs: hourMs } });
    await cluster.replica.write([memberOp(cluster), memberOp({ clusterId: liarId, address: cluster.address })]);
    await floorJob(cluster);
    const floor = stampAt(clock.now() - 2 * hourMs);
    const part = partOf({ clusterId: liarId, incarnation: 1 });
    const ask = (presentMs: number, lowMs: number): Promise<Uint8Array> => {
      const slots = new Map([stampAt(presentMs), stampAt(clock.now())].map((stamp, slot) => [slot, stamp]));
      const frontier = new Map([[part, { base: stampZero, slots }]]);
      const [word] = saysNothing.members;
      assert.ok(word !== undefined);
      const members = [{ ...word, low: lowMs === 0 ? stampZero : stampAt(lowMs) }];
      return cluster.mesh.feedServer.answer(askFrame({ frontier, statement: { ...saysNothing, floor, members } }));
    };
    const isTooOld = (error: unknown): boolean => hasCode(error, 'must_bootstrap');
    // Of one of its instances alone; another has a clock that is right.
    await assert.rejects(ask(clock.now() - 5 * hourMs, 0), isTooOld);
    await assert.rejects(ask(clock.now(), clock.now() - 5 * hourMs), isTooOld);
    // It knows of another member now, and never heard that one: what it said before tells nothing of what it has.
    await ask(clock.now(), 0);
    await ask(0, 0);
    await ask(clock.now(), clock.now());
  });
});
