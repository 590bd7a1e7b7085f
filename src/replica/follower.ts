import { type Entry, type Head } from '../core/entry.ts';
import { type Key } from '../core/key.ts';
import { type Transaction } from '../store/store.ts';

/** What one transaction does to one key: the entry before and after; undefined where there is none. */
export interface EntryChange {
  readonly key: Key;
  readonly before: Entry | undefined;
  readonly after: Entry | undefined;
}

/**
 * Whatever is derived from entries and kept in the same transaction: feed, indexes, tree. `prepare` does all of its
 * reading, while the entries still stand as they were before; what it returns then writes, and reads no more. `changes` are in
 * byte order of keys, no key twice. Both may run again, with the transaction.
 */
export interface Follower {
  prepare(tx: Transaction, changes: readonly EntryChange[]): Promise<Apply>;
}

/** Writes what was prepared. `placeOf` gives a new head's place within this commit. */
export type Apply = (tx: Transaction, placeOf: (head: Head) => number) => void;
