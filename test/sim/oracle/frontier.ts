import { clusterPartOf, covers, type ClusterPart } from '../../../src/core/frontier.ts';
import { makeStamp, stampFromHex } from '../../../src/core/stamp.ts';
import { instanceOf } from '../../../src/crypto/mesh.ts';
import { readFrontier } from '../../../src/replica/frontier.ts';
import { type ClusterIdentity } from '../../../src/server/identity.ts';
import { type Region } from '../cluster/region.ts';
import { Violation } from '../kernel/kernel.ts';
import { type World } from '../world.ts';

/**
 * I7: what a cluster's frontier covers is here, or a greater write of its key is. A client's write is accepted under its version. What was collected is in
 * the history all the same.
 */
export async function checkFrontier(region: Region, { ledger, commits }: Pick<World, 'ledger' | 'commits'>): Promise<void> {
  if (region.own === undefined) return;
  const own = partOf(region.own);
  const disk = region.disk;
  const frontier = await region.openQuietly().read((snapshot) => readFrontier(snapshot, own));
  if (region.disk !== disk) return;
  for (const key of ledger.keys()) {
    const held = commits.history(region.index).greatest(key)?.version ?? '';
    for (const { version, operation, lost } of ledger.of(key)) {
      if (lost || held >= version || !covers(frontier, stampFromHex(version))) continue;
      throw new Violation(
        'I7',
        `region ${region.index}: the frontier covers ${version} of key ${key}, operation ${operation.id}; held is ${held === '' ? 'nothing' : held}`,
      );
    }
  }
}

function partOf({ clusterId, incarnation }: ClusterIdentity): ClusterPart {
  return clusterPartOf(makeStamp(0, 0, instanceOf(clusterId, incarnation, 0)));
}
