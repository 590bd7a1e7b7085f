import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { hasCode } from '../../core/errors.ts';
import { type Clock, type Log, type Random, silentLog } from '../../core/ports.ts';
import { Lifetime } from '../lifetime.ts';
import { checkKeyLength, checkRange } from '../limits.ts';
import { retrying } from '../optimistic/retry.ts';
import { OptimisticSnapshot, type ReadContext } from '../optimistic/snapshot.ts';
import { OptimisticTransaction } from '../optimistic/transaction.ts';
import { Watches } from '../optimistic/watches.ts';
import { type Bytes, type Range, type Snapshot, type Store, type TransactOptions, type Transaction } from '../store.ts';
import { Committer } from './committer.ts';
import { lockDirectory } from './directoryLock.ts';
import { Environment } from './environment.ts';
import { estimateBytes } from './estimate.ts';
import { failureOf } from './failures.ts';
import { settleFormat } from './format.ts';

export interface LmdbStoreOptions {
  /** Made if it is not there. Holds one store. */
  readonly dir: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log;
}

/**
 * Opens the store in a directory of this machine. Rejects with `data_locked`, `read_only`, `disk_full`,
 * `format_unknown` or `corrupt`.
 */
export async function openLmdbStore({ dir, clock, random, log = silentLog }: LmdbStoreOptions): Promise<Store> {
  let lock: AsyncDisposable | undefined;
  try {
    makeDirectory(dir);
    lock = await lockDirectory(dir, log);
    settleFormat(dir);
    return new LmdbStore(Environment.open(dir), lock, clock, random, log);
  } catch (error) {
    await lock?.[Symbol.asyncDispose]();
    throw failureOf(error, `${dir} cannot be opened`);
  }
}

/** With those above it. Node's own way says ENOENT of a file system that is read-only, and never ends where a folder takes none, as in /proc. */
function makeDirectory(path: string): void {
  const isThere = (): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  if (isThere()) return;
  if (dirname(path) !== path) makeDirectory(dirname(path));
  try {
    mkdirSync(path);
  } catch (error) {
    if (!isThere()) throw error; // made by another process meanwhile
  }
}

class LmdbStore implements Store {
  readonly #environment: Environment;
  readonly #lock: AsyncDisposable;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #watches = new Watches();
  readonly #lifetime = new Lifetime();
  readonly #committer: Committer;
  /** What `read` works on. */
  readonly #synced: ReadContext;

  constructor(environment: Environment, lock: AsyncDisposable, clock: Clock, random: Random, log: Log) {
    this.#environment = environment;
    this.#lock = lock;
    this.#clock = clock;
    this.#random = random;
    this.#committer = new Committer(environment, this.#watches, log);
    this.#synced = { clock, open: this.#committer.openSynced };
  }

  transact<T>(work: (tx: Transaction) => Promise<T>, { onVisible }: TransactOptions = {}): Promise<T> {
    return this.#lifetime.during(() => retrying(() => this.#attempt(work, onVisible), this.#clock, this.#random));
  }

  async read<T>(work: (snapshot: Snapshot) => Promise<T>): Promise<T> {
    this.#lifetime.enter();
    const snapshot = new OptimisticSnapshot(this.#synced);
    try {
      return await work(snapshot);
    } finally {
      snapshot.end();
      this.#lifetime.leave();
    }
  }

  async watch(key: Bytes, signal: AbortSignal): Promise<void> {
    this.#lifetime.check();
    checkKeyLength(key.length);
    await this.#watches.watch(key, signal);
  }

  approximateBytes(range: Range): Promise<number> {
    return this.#lifetime.during(() => {
      checkRange(range);
      const snapshot = this.#committer.openSynced();
      try {
        return Promise.resolve(estimateBytes(snapshot.base, range));
      } finally {
        snapshot.close();
      }
    });
  }

  diskBytes(): number {
    this.#lifetime.check();
    return this.#environment.diskBytes;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#watches.close();
    return this.#lifetime.close(async () => {
      this.#committer.close();
      await this.#environment.close();
      await this.#lock[Symbol.asyncDispose]();
    });
  }

  async #attempt<T>(work: (tx: Transaction) => Promise<T>, onVisible: (() => void) | undefined): Promise<T> {
    const tx = new OptimisticTransaction({ clock: this.#clock, open: this.#committer.openNewest });
    try {
      const result = await work(tx);
      await this.#committer.commit(tx, onVisible);
      return result;
    } catch (error) {
      // The next run would conflict again if its snapshot did not show the commit that this one lost to.
      if (hasCode(error, 'store_conflict')) await this.#committer.caughtUp();
      throw error;
    } finally {
      tx.end();
    }
  }
}
