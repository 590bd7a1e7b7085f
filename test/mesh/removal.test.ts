import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { hasCode } from '../../src/core/errors.ts';
import { frontierZero, latestOf } from '../../src/core/frontier.ts';
import { compareStamps, stampZero, type Stamp } from '../../src/core/stamp.ts';
import { uuidText } from '../../src/core/uuid.ts';
import { epochOf } from '../../src/mesh/epoch.ts';
import { type Members as Known } from '../../src/mesh/peers.ts';
import { removedOp } from '../../src/mesh/removal.ts';
import { type WriteOp } from '../../src/replica/proposal.ts';
import { exchange, key, linkTo, openInstance, remove, set } from '../aae/world.ts';
import { received } from '../replica/received.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { TestClock, until } from '../support.ts';
import { digests, stampAt } from './hostile.ts';
import { memberOp, Network, openCluster, openWorld, untilEqual, type Cluster } from './world.ts';

const mustBootstrap = (error: unknown): boolean => hasCode(error, 'must_bootstrap');

function removal({ clusterId }: Pick<Cluster, 'clusterId'>, name = 'r1'): WriteOp {
  return removedOp({ clusterId, incarnation: 1, removal: name, settled: false }, { kind: 'any' });
}

const has = async ({ replica }: Cluster, name: string): Promise<boolean> => (await replica.get(key(name))).exists;

/** Follows it no more, nor drives an exchange with it. */
function hasLeft({ lines }: Cluster, other: Cluster): boolean {
  return lines.some(({ message, fields }) => message === 'not followed any more' && 'peer' in fields && fields.peer === other.name);
}

async function settled({ mesh }: Cluster): Promise<boolean | undefined> {
  return (await mesh.view()).removed[0]?.settled;
}

async function passes({ mesh }: Cluster, stamp: Stamp): Promise<boolean> {
  return compareStamps((await mesh.view()).low, stamp) > 0;
}

/** All have something of all. */
async function untilKnown(clusters: readonly Cluster[]): Promise<void> {
  for (const cluster of clusters) await until(() => passes(cluster, stampZero));
}

