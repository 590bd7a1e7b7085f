import { assert, GkvError } from '../../core/errors.ts';
import { type Clock } from '../../core/ports.ts';
import { type Bytes, type Range, type RangeOptions, type Row, type Snapshot, storeLimits } from '../store.ts';
import { checkKeyLength, checkRange, checkRows } from '../limits.ts';
import { type Base } from './merge.ts';

/** One version of the store, held until it is closed. */
export interface OpenSnapshot {
  /** Grows with every commit that can be seen. */
  readonly version: number;
  readonly base: Base;
  close(): void;
}

export interface ReadContext {
  readonly clock: Clock;
  open(): OpenSnapshot;
  /** Called with each read: may fail it, or hold its answer back. For simulations. */
  readonly interfere?: () => Promise<void> | undefined;
}

/** Reads of one snapshot, taken with the first read, and refused once it is too old or closed. */
export abstract class SnapshotReads implements Snapshot {
  readonly #context: ReadContext;
  #snapshot: OpenSnapshot | undefined;
  #openedMs = 0;
  #isEnded = false;

  constructor(context: ReadContext) {
    this.#context = context;
  }

  /** Undefined while nothing has been read. */
  get readVersion(): number | undefined {
    return this.#snapshot?.version;
  }

  get(key: Bytes, isolation: 'conflicting' | 'snapshot' = 'conflicting'): Promise<Bytes | undefined> {
    return this.#answer(() => {
      checkKeyLength(key.length);
      return this.readKey(key, isolation);
    });
  }

  range(range: Range, options: RangeOptions): Promise<Row[]> {
    return this.#answer(() => {
      checkRange(range);
      checkRows(options.limit);
      return this.readRange(range, options);
    });
  }

  end(): void {
    this.#isEnded = true;
    this.#snapshot?.close();
  }

  protected abstract readKey(key: Bytes, isolation: 'conflicting' | 'snapshot'): Bytes | undefined;

  protected abstract readRange(range: Range, options: RangeOptions): Row[];

  protected open(): OpenSnapshot {
    this.checkOpen();
    if (this.#snapshot === undefined) {
      this.#snapshot = this.#context.open();
      this.#openedMs = this.#context.clock.monotonic();
    } else {
      this.checkAge();
    }
    return this.#snapshot;
  }

  protected checkOpen(): void {
    assert(!this.#isEnded, 'a transaction is not used after its work has ended');
  }

  /** The clock starts with the first read. */
  checkAge(): void {
    if (this.#snapshot === undefined) return;
    const ageMs = this.#context.clock.monotonic() - this.#openedMs;
    if (ageMs > storeLimits.transactionMsMax) {
      throw new GkvError(
        'transaction_too_old',
        `a transaction may take ${storeLimits.transactionMsMax} ms from its first read, not ${Math.round(ageMs)}`,
      );
    }
  }

  /** The read happens now, in the order of the caller's calls; only its answer may come later. */
  #answer<T>(read: () => T): Promise<T> {
    try {
      const value = read();
      const interference = this.#context.interfere?.();
      return interference === undefined ? Promise.resolve(value) : interference.then(() => value);
    } catch (error) {
      return Promise.reject(asError(error));
    }
  }
}

/** The reads of `Store.read`. */
export class OptimisticSnapshot extends SnapshotReads {
  protected override readKey(key: Bytes): Bytes | undefined {
    return this.open().base.get(key);
  }

  protected override readRange({ start, end }: Range, { limit, order = 'forward' }: RangeOptions): Row[] {
    const { base } = this.open();
    return Buffer.compare(start, end) < 0 ? base.range(start, end, limit, order) : [];
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new GkvError('internal', `a read threw ${String(error)}`);
}
