import { fromLatin1 } from '../core/bytes.ts';
import { addInto, subtractFrom, zeroSum, type Sum } from '../core/sum.ts';
import { levelKey, tables } from '../store/keyspace.ts';
import { type Transaction } from '../store/store.ts';
import { type BoundsCache } from './bounds.ts';
import { type BoundChange } from './records.ts';

/** What one transaction does to one key, as the tree sees it. Keys are latin1 strings, whose order is byte order. */
export interface SumChange {
  readonly key: string;
  readonly delta: Sum;
  /** 'insert' and 'remove' change the shape at the levels that the key bounds. */
  readonly kind: 'insert' | 'overwrite' | 'remove';
  /** Levels that the key bounds; 0 for an overwrite, where it does not matter. */
  readonly boundLevel: number;
}

/** Content of [start, end) as it was before this transaction; `end` null: past the last key. Reads conflictingly. */
export type BaseContent = (start: string, end: string | null) => Promise<Sum>;

/** What is written at one level: blind adds to branches that stay, and the branches that come and go. */
export interface LevelPlan {
  readonly level: number;
  readonly adds: ReadonlyMap<string, Sum>;
  readonly inserted: ReadonlyMap<string, Sum>;
  readonly removed: ReadonlySet<string>;
}

/**
 * Plans one level: which after-branch takes each change, what a new branch takes over, and what its neighbour gives up.
 *
 * A branch is [bound, next bound). Let nb be the next bound of a staying branch before this transaction and na the one
 * after it. It takes the changes in [bound, na), and where na ≠ nb, the base content of [nb, na) comes to it, or that of [na, nb)
 * goes from it. A new branch begins with the base content of [bound, na) and the changes in it.
 */
export class LevelPlanner {
  readonly #tx: Transaction;
  readonly #bounds: BoundsCache;
  readonly #level: number;
  /** Where this level ends: the cursor of a level that is being built; null otherwise. */
  readonly #end: string | null;
  readonly #inserted: string[] = [];
  readonly #removed = new Set<string>();
  readonly #content: BaseContent;

  constructor(tx: Transaction, bounds: BoundsCache, level: number, end: string | null, content: BaseContent) {
    this.#tx = tx;
    this.#bounds = bounds;
    this.#level = level;
    this.#end = end;
    this.#content = content;
  }

