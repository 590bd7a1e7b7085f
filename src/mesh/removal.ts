import { hasCode } from '../core/errors.ts';
import { type Key } from '../core/key.ts';
import { type Expected, type WriteOp } from '../replica/proposal.ts';
import { type Replica } from '../replica/replica.ts';
import { encodePeer, encodeRemoved, isJoining, parseRemoved, peerKey, type RemovedRecord } from './peers.ts';
import { type Roster } from './roster.ts';

/** Writes down that a cluster was removed. */
export function removedOp(record: RemovedRecord, expected: Expected): WriteOp {
  return recordOp(peerKey(record.clusterId), encodeRemoved(record), expected);
}

/** Writes a record among the members. */
export function recordOp(key: Key, value: Uint8Array, expected: Expected): WriteOp {
  return { kind: 'set', key, value, expiresInMs: undefined, expected };
}

/** True for the record of a cluster that was removed. */
export function isRemoved(clusterId: Uint8Array, value: Uint8Array): boolean {
  try {
    return parseRemoved(clusterId, value) !== undefined;
  } catch {
    return false; // a record that cannot be read is replaced
  }
}

/** Writes down that we are a member, where somebody who had not heard that we are filled wrote that we join. */
export async function joinAgain(roster: Pick<Roster, 'isOwn' | 'joining'>, replica: Pick<Replica, 'get' | 'write'>): Promise<void> {
  for (const record of roster.joining().filter(({ clusterId }) => roster.isOwn(clusterId))) {
    const key = peerKey(record.clusterId);
    const { exists, value, version } = await replica.get(key);
    if (!exists || version === null || !isJoining(value)) continue;
    await writeUnless(recordOp(key, encodePeer(record, value, false), { kind: 'version', version }), replica);
  }
}

/** Writes down that clusters were removed of which somebody, who had not heard of it, wrote that they are members. */
export async function removeAgain(removed: readonly RemovedRecord[], replica: Pick<Replica, 'get' | 'write'>): Promise<void> {
  for (const record of removed) {
    const { exists, value, version } = await replica.get(peerKey(record.clusterId));
    if (exists && version !== null && !isRemoved(record.clusterId, value))
      await writeUnless(removedOp(record, { kind: 'version', version }), replica);
  }
}

/** Writes down that removals are settled, for all members and for those who join later. */
export async function settle(removed: readonly RemovedRecord[], replica: Pick<Replica, 'get' | 'write'>): Promise<void> {
  for (const record of removed) {
    const { exists, value, version } = await replica.get(peerKey(record.clusterId));
    if (!exists || version === null || parseRemoved(record.clusterId, value)?.removal !== record.removal) continue;
    await writeUnless(removedOp({ ...record, settled: true }, { kind: 'version', version }), replica);
  }
}

/** Unless somebody else did: where it is not at that version any more. */
async function writeUnless(op: WriteOp, replica: Pick<Replica, 'write'>): Promise<void> {
  try {
    await replica.write([op]);
  } catch (error) {
    if (!hasCode(error, 'version_mismatch')) throw error;
  }
}
