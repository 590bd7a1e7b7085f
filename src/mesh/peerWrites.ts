import { hasCode } from '../core/errors.ts';
import { type Key } from '../core/key.ts';
import { type Expected, type WriteOp } from '../replica/proposal.ts';
import { type Replica } from '../replica/replica.ts';
import { encodePeer, isJoining, peerKey } from './peers.ts';
import { type Roster } from './roster.ts';

/** Writes a record among the members. */
export function recordOp(key: Key, value: Uint8Array, expected: Expected): WriteOp {
  return { kind: 'set', key, value, expiresInMs: undefined, expected };
}

/** Unless somebody else did: where it is not at that version any more. */
export async function writeUnless(op: WriteOp, replica: Pick<Replica, 'write'>): Promise<void> {
  try {
    await replica.write([op]);
  } catch (error) {
    if (!hasCode(error, 'version_mismatch')) throw error;
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
