import { equalBytes, toHex } from '../../../src/core/bytes.ts';
import { peerKey } from '../../../src/mesh/peers.ts';
import { isRemoved, removedOp } from '../../../src/mesh/removal.ts';
import { headKey } from '../../../src/replica/change.ts';
import { type WriteOp } from '../../../src/replica/proposal.ts';
import { type World } from '../world.ts';
import { beginAnewWhereTooOld } from './anew.ts';
import { type Region } from './region.ts';
import { renewWhereRefused } from './renewal.ts';

const roundMs = 3_000;

/** Keys of the mesh's own, of which no client knows. */
export function isSystemKey(name: string): boolean {
  return name.startsWith('@system/');
}

/** Who runs the mesh: writes down, wherever it is missing, who its members are and where they are reached, renews what was restored, and begins anew with what is too old. A cluster that is filled anew from a donor is removed as what it was before. */
export async function operate(world: World, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    for (const region of world.regions) {
      await introduceTo(region, world);
      await removeLost(region, world);
      await renewWhereRefused(region, world);
      await beginAnewWhereTooOld(region, world);
    }
    await world.kernel.sleep(roundMs, 'operator');
  }
}

async function introduceTo(region: Region, world: World): Promise<void> {
  const view = region.database.view();
  const missing = world.regions.flatMap((member): WriteOp[] => {
    if (member.own === undefined) return [];
    const key = peerKey(member.own.clusterId);
    if (view.get(headKey(key)) !== undefined) return [];
    const value = Buffer.from(JSON.stringify({ address: `${addressOf(member)}:1` }));
    return [{ kind: 'set', key, value, expiresInMs: undefined, expected: { kind: 'any' } }];
  });
  const front = region.hosts.find((host) => host.front !== undefined)?.front;
  if (missing.length === 0 || front === undefined) return;
  await Promise.race([front.write(missing).catch(() => undefined), world.kernel.sleep(roundMs, 'operator waits')]);
}

/**
 * As `gkvmesh members remove` does it, at the region, for each cluster of any region that another has taken the place of. While one is being filled also for those that nobody
 * missed: it waits for every member (M31).
 */
async function removeLost(region: Region, world: World): Promise<void> {
  const front = region.hosts.find((host) => host.front !== undefined)?.front;
  if (front === undefined) return;
  const isFilling = world.regions.some(({ donor }) => donor !== undefined);
  const lost = world.regions
    .flatMap((each) => [...each.lost, ...(isFilling ? each.leftBehind : [])])
    .filter(({ clusterId }) => !equalBytes(clusterId, region.own?.clusterId ?? clusterId));
  const remove = async (): Promise<void> => {
    for (const { clusterId, incarnation } of lost) {
      const { exists, value } = await front.get(peerKey(clusterId));
      if (!exists || isRemoved(clusterId, value)) continue;
      const removal = toHex(world.kernel.streams.of('operator removes').bytes(8));
      await front.write([removedOp({ clusterId, incarnation, removal, settled: false }, { kind: 'any' })]);
      world.counts.add('removed');
    }
  };
  await Promise.race([remove().catch(() => undefined), world.kernel.sleep(roundMs, 'operator waits')]);
}

/** The name that all instances of a cluster are reached under. */
export function addressOf(region: Region): string {
  return region.name;
}
