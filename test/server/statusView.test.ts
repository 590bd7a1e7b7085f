import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { GkvError } from '../../src/core/errors.ts';
import { everything } from '../../src/core/scope.ts';
import { stampToHex, stampZero } from '../../src/core/stamp.ts';
import { uuidText } from '../../src/core/uuid.ts';
import { type OriginStatus, type PeerStatus, type StatusView } from '../../src/http/ports.ts';
import { parkedByReason, peerView, statusView } from '../../src/server/statusView.ts';
import { key, remove, set } from '../aae/world.ts';
import { memberOp, Network, openCluster, openWorld, untilEqual, type Cluster } from '../mesh/world.ts';
import { forwarded } from '../store/wrap.ts';
import { TestClock, until } from '../support.ts';

type Found = Parameters<typeof statusView>[0]['scrubbing'];

const nothingFound: Found = { last: undefined, fault: undefined };

function viewOf(
  { store, digests, replica, mesh, clock, clusterId }: Cluster,
  isAvailable = true,
  scrubbing: Found = nothingFound,
): StatusView {
  const opened = {
    ...({
      kind: 'lmdb',
      store,
      isShared: false,
      feedPartitions: 1,
      retries: () => 0,
      isFull: () => false,
      isLocked: () => false,
      listen: () => undefined,
    } as const),
    available: () => isAvailable,
    health: () => Promise.resolve({ available: isAvailable, healthy: isAvailable, message: '' }),
  };
  const identity = { clusterId: uuidText(clusterId), meshId: '00'.repeat(32), region: 'here' };
  return statusView({
    opened,
    identity,
    scope: everything,
    digests,
    replica,
    mesh,
    scrubbing,
    leases: undefined,
    clock,
    unready: () => undefined,
  });
}

/** How it goes with the first member but itself, as a cluster sees it. */
function peerOf(cluster: Cluster): () => Promise<PeerStatus | undefined> {
  const view = viewOf(cluster);
  return async () => (await view.status()).mesh?.peers[0];
}

