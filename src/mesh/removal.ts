import { type Removal } from '../replica/ended.ts';
import { type Expected, type WriteOp } from '../replica/proposal.ts';
import { type Replica } from '../replica/replica.ts';
import { encodeRemoved, parseRemoved, peerKey } from './peers.ts';
import { recordOp, writeUnless } from './peerWrites.ts';

/** Writes down that a cluster was removed. */
export function removedOp(record: Removal, expected: Expected): WriteOp {
  return recordOp(peerKey(record.clusterId), encodeRemoved(record), expected);
}

/** True for the record of a cluster that was removed. */
export function isRemoved(clusterId: Uint8Array, value: Uint8Array): boolean {
  try {
    return parseRemoved(clusterId, value) !== undefined;
  } catch {
    return false; // a record that cannot be read is replaced
  }
}

/** Writes down that clusters were removed of which somebody, who had not heard of it, wrote that they are members. */
export async function removeAgain(removed: readonly Removal[], replica: Pick<Replica, 'get' | 'write'>): Promise<void> {
  for (const record of removed) {
    const { exists, value, version } = await replica.get(peerKey(record.clusterId));
    if (exists && version !== null && !isRemoved(record.clusterId, value))
      await writeUnless(removedOp(record, { kind: 'version', version }), replica);
  }
}

/** Writes down that removals are settled, for all members and for those who join later. */
export async function settle(removed: readonly Removal[], replica: Pick<Replica, 'get' | 'write'>): Promise<void> {
  for (const record of removed) {
    const { exists, value, version } = await replica.get(peerKey(record.clusterId));
    if (!exists || version === null || parseRemoved(record.clusterId, value)?.removal !== record.removal) continue;
    await writeUnless(removedOp({ ...record, settled: true }, { kind: 'version', version }), replica);
  }
}
