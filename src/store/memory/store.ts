import { GkvError } from '../../core/errors.ts';
import { type Clock, type Random } from '../../core/ports.ts';
import { beginWait } from '../../core/wait.ts';
import { checkKeyLength, checkRange } from '../limits.ts';
import { Lifetime } from '../lifetime.ts';
import { retrying } from '../optimistic/retry.ts';
import { OptimisticSnapshot, type ReadContext } from '../optimistic/snapshot.ts';
import { OptimisticTransaction } from '../optimistic/transaction.ts';
import { type Bytes, type Range, type Snapshot, type Store, type TransactOptions, type Transaction } from '../store.ts';
import { type MemoryDatabase } from './database.ts';
import { FaultPlan, type MemoryFaults } from './faults.ts';

export interface MemoryStoreOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly faults?: MemoryFaults;
}

/** A handle on a database in memory; several on one database are like several instances on one cluster. */
export function openMemoryStore(database: MemoryDatabase, options: MemoryStoreOptions): Store {
  return new MemoryStore(database, options);
}

class MemoryStore implements Store {
  readonly #database: MemoryDatabase;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #faults: FaultPlan;
  readonly #lifetime = new Lifetime();
  readonly #closing = new AbortController();
  readonly #context: ReadContext;

  constructor(database: MemoryDatabase, { clock, random, faults = {} }: MemoryStoreOptions) {
    this.#database = database;
    this.#clock = clock;
    this.#random = random;
    this.#faults = new FaultPlan(faults, random);
    this.#context = { clock, open: () => database.open(), interfere: this.#faults.onRead };
  }

  transact<T>(work: (tx: Transaction) => Promise<T>, { onVisible }: TransactOptions = {}): Promise<T> {
    return this.#lifetime.during(() => retrying(() => this.#attempt(work, onVisible), this.#clock, this.#random));
  }

  read<T>(work: (snapshot: Snapshot) => Promise<T>): Promise<T> {
    return this.#lifetime.during(async () => {
      const snapshot = new OptimisticSnapshot(this.#context);
      try {
        return await work(snapshot);
      } finally {
        snapshot.end();
      }
    });
  }

  async watch(key: Bytes, signal: AbortSignal): Promise<void> {
    this.#lifetime.check();
    checkKeyLength(key.length);
    const wait = beginWait(signal, this.#closing.signal);
    try {
      await this.#database.watches.watch(key, wait.signal);
    } finally {
      wait.end();
    }
    if (!signal.aborted && this.#closing.signal.aborted) this.#lifetime.check();
  }

  async approximateBytes(range: Range): Promise<number> {
    this.#lifetime.check();
    checkRange(range);
    return Promise.resolve(this.#database.view().bytesIn(range.start, range.end));
  }

  diskBytes(): number {
    this.#lifetime.check();
    return 0;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    return this.#lifetime.close(() => undefined);
  }

  async #attempt<T>(work: (tx: Transaction) => Promise<T>, onVisible: (() => void) | undefined): Promise<T> {
    const tx = new OptimisticTransaction(this.#context);
    try {
      const result = await work(tx);
      await this.#faults.pause('commit');
      this.#commit(tx, onVisible);
      await this.#faults.pause('committed');
      return result;
    } finally {
      tx.end();
    }
  }

  /** One synchronous turn: nobody gets in between the check and the writes. */
  #commit(tx: OptimisticTransaction, onVisible: (() => void) | undefined): void {
    tx.checkCommittable();
    if (!tx.buffer.isEmpty) {
      this.#faults.throwIf('conflict');
      this.#faults.throwIf('diskFull');
      this.#faults.throwIf('unknownLost');
      if (tx.readVersion !== undefined && this.#database.conflicts(tx.reads, tx.readVersion)) {
        throw new GkvError('store_conflict', 'another transaction wrote what this one has read');
      }
      this.#database.apply(tx.buffer);
      this.#database.watches.wakeSome(() => this.#faults.strikes('spuriousWatch'));
      this.#faults.throwIf('unknownCommitted');
    }
    onVisible?.();
  }
}
