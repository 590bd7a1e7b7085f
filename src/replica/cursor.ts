import { ByteReader, writeU64 } from '../core/bytes.ts';
import { storeKey, tables } from '../store/keyspace.ts';
import { type Snapshot, type Transaction } from '../store/store.ts';

/** Bytes of a place in a feed: stamp of a commit 10 | place in that commit u16. */
export const positionBytes = 12;

/** The place behind everything: what is asked from there is a frontier alone. */
export const positionPastAll: Uint8Array = new Uint8Array(positionBytes).fill(0xff);

/** The place before everything. */
export const positionZero: Uint8Array = new Uint8Array(positionBytes);

/** How far we have read a peer's feed, durably: cursor/<peer's cluster id 16> → incarnation u64 | position 12. */
export interface FeedCursor {
  /** Of the peer's store; in another one, positions begin anew. */
  readonly incarnation: number;
  readonly position: Uint8Array;
}

function cursorKey(peerId: Uint8Array): Uint8Array {
  return storeKey(tables.cursor, peerId);
}

export async function readCursor(snapshot: Snapshot, peerId: Uint8Array): Promise<FeedCursor | undefined> {
  const bytes = await snapshot.get(cursorKey(peerId));
  if (bytes === undefined) return undefined;
  const reader = new ByteReader(bytes, 'cursor');
  const cursor = { incarnation: reader.u64(), position: reader.bytes(positionBytes) };
  reader.end();
  return cursor;
}

export function setCursor(tx: Transaction, peerId: Uint8Array, { incarnation, position }: FeedCursor): void {
  const bytes = Buffer.allocUnsafe(8 + positionBytes);
  writeU64(bytes, incarnation, 0);
  bytes.set(position, 8);
  tx.set(cursorKey(peerId), bytes);
}
