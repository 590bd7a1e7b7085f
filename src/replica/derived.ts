import { storeKey, tables } from '../store/keyspace.ts';
import { writeU64 } from '../core/bytes.ts';
import { type Entry, type Head } from '../core/entry.ts';
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

/** rival/<version 16><id 32> → key: a candidate that has lesser ones beside it, which go once it is below the floor. */
export function rivalRow(head: Head): Uint8Array {
  return storeKey(tables.rival, head.version, head.id);
}

/** Those of an entry that have such a row. */
export function rivalsOf(entry: Entry | undefined): readonly Head[] {
  return entry?.slice(0, -1) ?? [];
}

/** Keeps the rows by which collection finds what the floor removes without reading the rest. */
export const collectionFollower: Follower = {
  prepare: (_tx, changes) =>
    Promise.resolve((tx) => {
      for (const change of changes) {
        for (const head of gone(change)) for (const row of rowsOf(head)) tx.clear(row);
        for (const head of change.after ?? []) {
          if (head.position === undefined) for (const row of rowsOf(head)) tx.set(row, change.key);
        }
        const [were, are] = [rivalsOf(change.before), rivalsOf(change.after)];
        for (const head of were) if (!are.includes(head)) tx.clear(rivalRow(head));
        for (const head of are) if (!were.includes(head)) tx.set(rivalRow(head), change.key);
      }
    }),
};

function rowsOf(head: Head): Uint8Array[] {
  const rows = head.tombstone ? [tombstoneRow(head)] : [];
  if (head.expiresAt !== 0) rows.push(expiryRow(head));
  return rows;
}
