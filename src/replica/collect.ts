import { decodeEntry } from '../core/entry.ts';
import { parseKey, type Key } from '../core/key.ts';
import { compareStamps, parseStamp, stampBytes, type Stamp } from '../core/stamp.ts';
import { keyWithin, tableRange, tables } from '../store/keyspace.ts';
import { type Store } from '../store/store.ts';
import { applyChanges, headKey, valueKey } from './change.ts';
import { type EntryChange, type Follower } from './follower.ts';

/** Tombstones that one transaction takes away at the most. */
const collectedMax = 200;

/**
 * Takes tombstones below `floor` away, each where it is alone, in transactions of their own. Returns how many. Every cluster
 * must do this with the same floor: see SPEC.md.
 */
export async function collectTombstones(store: Store, floor: Stamp, followers: readonly Follower[], signal: AbortSignal): Promise<number> {
  let collected = 0;
  for (;;) {
    if (signal.aborted) return collected;
    const count = await store.transact(async (tx) => {
      const rows = await tx.range(tableRange(tables.tombstone), { limit: collectedMax, isolation: 'snapshot' });
      const due = rows.filter(({ key }) => compareStamps(parseStamp(keyWithin(key).subarray(0, stampBytes)), floor) < 0);
      const changes: EntryChange[] = [];
      for (const { value } of due) {
        const change = await removal(tx.get(headKey(parseKey(value))), parseKey(value), floor);
        if (change === undefined) continue;
        changes.push(change);
        for (const head of change.before ?? []) tx.clear(valueKey(change.key, head.leaf));
      }
      await applyChanges(tx, changes, followers);
      return changes.length;
    });
    collected += count;
    if (count < collectedMax) return collected;
  }
}

async function removal(read: Promise<Uint8Array | undefined>, key: Key, floor: Stamp): Promise<EntryChange | undefined> {
  const bytes = await read;
  if (bytes === undefined) return undefined;
  const before = decodeEntry(bytes);
  const [only] = before;
  if (before.length !== 1 || only === undefined || !only.tombstone || compareStamps(only.version, floor) >= 0) return undefined;
  return { key, before, after: undefined };
}
