import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { decodeEntry } from '../../src/core/entry.ts';
import { covers } from '../../src/core/frontier.ts';
import { makeStamp, parseInstance } from '../../src/core/stamp.ts';
import { type PeerHealth } from '../../src/mesh/health.ts';
import { applyChanges, headKey } from '../../src/replica/change.ts';
import { feedFollower } from '../../src/replica/feed.ts';
import { assertTree } from '../aae/oracle.ts';
import { exchange, key, remove, set } from '../aae/world.ts';
import { received } from '../replica/received.ts';
import { TestClock, until } from '../support.ts';
import { stampAt } from './hostile.ts';
import { memberOp, Network, openCluster, openWorld, untilEqual, type Cluster } from './world.ts';

async function healthOf({ mesh }: Cluster, other: Cluster): Promise<PeerHealth | undefined> {
  return (await mesh.view()).members.find(({ record }) => Buffer.compare(record.clusterId, other.clusterId) === 0)?.health;
}

describe('M8: exchanges of a mesh', () => {
  it('G26: G30: K18: by themselves they bring all level, again and again, and the frontier is joined', async () => {
    await using world = await openWorld(2, { times: { repairMs: 40 } });
    const [a, b] = world.clusters as [Cluster, Cluster];
    await until(() => a.mesh.isMember(b.name) && b.mesh.isMember(a.name));
    await untilEqual([a, b]);
    const feeds = world.network.asked.filter((asked) => asked.endsWith('feed')).length;
    assert.ok(feeds > 0);
    for (const cluster of [a, b]) cluster.replica.receivePage = () => Promise.reject(new Error('no pages'));
    for (let round = 0; round < 5; round += 1) {
      await a.replica.write([set(`a${round}`, 'v'), remove(`b${round - 1}`)]);
      await b.replica.write([set(`b${round}`, 'v')]);
      await untilEqual([a, b]);
    }
    assert.ok(((await healthOf(a, b))?.exchanges ?? 0) > 1);
  });

  it('G26: the next one comes after the time between two, give or take a quarter, so that not all come at once', async () => {
    const repairMs = 1_000_000;
    const pauses: number[] = [];
    class Hasty extends TestClock {
      override sleep(ms: number, signal?: AbortSignal): Promise<void> {
        const isLong = ms > repairMs / 2;
        if (isLong) pauses.push(ms);
        return super.sleep(isLong ? 5 : ms, signal);
      }
    }
    await using world = await openWorld(2, { clock: new Hasty(), times: { repairMs } });
    await until(() => world.clusters.length === 2 && pauses.length >= 40);
    for (const ms of pauses) assert.ok(ms >= repairMs * 0.75 && ms <= repairMs * 1.25, `${ms} ms`);
    assert.ok(Math.min(...pauses) < repairMs * 0.9 && Math.max(...pauses) > repairMs * 1.1, String(pauses));
  });

  it('K15: K16: K17: two that exchange with each other at the same time, again and again, agree and lose nothing', async () => {
    const network = new Network();
    const [a, b] = [await openCluster(network, 1), await openCluster(network, 2)];
    for (let round = 0; round < 10; round += 1) {
      await Promise.all(
        [a, b].map(({ replica }, n) => replica.write(Array.from({ length: 60 }, (_, i) => set(`${n}/${round}/${i % 50}/${n * i}`, 'v')))),
      );
      const both = [exchange(a, { ask: (frame) => b.responder.answer(frame) }), exchange(b, { ask: (frame) => a.responder.answer(frame) })];
      await Promise.all(both);
    }
    await exchange(a, { ask: (frame) => b.responder.answer(frame) });
    await untilEqual([a, b]);
    for (const { store, digests } of [a, b]) await assertTree(store, digests);
  });

  it('M7: what an exchange brought is covered by the frontier that was read before it, not more', async () => {
    const network = new Network();
    await using a = await openCluster(network, 1, { jobs: 'run' });
    await using b = await openCluster(network, 2);
    await b.replica.write(Array.from({ length: 50 }, (_, i) => set(`k${i}`, 'v')));
    const [last] = await b.replica.write([set('last', 'v')]);
    await a.replica.write([memberOp(a), memberOp(b)]);
    await until(async () => (await healthOf(a, b))?.lastExchange?.result === 'converged');
    assert.ok(last !== undefined && (await a.replica.waitFor(last.accepted, 5_000, new AbortController().signal)));
    const [after] = await b.replica.write([set('after', 'v')]);
    assert.ok(after !== undefined);
    await until(async () => covers(await a.replica.frontier(), after.accepted));
    assert.equal((await a.replica.get(key('after'))).exists, true);
  });

  it('an answer of another cluster than the feed named is refused, and nothing is joined', async () => {
    const network = new Network();
    await using a = await openCluster(network, 1, { jobs: 'run', times: { repairMs: 50 } });
    await using b = await openCluster(network, 2);
    await using c = await openCluster(network, 3);
    const [write] = await b.replica.write([set('k', 'v')]);
    // Feeds are answered by b once, and by nobody then; exchanges at its address by c, which lacks what b has.
    let isAsked = false;
    network.serve(b.address, {
      feed: (frame) => {
        if (isAsked) return new Promise(() => undefined);
        isAsked = true;
        return b.mesh.feedServer.answer(frame);
      },
      exchange: (frame) => c.responder.answer(frame),
    });
    a.replica.cursor = () => Promise.reject(new Error('its feed is not followed: the question is that of the exchange'));
    await a.replica.write([memberOp(a), memberOp(b)]);
    await until(async () => (await healthOf(a, b))?.lastExchange !== undefined);
    assert.equal((await healthOf(a, b))?.lastExchange?.result, 'wrong_peer');
    assert.ok(write !== undefined && !covers(await a.replica.frontier(), write.accepted));
  });

  it('what is repaired although the frontier covered it is a defect: counted, and logged with its keys', async () => {
    const network = new Network();
    await using a = await openCluster(network, 1); // it repairs nothing of its own accord, which would be no defect of its feed
    await using b = await openCluster(network, 2, { jobs: 'run', times: { repairMs: 100 } });
    await a.replica.write([set('k', 'v')]);
    await b.replica.write([memberOp(a), memberOp(b)]);
    await until(async () => (await b.replica.get(key('k'))).exists);
    await until(async () => covers(await b.replica.frontier(), (await a.replica.get(key('k'))).version ?? stampAt(0)));
    assert.equal((await healthOf(b, a))?.defects, 0);
    // Damage: the entry is gone at b, with all that follows from it.
    await loseEntry(b);
    await until(async () => ((await healthOf(b, a))?.defects ?? 0) === 1);
    assert.equal((await b.replica.get(key('k'))).exists, true);
    assert.ok(b.lines.some(({ level, fields }) => level === 'error' && JSON.stringify(fields).includes(Buffer.from('k').toString('hex'))));
  });
});

