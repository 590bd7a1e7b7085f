import { toLatin1, writeU64 } from '../core/bytes.ts';
import { decodeEntry } from '../core/entry.ts';
import { parseKey, successorKey, type Key } from '../core/key.ts';
import { limits } from '../core/limits.ts';
import { physicalMsOf, type Stamp } from '../core/stamp.ts';
import { storeKey, tableRange, tables } from '../store/keyspace.ts';
import { type Range, type Store, type Transaction } from '../store/store.ts';
import { settled } from './candidates.ts';
import { applyChanges, headKey } from './change.ts';
import { type EntryChange, type Follower } from './follower.ts';
import { type Guard } from './guard.ts';
import { costOfChange } from './proposal.ts';
import { inSlices, type Slice } from './slices.ts';

/** Whose entries are collected, and what has to follow. */
export interface Collecting {
  readonly store: Store;
  readonly followers: readonly Follower[];
  /** Of a granted mesh. */
  readonly guard: Guard | undefined;
}

/**
 * Takes away what the floor removes, in transactions of their own: candidates that a greater one hides, both below it, and tombstones and expired
 * writes below it. Returns how many keys that changed. Every cluster must do this with the same floor, which no clock may be
 * behind: see SPEC.md.
 */
export async function collectBelow(collecting: Collecting, floor: Stamp, signal: AbortSignal): Promise<number> {
  let collected = 0;
  for (const range of rowsBelow(floor))
    collected += await inSlices(collecting.store, range, signal, (tx, left, rows) =>
      collectSlice(tx, { range: left, rows }, floor, collecting),
    );
  return collected;
}

/** The rows of what may be collected: tombstones and rivals whose version, and writes whose expiry, is below the floor. */
function rowsBelow(floor: Stamp): Range[] {
  const floorMs = Buffer.allocUnsafe(8);
  writeU64(floorMs, physicalMsOf(floor), 0);
  return [
    { start: tableRange(tables.rival).start, end: storeKey(tables.rival, floor) },
    { start: tableRange(tables.tombstone).start, end: storeKey(tables.tombstone, floor) },
    { start: tableRange(tables.expiry).start, end: storeKey(tables.expiry, floorMs) },
  ];
}

/** Rows may stay, and are not looked at again. */
async function collectSlice(
  tx: Transaction,
  { range, rows: limit }: { readonly range: Range; readonly rows: number },
  floor: Stamp,
  { followers, guard }: Collecting,
): Promise<Slice> {
  if (guard !== undefined) await guard.catchUp(tx); // in conflict with who ends a grant
  const rows = await tx.range(range, { limit, isolation: 'snapshot' });
  const changes = new Map<string, EntryChange>();
  let last = rows.length < limit ? undefined : rows.at(-1);
  let cost = 0;
  for (const row of rows) {
    const key = parseKey(row.value); // of several rows, where several of its candidates are below the floor
    const change = changes.has(toLatin1(key)) ? undefined : await removal(tx, key, floor, guard);
    if (change === undefined) continue;
    changes.set(toLatin1(key), change);
    cost += costOfChange(change);
    if (cost < limits.commitCostMax / 2) continue;
    last = row; // the others come with the next
    break;
  }
  await applyChanges(tx, [...changes.values()], followers);
  return { changed: changes.size, next: last === undefined ? undefined : successorKey(last.key) };
}

/** Undefined where the floor removes nothing of the key. */
async function removal(tx: Transaction, key: Key, floor: Stamp, guard: Guard | undefined): Promise<EntryChange | undefined> {
  const bytes = await tx.get(headKey(key));
  const before = bytes === undefined ? [] : decodeEntry(bytes);
  const after = settled(before, floor, guard);
  return after.length === before.length ? undefined : { key, before, after: after.length === 0 ? undefined : after };
}
