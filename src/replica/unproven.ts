import { successorKey } from '../core/key.ts';
import { digestBytes } from '../core/write.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { keyWithin, storeKey, tableRange, tables } from '../store/keyspace.ts';
import { type Snapshot, type Transaction } from '../store/store.ts';
import { addWaiting, type ParkedWrite } from './park.ts';
import { type FromPeer } from './proposal.ts';
import { decodeWrites } from './wire.ts';

/**
 * Writes whose authority is not known yet, until it is: unproven/<id 32><peer> → the write. They are counted with those that are parked, so that
 * nothing of who sent them is joined while they wait.
 */
export async function parkUnproven(tx: Transaction, writes: readonly FromPeer[]): Promise<void> {
  if (writes.length > 0) await addWaiting(tx, writes, ({ received, peer }) => storeKey(tables.unproven, received.id, Buffer.from(peer)));
}

/** In the order of their ids, from behind a row on. */
export async function listUnproven(
  snapshot: Snapshot,
  digests: MeshDigests,
  after: Uint8Array | undefined,
  limit: number,
): Promise<ParkedWrite[]> {
  const { start, end } = tableRange(tables.unproven);
  const rows = await snapshot.range({ start: after === undefined ? start : successorKey(after), end }, { limit });
  return rows.flatMap(({ key, value }) => {
    const peer = Buffer.from(keyWithin(key, digestBytes)).toString();
    return decodeWrites(value, digests).map((received) => ({ received, peer, row: key }));
  });
}
