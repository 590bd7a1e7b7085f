import { encodePosition, type FeedPosition, type Head } from '../core/entry.ts';
import { type Key } from '../core/key.ts';
import { sha256 } from '../crypto/digest.ts';
import { storeKey, tables } from '../store/keyspace.ts';
import { type EntryChange, type Follower } from './follower.ts';

/**
 * The feed's index: feed/<partition>/<commit stamp 10><place u16> → leaf 32 ‖ key, exactly one row for each candidate
 * write that is here. An overwrite takes the old row away, so the feed compacts itself.
 */
export function feedFollower(partitions: 1 | 16): Follower {
  const partitionOf = (key: Key): Uint8Array => Uint8Array.of(partitions === 1 ? 0 : (sha256(key)[0] ?? 0) & 15);
  const rowOf = (key: Key, position: FeedPosition): Uint8Array => storeKey(tables.feed, partitionOf(key), encodePosition(position));
  return {
    prepare: (_tx, changes) =>
      Promise.resolve((tx, placeOf) => {
        for (const change of changes) {
          for (const head of gone(change)) if (head.position !== undefined) tx.clear(rowOf(change.key, head.position));
          for (const head of change.after ?? []) {
            if (head.position !== undefined) continue;
            const place = Uint8Array.of(placeOf(head) >> 8, placeOf(head) & 0xff);
            const value = Buffer.concat([head.leaf, change.key]);
            tx.setVersionstampedKey(storeKey(tables.feed, partitionOf(change.key)), place, value);
          }
        }
      }),
  };
}

/** Heads that the change takes away. */
export function gone(change: EntryChange): Head[] {
  return (change.before ?? []).filter((head) => change.after?.includes(head) !== true);
}