describe('M15: what an operator sees of the mesh', () => {
  it('G10: the members that the data name, with the addresses of their mesh ports', async () => {
    await using world = await openWorld(2);
    const [a, b] = world.clusters as [Cluster, Cluster];
    await until(() => a.mesh.isMember(b.name));
    await a.replica.write([memberOp({ clusterId: new Uint8Array(16).fill(3), address: { host: '[::1]', port: 7 } })]);
    await until(() => a.mesh.records().length === 3);
    assert.deepEqual(a.mesh.records().map(peerView), [
      { clusterId: uuidText(a.clusterId), address: 'cluster:1', regionName: 'region 1' },
      { clusterId: uuidText(b.clusterId), address: 'cluster:2', regionName: 'region 2' },
      { clusterId: '03030303-0303-0303-0303-030303030303', address: '[::1]:7', regionName: 'region 7' },
    ]);
  });

  it('Li5: of each member whether it is followed, answers and is level, what failed last, and who holds the floor back', async () => {
    await using world = await openWorld(2);
    const [a, b] = world.clusters as [Cluster, Cluster];
    await untilEqual([a, b]);
    const view = viewOf(a);
    const status = (): ReturnType<StatusView['status']> => view.status();
    await until(async () => ((await status()).mesh?.peers[0]?.lastLevelMs ?? 0) > 0);
    await until(async () => (await status()).mesh?.peers[0]?.low !== stampToHex(stampZero));
    const peer = (await status()).mesh?.peers[0];
    assert.deepEqual([peer?.followed, peer?.connected, peer?.lastError, peer?.defects], [true, true, null, 0]);
    assert.deepEqual([peer?.scope, (await status()).mesh?.scope], [['**'], ['**']]);
    world.network.cut(a, b);
    await until(async () => (await status()).mesh?.peers[0]?.connected === false);
    const cut = (await status()).mesh?.peers[0];
    assert.equal(cut?.lastError, 'peer_unreachable: cut by the test');
    assert.ok(cut.failures > 0);
    world.network.heal();
    await until(async () => (await status()).mesh?.peers[0]?.lastError === null);
    const unheard = '@system/peers/09090909-0909-0909-0909-090909090909';
    for (const record of ['{"address":"nobody:1"}', '{"address":"nobody:1","joining":true}', 'no record']) {
      await a.replica.write([set(unheard, record)]);
      const heldBy = async (): Promise<readonly string[]> => (await status()).mesh?.floorHeldBackBy ?? [];
      await until(async () => (await heldBy()).includes('09090909-0909-0909-0909-090909090909'));
      const joining = (await status()).mesh?.joining.map(({ address }) => address);
      assert.deepEqual(joining, record.includes('joining') ? ['nobody:1'] : []);
      await a.replica.write([remove(unheard)]);
      await until(async () => !(await heldBy()).includes('09090909-0909-0909-0909-090909090909'));
    }
  });

  it('M15: Li5: of three of which one is cut off it alone is named as who holds the floor back, by both others, and nobody once all are level', async () => {
    await using world = await openWorld(3);
    const [a, b, c] = world.clusters as [Cluster, Cluster, Cluster];
    await untilEqual([a, b, c]);
    const heldBy = async (cluster: Cluster): Promise<readonly string[] | undefined> =>
      (await viewOf(cluster).status()).mesh?.floorHeldBackBy;
    for (const each of [a, b, c]) await until(async () => (await heldBy(each))?.length === 0);
    world.network.cut(a, c);
    world.network.cut(b, c);
    for (let second = 0; second < 90; second++) {
      world.clock.advance(1_000);
      await new Promise(setImmediate);
    }
    const closedOf = async (cluster: Cluster): Promise<string> => (await viewOf(cluster).status()).mesh?.low ?? '';
    await Promise.all([a, b].map((each) => each.replica.write([set(`of ${each.name}`, 'v')])));
    await until(async () => (await closedOf(a)) === (await closedOf(b)));
    for (const each of [a, b]) {
      await until(async () => (await heldBy(each))?.length === 1);
      assert.deepEqual(await heldBy(each), [uuidText(c.clusterId)]);
    }
    world.network.heal();
    for (const each of [a, b, c]) await until(async () => (await heldBy(each))?.length === 0);
  });

  it('what the store takes: on disk where it tells, else what its rows are, and nothing while it does not answer', async () => {
    await using world = await openWorld(1);
    const [a] = world.clusters as [Cluster];
    const sizeOf = async (view: StatusView): Promise<number | null> => (await view.status()).store.sizeBytes;
    const before = (await sizeOf(viewOf(a))) ?? 0;
    await a.replica.write([set('much', 'v'.repeat(10_000))]);
    assert(((await sizeOf(viewOf(a))) ?? 0) >= before + 10_000);
    assert.equal(await sizeOf(viewOf(a, false)), null);
    assert.equal(await sizeOf(viewOf({ ...a, store: { ...forwarded(a.store), diskBytes: () => 8_192 } })), 8_192);
    const diskBytes = (): never => {
      throw new Error('its file is gone');
    };
    assert.equal(await sizeOf(viewOf({ ...a, store: { ...forwarded(a.store), diskBytes } })), null);
  });

  it('M15: of each member, and of ourselves, up to when all that it took in is here, and how long ago that was', async () => {
    await using world = await openWorld(3);
    const [a, b, c] = world.clusters as [Cluster, Cluster, Cluster];
    await untilEqual([a, b, c]);
    const view = viewOf(a);
    const status = (): ReturnType<StatusView['status']> => view.status();
    const originOf = async ({ clusterId }: Cluster): Promise<OriginStatus | undefined> =>
      (await status()).mesh?.origins.find((each) => each.clusterId === uuidText(clusterId));
    await until(async () => (await status()).mesh?.low !== stampToHex(stampZero));
    world.network.cut(a, b);
    world.network.cut(b, c);
    const [before] = await b.replica.write([set('late', 'v')]);
    assert.ok(before !== undefined);
    world.clock.advance(30_000);
    const [after] = await c.replica.write([set('there', 'v')]);
    assert.ok(after !== undefined);
    await until(async () => ((await originOf(c))?.closed ?? '') >= stampToHex(after.accepted));
    const lacked = await originOf(b);
    assert.ok(lacked !== undefined && lacked.closed !== null && lacked.closed < stampToHex(before.accepted));
    assert.ok((lacked.ageMs ?? 0) >= 30_000, `${lacked.ageMs} ms`);
    assert.ok(((await originOf(c))?.ageMs ?? Infinity) < 30_000);
    const { mesh } = await status();
    assert.deepEqual(
      mesh?.origins.map(({ clusterId, regionName }) => [clusterId, regionName]),
      [
        [uuidText(a.clusterId), 'here'],
        [uuidText(b.clusterId), 'region 2'],
        [uuidText(c.clusterId), 'region 3'],
      ],
    );
    assert.equal(mesh.low, lacked.closed, 'low is the least of them');
    world.network.heal();
    await until(async () => ((await originOf(b))?.closed ?? '') >= stampToHex(before.accepted));
  });

  it('M15: of a member that was never heard of, or whose record cannot be read, nothing is known', async () => {
    await using world = await openWorld(1);
    const [a] = world.clusters as [Cluster];
    await a.replica.write([memberOp({ clusterId: new Uint8Array(16).fill(3), address: { host: 'nobody', port: 1 } })]);
    await a.replica.write([set('@system/peers/09090909-0909-0909-0909-090909090909', 'no record')]);
    const origins = async (): Promise<readonly OriginStatus[]> => (await viewOf(a).status()).mesh?.origins ?? [];
    await until(async () => (await origins()).length === 3);
    const [own, ...others] = await origins();
    assert.ok(own?.clusterId === uuidText(a.clusterId));
    assert.deepEqual(others, [
      { clusterId: '03030303-0303-0303-0303-030303030303', regionName: 'region 1', closed: null, ageMs: null },
      { clusterId: '09090909-0909-0909-0909-090909090909', regionName: '', closed: null, ageMs: null },
    ]);
  });

  it('R9: R26: how many writes wait for the clock, and how many for their grants', () => {
    const count = { writes: 5, bytes: 7, unproven: 2 };
    assert.deepEqual(parkedByReason(count), { clockAhead: 3, grantUnknown: 2 });
    assert.deepEqual(parkedByReason({ ...count, unproven: undefined }), { clockAhead: null, grantUnknown: null });
  });

  it('Li5: lag grows from when a member was last level, though it is not heard of, and is 0 as soon as it is level again', async () => {
    await using world = await openWorld(2, { times: { waitMs: 60_000 } });
    const [a, b] = world.clusters as [Cluster, Cluster];
    const peer = peerOf(a);
    await until(async () => (await peer())?.lagMs === 0);
    assert.equal((await peer())?.lagWrites, 0);
    world.network.cut(a, b);
    await b.replica.write([set('late', 'v')]);
    await until(async () => (await peer())?.connected === false);
    assert.equal((await peer())?.lagWrites, null);
    const levelMs = (await peer())?.lastLevelMs ?? 0;
    for (const passedMs of [30_000, 60_000]) {
      world.clock.advance(30_000);
      const lagMs = (await peer())?.lagMs ?? 0;
      assert.ok(lagMs >= passedMs && lagMs < passedMs + 30_000, `${lagMs} ms`);
    }
    world.network.heal();
    await until(async () => {
      const now = await peer();
      if ((now?.lastLevelMs ?? 0) <= levelMs) return false;
      assert.equal(now?.lagMs, 0);
      return true;
    });
    assert.equal((await a.replica.get(key('late'))).exists, true);
  });

  it('Li5: a member that does not answer when it should lags, though no request has failed yet', async () => {
    const waitMs = 60_000;
    await using world = await openWorld(2, { times: { waitMs } });
    const [a, b] = world.clusters as [Cluster, Cluster];
    const peer = peerOf(a);
    await until(async () => (await peer())?.lastExchange?.result === 'converged');
    let unanswered = 0;
    const never = (): Promise<Uint8Array> => {
      unanswered += 1;
      return new Promise(() => undefined);
    };
    world.network.serve(b.address, { feed: never });
    await b.replica.write([set('last', 'v')]);
    await until(async () => unanswered > 0 && (await peer())?.lagMs === 0);
    world.clock.advance(waitMs);
    assert.equal((await peer())?.lagMs, 0, 'it waits as long as it was asked to');
    world.clock.advance(5_000);
    const { connected, lagMs } = (await peer()) ?? {};
    assert.ok(connected === true && (lagMs ?? 0) >= waitMs + 5_000, `${connected} ${lagMs} ms`);
  });

  it('Li5: of a member that was never heard of neither lag nor clock is known', async () => {
    await using world = await openWorld(1);
    const [a] = world.clusters as [Cluster];
    await a.replica.write([memberOp({ clusterId: new Uint8Array(16).fill(3), address: { host: 'nobody', port: 1 } })]);
    const peer = peerOf(a);
    await until(async () => ((await peer())?.failures ?? 0) > 0);
    const { followed, connected, lagMs, lagWrites, clockSkewMs } = (await peer()) ?? {};
    assert.deepEqual([followed, connected, lagMs, lagWrites, clockSkewMs], [true, false, null, null, null]);
  });

  it('Li5: how far the clock of a member is off', async () => {
    const network = new Network();
    const behind = new TestClock();
    behind.setBack(3_000);
    await using a = await openCluster(network, 1, { jobs: 'run' });
    await using b = await openCluster(network, 2, { jobs: 'run', clock: behind });
    await a.replica.write([memberOp(a), memberOp(b)]);
    const peer = peerOf(a);
    await until(async () => (await peer())?.connected === true);
    const skewMs = (await peer())?.clockSkewMs ?? 0;
    assert.ok(Math.abs(skewMs + 3_000) < 1_500, `${skewMs} ms`);
  });

  it('G17: what the last scrub found, and damage as a fault of the store', async () => {
    await using world = await openWorld(1);
    const [a] = world.clusters as [Cluster];
    const { scrub: none, fault: nothing } = (await viewOf(a).status()).store;
    assert.deepEqual([none, nothing], [null, null]);
    const last = { endedMs: 5, keys: 4, branches: 3, repaired: 2, damagedCount: 1, damaged: [key('k')] };
    const { scrub, fault } = (await viewOf(a, true, { last, fault: new GkvError('corrupt', '1 key') }).status()).store;
    assert.deepEqual([scrub, fault], [{ endedMs: 5, keys: 4, repaired: 2, damaged: 1 }, 'corrupt: 1 key']);
  });

  it('is told without the mesh while the store does not answer', async () => {
    await using world = await openWorld(1);
    const [a] = world.clusters as [Cluster];
    const { mesh, entries, parkedWrites, parkedByReason: byReason } = await viewOf(a, false).status();
    assert.deepEqual([mesh, entries, parkedWrites, byReason], [null, null, null, null]);
  });
});
