import sortedBtree from 'sorted-btree';
import { compareBytes, equalBytes, toLatin1 } from '../core/bytes.ts';
import { keyWithin, levelKey, storeKey, tableKeys, tableRange, tables } from '../store/keyspace.ts';
import { allKeys, successorKey } from '../core/key.ts';
import { scan } from '../store/scan.ts';
import { type Row, type Snapshot, storeLimits, type Transaction } from '../store/store.ts';
import { decodeBoundChanges, encodeBoundChanges, readTreeState, type BoundChange } from './records.ts';

// The package is CommonJS: the class is the default of its default.
const BTree = sortedBtree.default;
type Bounds = InstanceType<typeof BTree<string, undefined>>;

/** Rows of the log that one transaction reads; further behind, the bounds are loaded anew. */
const logRowsMax = 1_000;
/** Changes in one row: 33 KB at the most, below what every store takes as one value. */
const logRowChangesMax = 32;

/**
 * The tree's bounds in memory, so that a writer finds its branches without a read each. A log of splits and merges brings them up
 * to a transaction's read version. They may be ahead of it: the writer's conflict ranges then fail its commit.
 */
export class BoundsCache {
  #levels = new Map<number, Bounds>();
  /** The last row of the log that is in here. The log always keeps at least one row. */
  #seen: Row | undefined;

  /**
   * Reads what has happened since the last call, without conflicts. The cache only ever moves forward: a transaction that
   * is older than it leaves it alone, and fails at its commit if what is newer matters to it.
   */
  async sync(tx: Transaction): Promise<void> {
    if (this.#seen === undefined) return this.#load(tx);
    const from = this.#seen.key;
    const [first, ...news] = await tx.range(
      { start: from, end: tableRange(tables.treeLog).end },
      { limit: logRowsMax, isolation: 'snapshot' },
    );
    if (first === undefined) {
      const last = await lastLogRow(tx);
      // Older than the cache, if its log ends before our row; else our row was cut off with the old ones.
      return last !== undefined && compareBytes(last.key, from) < 0 ? undefined : this.#load(tx);
    }
    if (news.length + 1 === logRowsMax || !equalBytes(first.key, from)) return this.#load(tx);
    for (const row of news) this.#take(row);
  }

  /** The greatest bound of the level that is at or below the key; the empty key bounds every level. */
  floor(level: number, key: string): string {
    return this.#levels.get(level)?.getPairOrNextLower(key)?.[0] ?? '';
  }

  lower(level: number, key: string): string {
    return this.#levels.get(level)?.nextLowerKey(key) ?? '';
  }

  /** The least bound of the level above the key. */
  higher(level: number, key: string): string | undefined {
    return this.#levels.get(level)?.nextHigherKey(key);
  }

  has(level: number, key: string): boolean {
    return this.#levels.get(level)?.has(key) ?? false;
  }

  /** Branches at the level, the first included. */
  count(level: number): number {
    return this.#levels.get(level)?.size ?? 0;
  }

  async #load(tx: Transaction): Promise<void> {
    const last = await lastLogRow(tx);
    const state = await readTreeState(tx);
    const levels = new Map<number, Bounds>();
    const top = state.active + (state.building === undefined ? 0 : 1);
    for (let level = 1; level <= top; level += 1) levels.set(level, await loadLevel(tx, level));
    // Another transaction may have moved the cache past this one's snapshot in the meantime.
    if (this.#seen !== undefined && last !== undefined && compareBytes(last.key, this.#seen.key) <= 0) return;
    this.#levels = levels;
    this.#seen = last;
  }

  #take(row: Row): void {
    if (this.#seen === undefined || compareBytes(row.key, this.#seen.key) <= 0) return;
    for (const change of decodeBoundChanges(row.value)) this.#apply(change);
    this.#seen = row;
  }

  #apply({ kind, level, key }: BoundChange): void {
    if (kind === 'dropped') {
      this.#levels.delete(level);
      return;
    }
    const bounds = this.#levels.get(level) ?? newBounds();
    this.#levels.set(level, bounds);
    if (kind === 'added') bounds.set(toLatin1(key), undefined);
    else bounds.delete(toLatin1(key));
  }
}

async function lastLogRow(tx: Transaction): Promise<Row | undefined> {
  const [last] = await tx.range(tableRange(tables.treeLog), { limit: 1, order: 'reverse', isolation: 'snapshot' });
  return last;
}

function newBounds(): Bounds {
  return new BTree<string, undefined>(undefined, (a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

async function loadLevel(tx: Transaction, level: number): Promise<Bounds> {
  const bounds = newBounds();
  const range = tableKeys(tables.bound, allKeys, Uint8Array.of(level));
  for await (const page of scan(tx, range, { isolation: 'snapshot', pageRows: storeLimits.rowsMax }))
    for (const row of page) bounds.set(toLatin1(keyWithin(row.key, 1)), undefined);
  return bounds;
}

/**
 * Appends to the log, in the transaction that changes the bounds. At most one append a transaction. Who knows the mesh key can make every
 * key of a batch a bound, so changes go into as many rows as they need.
 */
export function appendLog(tx: Transaction, changes: readonly BoundChange[]): void {
  for (let from = 0, row = 0; from < changes.length; from += logRowChangesMax, row += 1) {
    const suffix = row === 0 ? new Uint8Array(0) : Uint8Array.of(row >> 8, row & 0xff);
    tx.setVersionstampedKey(storeKey(tables.treeLog), suffix, encodeBoundChanges(changes.slice(from, from + logRowChangesMax)));
  }
}

/** Takes rows of the log away but for the newest `keep`, which is at least 1. Returns how many went. */
export async function trimLog(tx: Transaction, keep: number): Promise<number> {
  const rows = await tx.range(tableRange(tables.treeLog), { limit: keep + logRowsMax, isolation: 'snapshot' });
  const last = rows[rows.length - keep - 1];
  if (last === undefined) return 0;
  tx.clearRange({ start: tableRange(tables.treeLog).start, end: successorKey(last.key) });
  return rows.length - keep;
}

/** True where the level has a row of sums at exactly this key. */
export async function hasBound(snapshot: Snapshot, level: number, key: Uint8Array): Promise<boolean> {
  return (await snapshot.get(levelKey(tables.sum, level, key))) !== undefined;
}