describe('M28: a member that was removed', () => {
  it('G31: takes and gives nothing any more, by feed or exchange, and is told to start anew', async () => {
    await using world = await openWorld(3, { times: { repairMs: 40 } });
    const [a, b, c] = world.clusters as [Cluster, Cluster, Cluster];
    await untilKnown(world.clusters);
    await a.replica.write([removal(c)]);
    for (const { mesh } of [a, b]) await until(() => !mesh.isMember(c.name) && mesh.refusalOf(c.name) !== undefined);
    // An exchange that one of them drives already would still bring it what is written meanwhile.
    for (const each of [a, b]) await until(() => hasLeft(each, c));
    await c.replica.write([set('from c', 'v')]);
    await a.replica.write([set('from a', 'v')]);
    await until(() => mustBootstrap(c.mesh.fault()) && c.mesh.unready() !== undefined);
    await until(() => has(b, 'from a'));
    await assert.rejects(exchange(c, linkTo(a)), mustBootstrap);
    for (const { replica } of [a, b]) {
      await assert.rejects(replica.receive([received(digests, 'from c', stampAt(1), stampAt(1))], c.name), mustBootstrap);
      const move = { peerId: c.clusterId, cursor: undefined, joins: frontierZero };
      await assert.rejects(replica.receivePage([], c.name, move), mustBootstrap);
    }
    const asked = world.network.asked.length;
    await until(() => world.network.asked.length > asked + 20);
    assert.deepEqual([await has(a, 'from c'), await has(b, 'from c'), await has(c, 'from a')], [false, false, false]);
  });

  it('is refused by every instance on the store from the commit on that ends it, and what was parked of it goes', async () => {
    const clock = new TestClock();
    const database = new MemoryDatabase();
    const [one, two] = [await openInstance({ database, clock }), await openInstance({ database, clock, slot: 1 })];
    const peer = '09'.repeat(16);
    const early = stampAt(clock.now() + 60_000);
    await two.replica.receive([received(digests, 'early', early, early)], peer);
    assert.equal((await two.replica.parkedCount()).writes, 1);
    await one.replica.end([{ clusterId: Buffer.from(peer, 'hex'), incarnation: 1, removal: 'r', settled: false }]);
    await assert.rejects(two.replica.receive([received(digests, 'k', stampAt(1), stampAt(1))], peer), mustBootstrap);
    clock.advance(120_000);
    await two.replica.retryParked();
    assert.equal((await two.replica.parkedCount()).writes, 0);
    assert.equal((await two.replica.get(key('early'))).exists, false);
  });

  it('stays removed where somebody who had not heard of it writes that it is a member, or joins: the removal is written again, and who wrote it hears of it', async () => {
    for (const changes of [{}, { joining: true }]) {
      await using world = await openWorld(3);
      const [a, b, c] = world.clusters as [Cluster, Cluster, Cluster];
      await untilKnown(world.clusters);
      world.network.cut(a, b);
      world.network.cut(a, c);
      await a.replica.write([removal(c)]);
      await until(() => a.mesh.refusalOf(c.name) !== undefined);
      world.clock.advance(1_000); // who writes it later has the greater version
      await b.replica.write([memberOp(c, changes)]);
      world.network.heal();
      for (const each of [a, b]) await until(() => !each.mesh.isNamed(c.name) && each.mesh.refusalOf(c.name) !== undefined);
      await until(() => mustBootstrap(c.mesh.fault()));
      await until(async () => (await settled(a)) === true && (await settled(b)) === true);
      assert.deepEqual((await a.mesh.view()).epoch, (await b.mesh.view()).epoch);
    }
  });

  it('that hears of it stops by itself', async () => {
    await using world = await openWorld(2);
    const [a] = world.clusters as [Cluster, Cluster];
    await a.replica.write([removal(a)]);
    await until(() => mustBootstrap(a.mesh.fault()));
  });
});

describe('M29: the epoch', () => {
  const member = (n: number, port = n): Known['records'][number] => ({
    clusterId: new Uint8Array(16).fill(n),
    address: { host: 'cluster', port },
    upstreams: undefined,
    regionName: '',
  });
  const removed = (n: number, name: string, isSettled = false): Known['removed'][number] => ({
    ...{ clusterId: new Uint8Array(16).fill(n), incarnation: 1, removal: name, settled: isSettled },
  });
  const epoch = (records: Known['records'], gone: Known['removed'] = [], unreadable: readonly string[] = []): string =>
    Buffer.from(epochOf({ records, joining: [], unreadable, removed: gone })).toString('hex');

  it('names members and removals, whatever their order, address or settlement', () => {
    const same = epoch([member(1), member(2)], [removed(3, 'x')]);
    assert.equal(epoch([member(2, 9), member(1)], [removed(3, 'x', true)]), same);
    assert.equal(epoch([member(1)], [removed(3, 'x')], ['02'.repeat(16)]), same);
    const others = [
      epoch([member(1)], [removed(3, 'x')]),
      epoch([member(1), member(2)]),
      epoch([member(1), member(2)], [removed(3, 'y')]),
      epoch([member(1), member(2), member(3)]),
    ];
    assert.equal(new Set([same, ...others]).size, 5);
  });

  it('Li5: who has not reached it is known, and a joiner waits for it', async () => {
    await using world = await openWorld(2);
    const [a, b] = world.clusters as [Cluster, Cluster];
    await until(() => a.mesh.behind().length === 0 && b.mesh.behind().length === 0);
    world.network.cut(a, b);
    await using c = await openCluster(world.network, 3, { clock: world.clock, jobs: 'run' });
    assert.deepEqual(c.mesh.behind(), [c.name], 'of nobody is anything known yet');
    world.network.cut(b, c);
    await a.replica.write([memberOp(c)]);
    await c.replica.write([memberOp(a), memberOp(b), memberOp(c)]);
    await until(() => c.mesh.records().length === 3 && !c.mesh.behind().includes(a.name));
    assert.deepEqual(c.mesh.behind(), [b.name]);
    assert.equal((await c.mesh.view()).members.find(({ record }) => record.address.port === 2)?.isAtEpoch, false);
    world.network.heal();
    await until(() => c.mesh.behind().length === 0);
  });
});

