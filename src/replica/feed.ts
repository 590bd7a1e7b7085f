import { encodePosition, type FeedPosition, type Head } from '../core/entry.ts';
import { joined } from '../core/bytes.ts';
import { type Key } from '../core/key.ts';
import { sha256 } from '../crypto/digest.ts';
import { feedTailKey, storeKey, tables } from '../store/keyspace.ts';
import { versionstampBytes } from '../store/store.ts';
import { type EntryChange, type Follower } from './follower.ts';

/**
 * The feed's index: feed/<partition>/<commit stamp 10><place u16> → leaf 32 ‖ key, exactly one row for each candidate
 * write that is here. An overwrite takes the old row away, so the feed compacts itself.
 */
export function feedFollower(partitions: 1 | 16): Follower {
  const prefixes = Array.from({ length: partitions }, (_, partition) => storeKey(tables.feed, Uint8Array.of(partition)));
  const partitionOf = (key: Key): number => (partitions === 1 ? 0 : (sha256(key)[0] ?? 0) & 15);
  const prefixOf = (key: Key): Uint8Array => prefixes[partitionOf(key)] ?? storeKey(tables.feed, Uint8Array.of(partitionOf(key)));
  const rowOf = (key: Key, position: FeedPosition): Uint8Array => joined(prefixOf(key), encodePosition(position));
  return {
    prepare: (_tx, changes) =>
      Promise.resolve((tx, placeOf) => {
        tx.setVersionstampedValue(feedTailKey, new Uint8Array(versionstampBytes), 0);
        for (const change of changes) {
          for (const head of gone(change)) if (head.position !== undefined) tx.clear(rowOf(change.key, head.position));
          for (const head of change.after ?? []) {
            if (head.position !== undefined) continue;
            const place = placeOf(head);
            tx.setVersionstampedKey(prefixOf(change.key), Uint8Array.of(place >> 8, place & 0xff), joined(head.leaf, change.key));
          }
        }
      }),
  };
}

const none: readonly Head[] = [];

/** Heads that the change takes away. */
export function gone(change: EntryChange): readonly Head[] {
  const { before, after } = change;
  return before === undefined ? none : before.filter((head) => after?.includes(head) !== true);
}