  /** `all` in order of keys, each key once. */
  async plan(all: readonly SumChange[]): Promise<LevelPlan> {
    const end = this.#end;
    const changes = end === null ? all : all.filter(({ key }) => key < end);
    for (const { key, kind, boundLevel } of changes) {
      if (boundLevel < this.#level) continue;
      if (kind === 'insert') this.#inserted.push(key);
      if (kind === 'remove') this.#removed.add(key);
    }
    this.#addConflicts(changes);
    const deltas = this.#distribute(changes);
    // All reads go out at once: over a network they would wait for each other.
    const contents = await Promise.all(this.#inserted.map((key) => this.#content(key, this.#nextAfter(key))));
    const base = new Map(this.#inserted.map((key, index) => [key, contents[index] ?? zeroSum()]));
    await Promise.all(
      [...this.#reshaped()].map((key) => {
        const moved = deltas.get(key) ?? zeroSum();
        deltas.set(key, moved);
        return this.#move(key, moved, base);
      }),
    );
    const inserted = new Map<string, Sum>();
    for (const [key, sum] of base) {
      addInto(sum, deltas.get(key) ?? zeroSum());
      deltas.delete(key);
      inserted.set(key, sum);
    }
    return { level: this.#level, adds: deltas, inserted, removed: this.#removed };
  }

  /** Sums of the changes by the branch that will hold them. */
  #distribute(changes: readonly SumChange[]): Map<string, Sum> {
    const deltas = new Map<string, Sum>();
    let branch = '';
    let until: string | null = '';
    for (const { key, delta } of changes) {
      if (until !== null && key >= until) {
        branch = this.#afterFloor(key);
        until = this.#nextAfter(branch);
      }
      const sum = deltas.get(branch);
      if (sum !== undefined) addInto(sum, delta);
      else {
        const fresh = zeroSum();
        addInto(fresh, delta);
        deltas.set(branch, fresh);
      }
    }
    return deltas;
  }

  /** Staying branches whose end moves. */
  #reshaped(): Set<string> {
    const reshaped = new Set<string>();
    for (const key of [...this.#inserted, ...this.#removed]) reshaped.add(this.#stayingBelow(key));
    return reshaped;
  }

  /** `base` is the content that each new branch begins with. */
  async #move(key: string, moved: Sum, base: ReadonlyMap<string, Sum>): Promise<void> {
    const before = this.#bounds.higher(this.#level, key) ?? this.#end;
    const after = this.#nextAfter(key);
    if (before === after) return;
    if (after !== null && (before === null || after < before)) {
      if (this.#removed.size > 0) subtractFrom(moved, await this.#content(after, before));
      else for (const taker of this.#insertedFrom(after, before)) subtractFrom(moved, base.get(taker) ?? zeroSum()); // they took all of it
    } else if (before !== null) addInto(moved, await this.#content(before, after));
  }

  #insertedFrom(start: string, end: string | null): string[] {
    const from = firstAbove(this.#inserted, start) - 1; // start is one of them
    const to = end === null ? this.#inserted.length : firstAbove(this.#inserted, end);
    return this.#inserted.slice(from, to);
  }

  /**
   * The commit must fail if a bound comes or goes between a branch's bound and what this transaction changes in it: for a
   * change up to its key, for a new bound up to and with the next one, for a removed one from the branch that takes its content.
   */
  #addConflicts(changes: readonly SumChange[]): void {
    const until = new Map<string, string>();
    for (const { key } of changes) until.set(this.#bounds.floor(this.#level, key), key);
    for (const key of this.#inserted) {
      const branch = this.#bounds.floor(this.#level, key);
      const next = this.#bounds.higher(this.#level, key);
      if (next !== undefined) until.set(branch, next);
    }
    for (const key of this.#removed) {
      const taker = this.#stayingBelow(key);
      if ((until.get(taker) ?? '') < key) until.set(taker, key);
    }
    for (const [branch, last] of until) {
      const start = levelKey(tables.bound, this.#level, fromLatin1(branch));
      const end = levelKey(tables.bound, this.#level, fromLatin1(`${last}\0`));
      this.#tx.addReadConflict({ start, end });
    }
  }

  /** The next bound above the key once this transaction is done; the level's end where there is none. */
  #nextAfter(key: string): string | null {
    let base = this.#bounds.higher(this.#level, key);
    while (base !== undefined && this.#removed.has(base)) base = this.#bounds.higher(this.#level, base);
    const inserted = this.#inserted[firstAbove(this.#inserted, key)];
    if (base === undefined) return inserted ?? this.#end;
    return inserted !== undefined && inserted < base ? inserted : base;
  }

  /** The greatest bound at or below the key once this transaction is done. */
  #afterFloor(key: string): string {
    const at = firstAbove(this.#inserted, key) - 1;
    const inserted = this.#inserted[at] ?? '';
    let base = this.#bounds.floor(this.#level, key);
    while (this.#removed.has(base)) base = this.#bounds.lower(this.#level, base);
    return inserted > base ? inserted : base;
  }

  /** The greatest bound below the key that was there before and stays. */
  #stayingBelow(key: string): string {
    let base = this.#bounds.lower(this.#level, key);
    while (this.#removed.has(base)) base = this.#bounds.lower(this.#level, base);
    return base;
  }
}

/** Index of the first element that is above the key. */
function firstAbove(sorted: readonly string[], key: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? '') > key) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Writes a plan, and says which bounds it changed. */
export function applyPlan(tx: Transaction, plan: LevelPlan): BoundChange[] {
  const { level } = plan;
  const changes: BoundChange[] = [];
  for (const name of plan.removed) {
    const key = fromLatin1(name);
    tx.clear(levelKey(tables.bound, level, key));
    tx.clear(levelKey(tables.sum, level, key));
    changes.push({ kind: 'removed', level, key });
  }
  for (const [name, sum] of plan.inserted) {
    const key = fromLatin1(name);
    tx.set(levelKey(tables.bound, level, key), new Uint8Array(0));
    tx.set(levelKey(tables.sum, level, key), sum);
    changes.push({ kind: 'added', level, key });
  }
  for (const [name, sum] of plan.adds) tx.add(levelKey(tables.sum, level, fromLatin1(name)), sum);
  return changes;
}
