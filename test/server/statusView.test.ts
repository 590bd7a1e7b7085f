import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { everything } from '../../src/core/scope.ts';
import { stampToHex, stampZero } from '../../src/core/stamp.ts';
import { uuidText } from '../../src/core/uuid.ts';
import { type StatusView } from '../../src/http/ports.ts';
import { peerView, statusView } from '../../src/server/statusView.ts';
import { remove, set } from '../aae/world.ts';
import { memberOp, openWorld, untilEqual, type Cluster } from '../mesh/world.ts';
import { until } from '../support.ts';

function viewOf({ store, digests, replica, mesh, clusterId }: Cluster, isAvailable = true): StatusView {
  const opened = {
    ...({ kind: 'lmdb', store, isShared: false, feedPartitions: 1, retries: () => 0, isFull: () => false, listen: () => undefined } as const),
    available: () => isAvailable,
    health: () => Promise.resolve({ available: isAvailable, healthy: isAvailable, message: '' }),
  };
  const identity = { clusterId: uuidText(clusterId), meshId: '00'.repeat(32), region: 'here' };
  return statusView({ opened, identity, scope: everything, digests, replica, mesh, unready: () => undefined });
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

  it('is told without the mesh while the store does not answer', async () => {
    await using world = await openWorld(1);
    const [a] = world.clusters as [Cluster];
    const { mesh, entries, parkedWrites } = await viewOf(a, false).status();
    assert.deepEqual([mesh, entries, parkedWrites], [null, null, null]);
  });
});
