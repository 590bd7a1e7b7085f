import { storeKey, tables } from '../store/keyspace.ts';
import { writeU64 } from '../core/bytes.ts';
import { type Head } from '../core/entry.ts';
import { gone } from './feed.ts';
import { type Follower } from './follower.ts';

/** tombstone/<version 16><id 32> → key: what may be collected, in the order of versions. */
export function tombstoneRow(head: Head): Uint8Array {
  return storeKey(tables.tombstone, head.version, head.id);
}

/** expiry/<expiresAt u64><id 32> → key: what reads as absent from then on. */
export function expiryRow(head: Head): Uint8Array {
  const at = Buffer.allocUnsafe(8);
  writeU64(at, head.expiresAt, 0);
  return storeKey(tables.expiry, at, head.id);
}

/** Keeps the rows by which collection finds tombstones and expired writes without reading the rest. */
export const collectionFollower: Follower = {
  prepare: (_tx, changes) =>
    Promise.resolve((tx) => {
      for (const change of changes) {
        for (const head of gone(change)) for (const row of rowsOf(head)) tx.clear(row);
        for (const head of change.after ?? []) {
          if (head.position === undefined) for (const row of rowsOf(head)) tx.set(row, change.key);
        }
      }
    }),
};

function rowsOf(head: Head): Uint8Array[] {
  const rows = head.tombstone ? [tombstoneRow(head)] : [];
  if (head.expiresAt !== 0) rows.push(expiryRow(head));
  return rows;
}