describe('M30: a removal is settled', () => {
  it('I7: once every member has what any of them had of it, and not while one is cut off; until then low waits for it', async () => {
    await using world = await openWorld(3);
    const [a, b, c] = world.clusters as [Cluster, Cluster, Cluster];
    await untilKnown(world.clusters);
    world.network.cut(b, a);
    world.network.cut(b, c);
    await c.replica.write([set('of c', 'v')]);
    await until(() => has(a, 'of c'));
    await a.replica.write([removal(c)]);
    await until(() => a.mesh.refusalOf(c.name) !== undefined && mustBootstrap(c.mesh.fault()));
    const last = latestOf(await c.replica.frontier());
    await until(async () => compareStamps(latestOf(await a.replica.frontier()), last) > 0);
    assert.deepEqual([await settled(a), await has(b, 'of c'), await passes(a, last)], [false, false, false]);
    world.network.heal();
    for (const each of [a, b]) await until(async () => (await settled(each)) === true && (await passes(each, last)));
    assert.equal(await has(b, 'of c'), true);
  });

  it('S3: also where nobody follows everybody', async () => {
    await using world = await openWorld(4);
    const [a, b, c, d] = world.clusters as [Cluster, Cluster, Cluster, Cluster];
    await untilKnown(world.clusters);
    const ring: [Cluster, Cluster][] = [[a, b], [b, c], [c, a]]; // prettier-ignore
    await a.replica.write(ring.map(([each, upstream]) => memberOp(each, { upstreams: [uuidText(upstream.clusterId)] })));
    for (const [{ mesh }, upstream] of ring)
      await until(async () => {
        const { members } = await mesh.view();
        return members.every(
          ({ record, health }) => (health !== undefined) === record.clusterId.every((byte, i) => byte === upstream.clusterId[i]),
        );
      });
    await a.replica.write([removal(d)]);
    for (const each of [a, b, c]) await until(async () => (await settled(each)) === true);
    await untilEqual([a, b, c]);
  });

  it('I3: a delete that only one member had of it is not undone, and the floor goes on when it is settled', async () => {
    await using world = await openWorld(3);
    const [a, b, c] = world.clusters as [Cluster, Cluster, Cluster];
    await a.replica.write([set('gone', 'v')]);
    for (const each of [b, c]) await until(() => has(each, 'gone'));
    world.network.cut(b, a);
    world.network.cut(b, c);
    const [deleted] = await c.replica.write([remove('gone')]);
    assert.ok(deleted !== undefined);
    await until(async () => !(await has(a, 'gone')));
    await a.replica.write([removal(c)]);
    await until(() => a.mesh.refusalOf(c.name) !== undefined);
    world.clock.advance(60_000);
    world.network.heal();
    for (const { replica } of [a, b]) await until(async () => compareStamps(await replica.floor(), deleted.version) > 0);
    for (const each of [a, b]) assert.equal(await has(each, 'gone'), false);
    await untilEqual([a, b]);
    assert.equal(await settled(b), true);
  });

  it('without other members it is settled at once', async () => {
    await using a = await openCluster(new Network(), 1, { jobs: 'run' });
    await a.replica.write([memberOp(a), removal({ clusterId: new Uint8Array(16).fill(2) })]);
    await until(async () => (await settled(a)) === true);
  });
});
