import { limits } from '../core/limits.ts';
import { compareStamps, stampBytes, type Stamp } from '../core/stamp.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { keyWithin, storeKey, tableRange, tables } from '../store/keyspace.ts';
import { type Snapshot, type Transaction } from '../store/store.ts';
import { type ReceivedWrite } from './proposal.ts';
import { decodeWrites, encodeWrites } from './wire.ts';

/**
 * Writes that a peer sent and that are too far ahead of our wall clock: kept in the order in which they come due, with
 * the peer that sent them, and taken in when they are due. parked/<due 16><id 32><peer> → the
 * write, where due is the greater of version and accepted stamp.
 */
export interface ParkedWrite {
  readonly received: ReceivedWrite;
  readonly peer: string;
  readonly row: Uint8Array;
}

interface ParkedCount {
  readonly writes: number;
  readonly bytes: number;
}

const countKey = storeKey(tables.parkedCount);

export async function readParkedCount(snapshot: Snapshot): Promise<ParkedCount> {
  const bytes = await snapshot.get(countKey);
  if (bytes === undefined) return { writes: 0, bytes: 0 };
  const view = Buffer.from(bytes);
  return { writes: view.readUInt32BE(0), bytes: view.readUInt32BE(4) };
}

function setCount(tx: Transaction, count: ParkedCount): void {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32BE(count.writes, 0);
  bytes.writeUInt32BE(count.bytes, 4);
  tx.set(countKey, bytes);
}

/** How many more writes may be parked. */
export async function parkRoom(tx: Transaction): Promise<number> {
  const { writes, bytes } = await readParkedCount(tx);
  return bytes >= limits.parkedBytesMax ? 0 : limits.parkedWritesMax - writes;
}

/** Parks the writes, for which there must be room. Those that are parked already are no change. */
export async function parkWrites(tx: Transaction, parked: readonly { received: ReceivedWrite; peer: string }[]): Promise<void> {
  if (parked.length === 0) return;
  let { writes, bytes } = await readParkedCount(tx);
  for (const { received, peer } of parked) {
    const row = storeKey(tables.parked, dueOf(received), received.id, Buffer.from(peer));
    if ((await tx.get(row)) !== undefined) continue;
    const value = encodeWrites([received]);
    writes += 1;
    bytes += value.length;
    tx.set(row, value);
  }
  setCount(tx, { writes, bytes });
}

/** The stamp that the clock must come near before the write is taken in. */
function dueOf({ write, accepted }: ReceivedWrite): Stamp {
  return compareStamps(write.version, accepted) > 0 ? write.version : accepted;
}

/** Parked writes in the order in which they come due. */
export async function listParked(snapshot: Snapshot, digests: MeshDigests, limit: number): Promise<ParkedWrite[]> {
  const rows = await snapshot.range(tableRange(tables.parked), { limit });
  return rows.flatMap(({ key, value }) => {
    const peer = Buffer.from(keyWithin(key, stampBytes + 32)).toString();
    return decodeWrites(value, digests).map((received) => ({ received, peer, row: key }));
  });
}

/** Takes parked rows away, after their writes were taken in. A row that is gone already is no change. */
export async function unparkRows(tx: Transaction, rows: readonly Uint8Array[]): Promise<void> {
  let { writes, bytes } = await readParkedCount(tx);
  for (const row of rows) {
    const value = await tx.get(row);
    if (value === undefined) continue;
    writes -= 1;
    bytes -= value.length;
    tx.clear(row);
  }
  setCount(tx, { writes, bytes });
}
