import { asBuffer, joined, u64Bytes } from '../core/bytes.ts';
import { successorKey } from '../core/key.ts';
import { digestBytes } from '../core/write.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { keyWithin, storeKey, tableRange, tables } from '../store/keyspace.ts';
import { type Snapshot, type Transaction } from '../store/store.ts';
import { addWaiting, type ParkedWrite } from './park.ts';
import { type FromPeer } from './proposal.ts';
import { decodeWrites, encodeWrites } from './wire.ts';

const sinceBytes = 8;

/** A write that waits for its grants. */
export interface UnprovenWrite extends ParkedWrite {
  /** When it came, ms since the epoch. */
  readonly sinceMs: number;
}

/**
 * Writes whose authority is not known yet, until it is: unproven/<peer><id 32> → ms u64 when it came | the write. They are counted with those that
 * are parked, so that nothing of who sent them is joined while they wait.
 */
export async function parkUnproven(tx: Transaction, writes: readonly FromPeer[], nowMs: number): Promise<void> {
  if (writes.length === 0) return;
  const since = u64Bytes(nowMs);
  await addWaiting(
    tx,
    writes,
    ({ received, peer }) => storeKey(tables.unproven, Buffer.from(peer), received.id),
    (received) => joined(since, encodeWrites([received])),
  );
}

/** In the order of peers and ids, from behind a row on. */
export async function listUnproven(
  snapshot: Snapshot,
  digests: MeshDigests,
  after: Uint8Array | undefined,
  limit: number,
): Promise<UnprovenWrite[]> {
  const { start, end } = tableRange(tables.unproven);
  const rows = await snapshot.range({ start: after === undefined ? start : successorKey(after), end }, { limit });
  return rows.flatMap(({ key, value }) => {
    const peer = Buffer.from(keyWithin(key)).subarray(0, -digestBytes).toString();
    const sinceMs = Number(asBuffer(value).readBigUInt64BE(0));
    return decodeWrites(value.subarray(sinceBytes), digests).map((received) => ({ received, peer, row: key, sinceMs }));
  });
}
