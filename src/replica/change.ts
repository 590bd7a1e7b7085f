import { assert } from '../core/errors.ts';
import { encodeEntry, entryStampOffset, type Head } from '../core/entry.ts';
import { compareBytes, equalBytes } from '../core/bytes.ts';
import { type Key } from '../core/key.ts';
import { grantZero, type GrantId } from '../core/write.ts';
import { storeKey, tables } from '../store/keyspace.ts';
import { storeLimits, type Transaction } from '../store/store.ts';
import { gone } from './feed.ts';
import { type EntryChange, type Follower } from './follower.ts';

/** Where the value of a key's write under a leaf grant lies, if it is no part of the head. */
export function valueKey(key: Key, leaf: GrantId): Uint8Array {
  return equalBytes(leaf, grantZero) ? storeKey(tables.value, key) : storeKey(tables.leafValue, leaf, key);
}

export function headKey(key: Key): Uint8Array {
  return storeKey(tables.head, key);
}

/**
 * Writes the heads and everything that follows them, and clears the rows of values that go. The followers read first, while the entries
 * are as they were; rows of new values are the caller's, who sets them afterwards. No key may be named twice.
 */
export async function applyChanges(tx: Transaction, changes: readonly EntryChange[], followers: readonly Follower[]): Promise<void> {
  if (changes.length === 0) return;
  const sorted = [...changes].sort((a, b) => compareBytes(a.key, b.key));
  const applies = [];
  for (const follower of followers) applies.push(await follower.prepare(tx, sorted));
  const placeOf = placesOfOneCommit();
  for (const change of sorted) {
    const { key, after } = change;
    if (after === undefined) tx.clear(headKey(key));
    else tx.setVersionstampedValue(headKey(key), encodeEntry(after, placeOf), entryStampOffset);
    for (const row of valueRowsToClear(change)) tx.clear(row);
  }
  for (const apply of applies) apply(tx, placeOf);
}

/** Rows of values that no new one is set over, or that a store may have cut into parts, which setting leaves behind. */
function valueRowsToClear(change: EntryChange): Uint8Array[] {
  const rows: Uint8Array[] = [];
  for (const { leaf, length, record } of gone(change)) {
    if (record !== undefined) continue; // it goes with its head
    const next = change.after?.find((head) => equalBytes(head.leaf, leaf));
    const setOver = next !== undefined && next.record === undefined;
    if (!setOver || length > storeLimits.wholeBytesMax) rows.push(valueKey(change.key, leaf));
  }
  return rows;
}

function placesOfOneCommit(): (head: Head) => number {
  const places = new Map<Head, number>();
  return (head) => {
    const known = places.get(head);
    if (known !== undefined) return known;
    const place = places.size;
    assert(place <= 0xffff, 'a commit places at most 65,536 heads');
    places.set(head, place);
    return place;
  };
}