describe('R23: below the floor', () => {
  const old = makeStamp(1_000_000, 0, parseInstance(new Uint8Array(8).fill(3)));
  const floor = stampAt(2_000_000);

  it('I3: what is not here is refused from feeds and strangers, repaired by members unless it reads as absent', async () => {
    const { replica, digests } = await openCluster(new Network(), 1);
    await replica.raiseFloor(floor);
    const live = received(digests, 'live', old);
    const tombstone = received(digests, 'tombstone', old, old, { tombstone: true });
    const expired = received(digests, 'expired', old, old, { expiresAt: 1_999_999 });
    const expires = received(digests, 'expires', old, old, { expiresAt: 2_000_000 });
    const of = async (standing: 'plain' | 'repairs', asOf = floor): Promise<string[]> =>
      (await replica.receive([live, tombstone, expired, expires], 'peer', standing, asOf)).map(({ status }) => status);
    assert.deepEqual(await of('plain'), ['below_floor', 'below_floor', 'below_floor', 'below_floor']);
    // Read before the sender knew of this floor, and long under way: it may have been deleted since, and the delete collected.
    assert.deepEqual(await of('repairs', stampAt(1_999_999)), ['below_floor', 'below_floor', 'below_floor', 'below_floor']);
    assert.deepEqual(await of('repairs'), ['applied', 'below_floor', 'below_floor', 'applied']);
    assert.deepEqual(await of('plain'), ['duplicate', 'below_floor', 'below_floor', 'duplicate']);
  });

  it('a greater write of a key that is here is taken in, whatever the floor', async () => {
    const { replica, digests } = await openCluster(new Network(), 1);
    await replica.receive([received(digests, 'k', makeStamp(999_999, 0, parseInstance(new Uint8Array(8))))], 'peer');
    await replica.raiseFloor(floor);
    const [result] = await replica.receive([received(digests, 'k', old, old, { tombstone: true })], 'peer');
    assert.equal(result?.status, 'applied');
  });

  it('exchanges: members that have the floor repair, strangers and members that have not do not', async () => {
    for (const standing of ['member', 'stranger', 'behind'] as const) {
      const network = new Network();
      const a = await openCluster(network, 1);
      const b = await openCluster(network, 2);
      await b.replica.receive([received(b.digests, 'k', old)], 'peer');
      await a.replica.raiseFloor(floor);
      if (standing !== 'behind') await b.replica.raiseFloor(floor);
      if (standing !== 'stranger') await a.replica.write([memberOp(b)]);
      for (const job of a.mesh.jobs) if (job.name === 'members') await job.work(a.store, new AbortController().signal);
      const link = { ask: (frame: Uint8Array) => a.responder.answer(frame) };
      const report = await exchange(b, link);
      assert.equal((await a.replica.get(key('k'))).exists, standing === 'member');
      assert.equal(report.converged, standing === 'member');
    }
  });

  it('what is minted here is above it, however far the clock was set back', async () => {
    await using world = await openWorld(2);
    const [a, b] = world.clusters as [Cluster, Cluster];
    await untilEqual([a, b]);
    world.clock.advance(120_000);
    await until(async () => Buffer.compare(await a.replica.floor(), stampAt(world.clock.now() - 60_000)) > 0);
    world.clock.setBack(3_600_000);
    const [outcome] = await a.replica.write([set('k', 'v')]);
    assert.ok(outcome !== undefined && Buffer.compare(outcome.version, await b.replica.floor()) > 0);
  });
});

/** Takes the entry of "k" away as collection does, which leaves no trace. */
async function loseEntry({ store, tree }: Cluster): Promise<void> {
  await store.transact(async (tx) => {
    const bytes = await tx.get(headKey(key('k')));
    assert.ok(bytes !== undefined);
    await applyChanges(tx, [{ key: key('k'), before: decodeEntry(bytes), after: undefined }], [feedFollower(1), tree]);
  });
}
