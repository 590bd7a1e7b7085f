import { assert } from '../../core/errors.ts';
import { asBuffer } from '../../core/bytes.ts';
import { checkKeyLength, checkRange, checkRows, checkValueLength, TransactionBytes } from '../limits.ts';
import { type Bytes, type Range, type RangeOptions, type Row, type Transaction, versionstampBytes } from '../store.ts';
import { type Driver, holding, type NativeTransaction } from './driver.ts';
import { portError } from './failures.ts';
import { type Layout, partBytes, partsOfValue } from './layout.ts';
import { readRow, readRows } from './reads.ts';

/** One run of a transaction's work on the driver's transaction, which outlives it for the next run. */
export class FdbTransaction implements Transaction {
  readonly #driver: Driver;
  readonly #native: NativeTransaction;
  readonly #view: NativeTransaction;
  readonly #layout: Layout;
  readonly #mayBeLarge: (key: Bytes) => boolean;
  readonly #bytes = new TransactionBytes();
  #snapshot: Promise<unknown> | undefined;
  #isEnded = false;

  constructor(driver: Driver, native: NativeTransaction, layout: Layout, mayBeLarge: (key: Bytes) => boolean) {
    this.#driver = driver;
    this.#native = native;
    this.#view = native.snapshot();
    this.#layout = layout;
    this.#mayBeLarge = mayBeLarge;
  }

  async get(key: Bytes, isolation: 'conflicting' | 'snapshot' = 'conflicting'): Promise<Bytes | undefined> {
    this.#checkOpen();
    checkKeyLength(key.length);
    return this.#read(readRow(this.#driver, this.#viewOf(isolation), this.#layout, key));
  }

  async range(range: Range, options: RangeOptions): Promise<Row[]> {
    this.#checkOpen();
    checkRange(range);
    checkRows(options.limit);
    return this.#read(readRows(this.#driver, this.#viewOf(options.isolation), this.#layout, range, options));
  }

  set(key: Bytes, value: Bytes): void {
    this.#charge(key, value);
    const { first, others } = partsOfValue(value);
    if (first.length === partBytes) {
      assert(this.#mayBeLarge(key), 'a row that was said to be small has a large value');
      this.#clearParts(key);
    }
    this.#native.set(this.#layout.row(key), asBuffer(first));
    others.forEach((part, index) => {
      this.#native.set(this.#layout.part(key, index + 1), asBuffer(part));
    });
  }

  clear(key: Bytes): void {
    this.#charge(key);
    this.#native.clear(this.#layout.row(key));
    this.#clearParts(key);
  }

  clearRange(range: Range): void {
    this.#checkOpen();
    checkRange(range);
    if (Buffer.compare(range.start, range.end) >= 0) return;
    this.#bytes.charge(range.start.length + range.end.length);
    const rows = this.#layout.rows(range);
    const parts = this.#layout.partsIn(range);
    this.#native.clearRange(rows.start, rows.end);
    this.#native.clearRange(parts.start, parts.end);
  }

  add(key: Bytes, delta: Bytes): void {
    this.#charge(key, delta);
    this.#native.atomicOpNative(this.#driver.MutationType.Add, this.#layout.row(key), asBuffer(delta));
  }

  setVersionstampedKey(prefix: Bytes, suffix: Bytes, value: Bytes): void {
    this.#checkOpen();
    checkKeyLength(prefix.length + versionstampBytes + suffix.length);
    checkValueLength(value.length);
    assert(value.length < partBytes, 'the value under a versionstamped key is small');
    this.#bytes.charge(prefix.length + versionstampBytes + suffix.length + value.length);
    const before = this.#layout.row(prefix);
    const offset = Buffer.alloc(4);
    offset.writeUInt32LE(before.length);
    const key = Buffer.concat([before, Buffer.alloc(versionstampBytes, 0xff), suffix, offset]);
    this.#native.atomicOpNative(this.#driver.MutationType.SetVersionstampedKey, key, asBuffer(value));
  }

  setVersionstampedValue(key: Bytes, value: Bytes, offset: number): void {
    assert(offset >= 0 && offset + versionstampBytes <= value.length, `no room for a versionstamp at ${offset}`);
    assert(value.length < partBytes, 'a versionstamped value is small');
    this.#charge(key, value);
    const place = Buffer.alloc(4);
    place.writeUInt32LE(offset);
    this.#native.atomicOpNative(this.#driver.MutationType.SetVersionstampedValue, this.#layout.row(key), Buffer.concat([value, place]));
  }

  addReadConflict(range: Range): void {
    this.#checkOpen();
    checkRange(range);
    if (Buffer.compare(range.start, range.end) >= 0) return;
    this.#bytes.charge(range.start.length + range.end.length);
    this.#takeSnapshot();
    const { start, end } = this.#layout.rows(range);
    this.#native.addReadConflictRange(start, end);
  }

  /** What must have happened before the commit. Throws what it must not be made for. */
  async readyToCommit(): Promise<void> {
    this.#bytes.check();
    await this.#snapshot;
  }

  end(): void {
    this.#isEnded = true;
  }

  #viewOf(isolation: 'conflicting' | 'snapshot' = 'conflicting'): NativeTransaction {
    return isolation === 'snapshot' ? this.#view : this.#native;
  }

  async #read<T>(reading: Promise<T>): Promise<T> {
    try {
      return await holding(this.#native, reading);
    } catch (error) {
      throw portError(error);
    }
  }

  /** A conflict range alone makes the client take no snapshot before the commit; it would guard nothing that happened before. */
  #takeSnapshot(): void {
    if (this.#snapshot !== undefined) return;
    this.#snapshot = holding(this.#native, this.#native.getReadVersion());
    this.#snapshot.catch(() => undefined); // awaited before the commit
  }

  #clearParts(key: Bytes): void {
    if (!this.#mayBeLarge(key)) return;
    const { start, end } = this.#layout.partsOf(key);
    this.#native.clearRange(start, end);
  }

  #charge(key: Bytes, value?: Bytes): void {
    this.#checkOpen();
    checkKeyLength(key.length);
    if (value !== undefined) checkValueLength(value.length);
    this.#bytes.charge(key.length + (value?.length ?? 0));
  }

  #checkOpen(): void {
    assert(!this.#isEnded, 'a transaction is not used after its work has ended');
  }
}
