import { writeU64 } from '../core/bytes.ts';
import { decodeEntry } from '../core/entry.ts';
import { parseKey, successorKey, type Key } from '../core/key.ts';
import { physicalMsOf, type Stamp } from '../core/stamp.ts';
import { storeKey, tableRange, tables } from '../store/keyspace.ts';
import { type Range, type Store, type Transaction } from '../store/store.ts';
import { applyChanges, headKey } from './change.ts';
import { isGone } from './floor.ts';
import { type EntryChange, type Follower } from './follower.ts';

/** Rows that one transaction looks at, and so what it takes away at the most. */
const sliceRows = 200;

/**
 * Takes tombstones and expired writes below `floor` away, each where it is alone, in transactions of their own. Returns how many. Every
 * cluster must do this with the same floor, which no clock may be behind: see SPEC.md.
 */
export async function collectBelow(store: Store, floor: Stamp, followers: readonly Follower[], signal: AbortSignal): Promise<number> {
  let collected = 0;
  for (const { start, end } of rowsBelow(floor)) {
    for (let from: Uint8Array | undefined = start; from !== undefined && !signal.aborted;) {
      const left: Range = { start: from, end };
      const slice = await store.transact((tx) => collectSlice(tx, left, floor, followers));
      collected += slice.collected;
      from = slice.next;
    }
  }
  return collected;
}

/** The rows of what may be collected: tombstones whose version, and writes whose expiry, is below the floor. */
function rowsBelow(floor: Stamp): Range[] {
  const floorMs = Buffer.allocUnsafe(8);
  writeU64(floorMs, physicalMsOf(floor), 0);
  return [
    { start: tableRange(tables.tombstone).start, end: storeKey(tables.tombstone, floor) },
    { start: tableRange(tables.expiry).start, end: storeKey(tables.expiry, floorMs) },
  ];
}

/** `next` is where to go on: rows may stay, and are not looked at again. */
async function collectSlice(
  tx: Transaction,
  range: Range,
  floor: Stamp,
  followers: readonly Follower[],
): Promise<{ collected: number; next: Uint8Array | undefined }> {
  const rows = await tx.range(range, { limit: sliceRows, isolation: 'snapshot' });
  const changes: EntryChange[] = [];
  for (const { value } of rows) {
    const change = await removal(tx, parseKey(value), floor);
    if (change !== undefined) changes.push(change);
  }
  await applyChanges(tx, changes, followers);
  const last = rows.length < sliceRows ? undefined : rows.at(-1);
  return { collected: changes.length, next: last === undefined ? undefined : successorKey(last.key) };
}

/** Undefined where the key has anything but one write that reads as absent since before the floor. */
async function removal(tx: Transaction, key: Key, floor: Stamp): Promise<EntryChange | undefined> {
  const bytes = await tx.get(headKey(key));
  const before = bytes === undefined ? [] : decodeEntry(bytes);
  const [only] = before;
  return only !== undefined && before.length === 1 && isGone(only, floor) ? { key, before, after: undefined } : undefined;
}
