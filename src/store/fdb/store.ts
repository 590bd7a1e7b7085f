import { GkvError } from '../../core/errors.ts';
import { type Clock, type Log, type Random, silentLog } from '../../core/ports.ts';
import { beginWait } from '../../core/wait.ts';
import { checkKeyLength, checkRange } from '../limits.ts';
import { Lifetime } from '../lifetime.ts';
import { type Bytes, type Range, type Snapshot, type Store, storeLimits, type TransactOptions, type Transaction } from '../store.ts';
import { type Database, type Driver, holding, loadDriver, openDatabase } from './driver.ts';
import { fdbCodeOf, fdbCodes, portError, staysUnknown } from './failures.ts';
import { answerOf, type Answer, inTime, lockedMessage, type StoreHealth, readHealth } from './health.ts';
import { Layout } from './layout.ts';
import { FdbSnapshot, type SnapshotDeps } from './snapshot.ts';
import { FdbTransaction } from './transaction.ts';
import { Watches } from './watches.ts';

export interface FdbStoreOptions {
  readonly clusterFile: string;
  /** Everything lies under it; whoever uses another prefix is another store. */
  readonly prefix: Bytes;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log;
  /**
   * Keys whose values may be larger than FoundationDB takes at once: writing one costs a clear of what an earlier, larger value left.
   * Default: all.
   */
  readonly mayBeLarge?: (key: Bytes) => boolean;
  /** How long the cluster may take to answer the first time; it may just be recovering. Default 30 s. */
  readonly openMsMax?: number;
  /** Runs of one transaction before it fails. Default 50. */
  readonly attemptsMax?: number;
}

export interface FdbStore extends Store {
  /** Runs of transactions that had to be made again since the store was opened, nearly all for conflicts. */
  readonly retries: number;
  /** Called when the cluster is found not to answer, and each second until it does. */
  onUnavailable: () => void;
  /** False from the moment on that the cluster was found not to answer, or to be locked; then reads and transactions are refused at once. */
  readonly isAvailable: boolean;
  /** It answers, and lets nobody in. */
  readonly isLocked: boolean;
  /** What the cluster says of itself, within `withinMs`. */
  health(withinMs: number): Promise<StoreHealth>;
}

/** FoundationDB's client takes 2 s to find that coordinators are away. */
const statusMsMax = 6_000;
/** For an estimate. */
const sizeMsMax = 10_000;
const probePauseMs = 1_000;
const probeMsMax = 3_000;
const attemptsMaxDefault = 50;
/** Of runs that really took long: the client says too old as well where it only lost sight of a version. */
const tooOldMax = 5;

/** Errors: `bad_config` without the client library or a cluster file; `unavailable` when the cluster does not answer in time. */
export async function openFdbStore(options: FdbStoreOptions): Promise<FdbStore> {
  const driver = await loadDriver();
  const database = openDatabase(driver, options.clusterFile);
  const { openMsMax = 30_000 } = options;
  const answer = await answerOf(driver, database, options.clock, openMsMax);
  if (answer !== 'version') {
    const said = answer === 'locked' ? lockedMessage : (await readHealth(driver, database, options.clock, statusMsMax)).message;
    database.close();
    const why = answer === 'locked' ? `lets nobody in. ${said}` : `has not answered within ${openMsMax} ms. ${said}`;
    throw new GkvError('unavailable', `--fdb: the cluster of ${options.clusterFile} ${why}`);
  }
  return new OpenFdbStore(driver, database, options);
}

/** `cause`: what it answered instead. */
function unanswered(cause?: unknown): GkvError {
  return new GkvError('unavailable', 'FoundationDB does not answer; try again later', cause === undefined ? {} : { cause });
}

class OpenFdbStore implements FdbStore {
  readonly #driver: Driver;
  readonly #database: Database;
  readonly #layout: Layout;
  readonly #clock: Clock;
  readonly #mayBeLarge: (key: Bytes) => boolean;
  readonly #attemptsMax: number;
  readonly #reads: SnapshotDeps;
  readonly #watches: Watches;
  readonly #lifetime = new Lifetime();
  readonly #closing = new AbortController();
  readonly #log: Log;
  readonly #probing: Promise<void>;
  #answer: Answer = 'version';
  onUnavailable = (): void => undefined;
  retries = 0;

  constructor(driver: Driver, database: Database, options: FdbStoreOptions) {
    const { prefix, clock, random, log = silentLog, mayBeLarge = () => true, attemptsMax = attemptsMaxDefault } = options;
    this.#driver = driver;
    this.#database = database;
    this.#layout = new Layout(prefix);
    this.#clock = clock;
    this.#mayBeLarge = mayBeLarge;
    this.#attemptsMax = attemptsMax;
    this.#reads = { driver, database, layout: this.#layout, clock, random };
    this.#watches = new Watches(database, this.#layout, clock);
    this.#log = log;
    this.#probing = this.#probe();
  }

