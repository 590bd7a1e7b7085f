import { assert, GkvError } from '../../core/errors.ts';
import { type Clock, type Random } from '../../core/ports.ts';
import { checkKeyLength, checkRange, checkRows } from '../limits.ts';
import { type Bytes, type Range, type RangeOptions, type Row, type Snapshot } from '../store.ts';
import { type Database, type Driver, holding, type NativeTransaction } from './driver.ts';
import { fdbCodeOf, fdbCodes, passingReadCodes, portError } from './failures.ts';
import { type Layout } from './layout.ts';
import { readRow, readRows } from './reads.ts';

/** Beyond this a read fails with `unavailable`: FoundationDB is away, and nobody loses anything by asking again. */
const readMsMax = 10_000;
const attemptsMax = 20;
const tooOldAttemptsMax = 3;
const backoffMsMax = 500;

export interface SnapshotDeps {
  readonly driver: Driver;
  readonly database: Database;
  readonly layout: Layout;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * The reads of `Store.read`: one read version, taken with the first read. A read that fails for a passing reason is made again at that
 * version, so the work need not be; only when the version is too old and nothing was read yet, a new one is taken.
 */
export class FdbSnapshot implements Snapshot {
  readonly #deps: SnapshotDeps;
  #native: NativeTransaction | undefined;
  #hasRead = false;
  #isEnded = false;

  constructor(deps: SnapshotDeps) {
    this.#deps = deps;
  }

  async get(key: Bytes): Promise<Bytes | undefined> {
    checkKeyLength(key.length);
    return this.#read((view) => readRow(this.#deps.driver, view, this.#deps.layout, key));
  }

  async range(range: Range, options: RangeOptions): Promise<Row[]> {
    checkRange(range);
    checkRows(options.limit);
    return this.#read((view) => readRows(this.#deps.driver, view, this.#deps.layout, range, options));
  }

  end(): void {
    this.#isEnded = true;
  }

  async #read<T>(read: (view: NativeTransaction) => Promise<T>): Promise<T> {
    assert(!this.#isEnded, 'a snapshot is not used after its work has ended');
    const { clock, random } = this.#deps;
    for (let attempts = 1; ; attempts += 1) {
      this.#native ??= this.#begin();
      const native = this.#native;
      try {
        const result = await holding(native, read(native));
        this.#hasRead = true;
        return result;
      } catch (error) {
        const code = fdbCodeOf(error);
        if (code === undefined || attempts >= attemptsMax || !this.#isPassing(code, attempts)) throw failure(error);
        await clock.sleep(random.fraction() * Math.min(backoffMsMax, 2 ** attempts));
        if (this.#native === native) await this.#replace(native);
      }
    }
  }

  #begin(): NativeTransaction {
    const { driver, database } = this.#deps;
    const native = database.rawCreateTransaction();
    native.setOption(driver.TransactionOptionCode.Timeout, readMsMax);
    return native.snapshot();
  }

  /** A failed transaction of the client may go on failing: another one goes on at the same version. */
  async #replace(failed: NativeTransaction): Promise<void> {
    const version = this.#hasRead ? await holding(failed, failed.getReadVersion()) : undefined;
    if (this.#native !== failed) return;
    this.#native = this.#begin();
    if (version !== undefined) this.#native.setReadVersion(version);
  }

  /** A version that is too old stays so; but the client says it too where it only lost sight of the version. */
  #isPassing(code: number, attempts: number): boolean {
    if (code === fdbCodes.tooOld) return !this.#hasRead || attempts <= tooOldAttemptsMax;
    return passingReadCodes.has(code);
  }
}

function failure(error: unknown): Error {
  if (fdbCodeOf(error) !== fdbCodes.timedOut) return portError(error);
  return new GkvError('unavailable', `FoundationDB has not answered a read within ${readMsMax} ms: see its status`, { cause: error });
}
