/**
 * The store port: an ordered, transactional key-value store with FoundationDB's promises, and no more than those.
 *
 * What the users of the port rely on, and every adapter keeps (test/store/suite.ts shows it):
 * - Transactions are strictly serialisable. A transaction reads one snapshot, sees its own writes, and commits only if
 *   nothing in its read conflict ranges was written since that snapshot; otherwise `work` runs again from the start.
 * - `work` may run any number of times and must have no effect outside its transaction. If it throws, nothing of that
 *   run stays and `transact` rejects with what it threw.
 * - `transact` resolves when the commit is durable: synced to disk.
 * - A commit whose outcome is unknown is retried like a conflict, so `work` may run once more after a run of it has
 *   been committed. Where it may still be under way it is not: `transact` rejects with `commit_unknown`, and the commit may
 *   take place afterwards. Callers that are not idempotent keep a record of their own in the store.
 */
export type Bytes = Uint8Array;

/** Half-open, `start` ≤ k < `end`, unsigned byte order. */
export interface Range {
  readonly start: Bytes;
  readonly end: Bytes;
}

export interface Row {
  readonly key: Bytes;
  readonly value: Bytes;
}

export interface RangeOptions {
  /** At most this many rows, 1..rowsMax. */
  readonly limit: number;
  /** Rows from the end of the range, greatest key first. Default: from the start. */
  readonly order?: 'forward' | 'reverse';
  /** `snapshot` reads add no conflict range. Default: conflicting. In a read-only snapshot there is no difference. */
  readonly isolation?: 'conflicting' | 'snapshot';
}

/** Reads of one consistent snapshot. Returned arrays are the caller's to keep; it must not change them. */
export interface Snapshot {
  get(key: Bytes, isolation?: 'conflicting' | 'snapshot'): Promise<Bytes | undefined>;
  range(range: Range, options: RangeOptions): Promise<Row[]>;
}

export interface Transaction extends Snapshot {
  set(key: Bytes, value: Bytes): void;
  clear(key: Bytes): void;
  clearRange(range: Range): void;
  /**
   * Adds `delta` to the stored value, both little-endian unsigned of `delta.length` bytes, modulo 2^(8·length), without
   * reading it: two adds to one key never conflict. An absent value counts as zero; a stored value of another length is
   * cut or zero-extended to `delta.length`, as FoundationDB does.
   */
  add(key: Bytes, delta: Bytes): void;
  /**
   * Sets prefix ‖ stamp ‖ suffix → value, where stamp is the 10 bytes that the store gives to this commit: greater
   * than that of every commit before it. The key is not readable within this transaction: see below.
   */
  setVersionstampedKey(prefix: Bytes, suffix: Bytes, value: Bytes): void;
  /**
   * Sets key → value with the 10 bytes from `offset` on replaced by this commit's stamp. Reading the key later in this
   * transaction, alone or within a range, rejects with `store_unreadable`, and so does the transaction then.
   */
  setVersionstampedValue(key: Bytes, value: Bytes, offset: number): void;
  /** As if the range had been read. Keys that this transaction has set, stamped or cleared before are left out, as on FoundationDB. */
  addReadConflict(range: Range): void;
}

export interface TransactOptions {
  /**
   * Called once, when the commit can be seen by transactions that begin from now on; it may not be durable yet. Not
   * called when the transaction fails.
   */
  readonly onVisible?: () => void;
}

export interface Store extends AsyncDisposable {
  transact<T>(work: (tx: Transaction) => Promise<T>, options?: TransactOptions): Promise<T>;
  /** Runs `work` on one snapshot, which contains everything that was acknowledged before. Nothing is written. */
  read<T>(work: (snapshot: Snapshot) => Promise<T>): Promise<T>;
  /**
   * Resolves when the value of `key` may have changed since the call: late, or for no reason, but never not at all.
   * Resolves at once when the signal aborts. A value that changes and changes back may go unseen.
   */
  watch(key: Bytes, signal: AbortSignal): Promise<void>;
  /** Roughly the bytes of keys and values in the range; may be off by a lot for small ranges. */
  approximateBytes(range: Range): Promise<number>;
  /** Bytes on disk, 0 for a store in memory. For status only. */
  diskBytes(): number;
  /** Waits for what is under way, then refuses everything with `store_closed`. May be called again. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Limits that hold on every adapter; FoundationDB's own where it has one. */
export const storeLimits = {
  /** The embedded store's limit; FoundationDB's is 10,000. */
  keyBytesMax: 1_900,
  /** The greatest value of a write and what stands beside it; adapters split where their store takes less. */
  valueBytesMax: 1_052_672,
  /**
   * Greater values may lie in parts. A smaller one that is set over one leaves unreachable parts behind on some stores, unless the key
   * was cleared before; it reads right all the same.
   */
  wholeBytesMax: 65_536,
  /** Of keys and values written, and of conflict ranges, by one transaction. FoundationDB's. */
  transactionBytesMax: 10_000_000,
  /** From the first read to the commit. FoundationDB's. */
  transactionMsMax: 5_000,
  rowsMax: 10_000,
} as const;

/** Length of the stamp that a commit gives to versionstamped keys and values. */
export const versionstampBytes = 10;