  get isAvailable(): boolean {
    return this.#answer === 'version';
  }

  get isLocked(): boolean {
    return this.#answer === 'locked';
  }

  transact<T>(work: (tx: Transaction) => Promise<T>, { onVisible }: TransactOptions = {}): Promise<T> {
    return this.#lifetime.during(async () => {
      await this.#mayRead();
      return this.#transact(work, onVisible);
    });
  }

  read<T>(work: (snapshot: Snapshot) => Promise<T>): Promise<T> {
    return this.#lifetime.during(async () => {
      await this.#mayRead();
      const snapshot = new FdbSnapshot(this.#reads);
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
      await this.#watches.watch(key, wait.signal);
    } finally {
      wait.end();
    }
    if (!signal.aborted && this.#closing.signal.aborted) this.#lifetime.check();
  }

  approximateBytes(range: Range): Promise<number> {
    return this.#lifetime.during(async () => {
      checkRange(range);
      if (Buffer.compare(range.start, range.end) >= 0) return 0;
      const native = this.#database.rawCreateTransaction();
      const spans = [this.#layout.rows(range), this.#layout.partsIn(range)];
      const begun = holding(native, Promise.all(spans.map(({ start, end }) => native.getEstimatedRangeSizeBytes(start, end))));
      let failure: unknown;
      begun.catch((error: unknown) => (failure = error));
      const sizes = await inTime(begun, this.#clock, sizeMsMax);
      if (sizes === undefined) throw unanswered(failure);
      return sizes.reduce((total, bytes) => total + bytes, 0);
    });
  }

  /** FoundationDB's own status tells; it is not ours alone. */
  diskBytes(): number {
    this.#lifetime.check();
    return 0;
  }

  health(withinMs: number): Promise<StoreHealth> {
    return this.#lifetime.during(() => readHealth(this.#driver, this.#database, this.#clock, withinMs));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    return this.#lifetime.close(async () => {
      await this.#probing;
      this.#database.close();
    });
  }

  /** FoundationDB's client waits for ever for a cluster that is away: somebody has to say that it is. */
  async #probe(): Promise<void> {
    const { signal } = this.#closing;
    while (!this.#closing.signal.aborted) {
      const answer = await answerOf(this.#driver, this.#database, this.#clock, probeMsMax);
      if (answer !== this.#answer) {
        this.#answer = answer;
        if (answer === 'version') this.#log.info({}, 'FoundationDB answers again');
        else if (answer === 'locked')
          this.#log.error({}, `FoundationDB lets nobody in: requests are refused until it does. ${lockedMessage}`);
        else this.#log.error({}, `FoundationDB has not answered within ${probeMsMax} ms: requests are refused until it does`);
      }
      if (!this.isAvailable) this.onUnavailable();
      await this.#clock.sleep(probePauseMs, signal);
    }
  }

  /** Once no watch is being made that would miss what is read. Error: `unavailable`. */
  async #mayRead(): Promise<void> {
    this.#checkAvailable();
    const watches = this.#watches.established();
    if (watches === undefined) return;
    await watches;
    this.#checkAvailable();
  }

  #checkAvailable(): void {
    if (this.isLocked) throw new GkvError('unavailable', 'FoundationDB’s database is locked; try again later');
    if (!this.isAvailable) throw unanswered();
  }

  /**
   * The client's own loop, as its documentation describes it: `rawOnError` waits as long as it thinks right, and refuses what another
   * run cannot mend. No time-out: it would leave outcomes unknown that the client knows how to find out.
   */
  async #transact<T>(work: (tx: Transaction) => Promise<T>, onVisible: (() => void) | undefined): Promise<T> {
    const native = this.#database.rawCreateTransaction();
    let tooOld = 0;
    for (let attempts = 1; ; attempts += 1) {
      const tx = new FdbTransaction(this.#driver, native, this.#layout, this.#mayBeLarge);
      let isCommitting = false;
      const startedMs = this.#clock.monotonic();
      try {
        const result = await work(tx);
        await tx.readyToCommit();
        tx.end();
        isCommitting = true;
        await holding(native, native.rawCommit());
        onVisible?.();
        return result;
      } catch (error) {
        tx.end();
        const code = fdbCodeOf(error);
        if (code === undefined) throw error;
        if (isCommitting && staysUnknown(code))
          throw new GkvError('commit_unknown', `the outcome of a commit is unknown (${code})`, { cause: error });
        if (code === fdbCodes.tooOld && this.#clock.monotonic() - startedMs > storeLimits.transactionMsMax / 2) tooOld += 1;
        this.retries += 1;
        if (attempts >= this.#attemptsMax || tooOld >= tooOldMax) throw portError(error);
        try {
          await holding(native, native.rawOnError(code));
        } catch (refused) {
          throw error instanceof GkvError ? error : portError(refused);
        }
      }
    }
  }
}
