import { assert, type GkvError, hasCode } from '../../core/errors.ts';
import { type Bytes, type Range, type RangeOptions, type Row, type Transaction, versionstampBytes } from '../store.ts';
import { ReadConflicts } from './conflicts.ts';
import { checkKeyLength, checkRange, checkValueLength, TransactionBytes } from '../limits.ts';
import { pendingValue, readMerged, unreadable } from './merge.ts';
import { type Span } from './ranges.ts';
import { SnapshotReads } from './snapshot.ts';
import { after, type Text, textOf } from './text.ts';
import { spanOf, WriteBuffer } from './writeBuffer.ts';

/** Takes ownership of every array that is handed in: the caller must not change it any more. */
export class OptimisticTransaction extends SnapshotReads implements Transaction {
  readonly buffer = new WriteBuffer();
  readonly reads = new ReadConflicts();
  readonly #bytes = new TransactionBytes();
  #unreadable: GkvError | undefined;

  /** Of keys, values and conflict ranges. */
  get bytes(): number {
    return this.#bytes.total;
  }

  set(key: Bytes, value: Bytes): void {
    this.#charge(key, value);
    this.buffer.set(key, value);
  }

  clear(key: Bytes): void {
    this.#charge(key);
    this.buffer.clear(key);
  }

  clearRange(range: Range): void {
    this.checkOpen();
    checkRange(range);
    const span = spanOf(range.start, range.end);
    if (span.start >= span.end) return;
    this.#bytes.charge(span.start.length + span.end.length);
    this.buffer.clearRange(span);
  }

  add(key: Bytes, delta: Bytes): void {
    this.#charge(key, delta);
    this.buffer.add(key, delta);
  }

  setVersionstampedKey(prefix: Bytes, suffix: Bytes, value: Bytes): void {
    this.checkOpen();
    checkKeyLength(prefix.length + versionstampBytes + suffix.length);
    checkValueLength(value.length);
    this.#bytes.charge(prefix.length + versionstampBytes + suffix.length + value.length);
    this.buffer.setVersionstampedKey(prefix, suffix, value);
  }

  setVersionstampedValue(key: Bytes, value: Bytes, offset: number): void {
    assert(offset >= 0 && offset + versionstampBytes <= value.length, `no room for a versionstamp at ${offset}`);
    this.#charge(key, value);
    this.buffer.setVersionstampedValue(key, value, offset);
  }

  addReadConflict(range: Range): void {
    checkRange(range);
    this.open();
    this.#conflictWith(spanOf(range.start, range.end));
  }

  /** Throws what the commit must not be made for. */
  checkCommittable(): void {
    this.#bytes.check();
    if (this.#unreadable !== undefined) throw this.#unreadable;
    this.checkAge();
  }

  protected override readKey(key: Bytes, isolation: 'conflicting' | 'snapshot'): Bytes | undefined {
    return this.#remembering(() => this.#readKey(key, isolation));
  }

  protected override readRange(range: Range, options: RangeOptions): Row[] {
    return this.#remembering(() => this.#readRange(range, options));
  }

  /** On FoundationDB a read of what waits for its stamp fails the commit too, whoever swallows the error. */
  #remembering<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (hasCode(error, 'store_unreadable')) this.#unreadable ??= error;
      throw error;
    }
  }

  #readKey(key: Bytes, isolation: 'conflicting' | 'snapshot'): Bytes | undefined {
    const { base, version } = this.open();
    const text = textOf(key);
    if (this.buffer.isEmpty) {
      this.#conflictWithKey(text, isolation);
      return base.get(key);
    }
    if (this.buffer.mayStampInto({ start: text, end: after(text) }, version)) throw unreadable(text);
    const write = this.buffer.lookup(text);
    if (write !== undefined && write.pending === undefined) return write.value;
    const stored = base.get(key);
    const value = write === undefined ? stored : pendingValue(write, text, stored);
    this.#conflictWithKey(text, isolation);
    return value;
  }

  #readRange(range: Range, options: RangeOptions): Row[] {
    const { base, version } = this.open();
    const { limit, order = 'forward', isolation = 'conflicting' } = options;
    const span = spanOf(range.start, range.end);
    if (span.start >= span.end) return [];
    const rows = this.buffer.isEmpty ? base.range(range.start, range.end, limit, order) : readMerged(base, this.buffer, span, limit, order);
    const seen = seenOf(span, rows, options);
    if (this.buffer.mayStampInto(seen, version)) throw unreadable(seen.start);
    if (isolation === 'conflicting') this.#conflictWith(seen);
    return rows;
  }

  #conflictWithKey(text: Text, isolation: 'conflicting' | 'snapshot'): void {
    if (isolation === 'snapshot') return;
    this.#bytes.charge(2 * text.length + 1);
    this.reads.keys.push(text);
  }

  #conflictWith(span: Span): void {
    for (const part of this.buffer.isEmpty ? [span] : this.buffer.undetermined(span)) {
      if (part.start >= part.end) continue;
      this.#bytes.charge(part.start.length + part.end.length);
      this.reads.spans.push(part);
    }
  }

  #charge(key: Bytes, value?: Bytes): void {
    this.checkOpen();
    checkKeyLength(key.length);
    if (value !== undefined) checkValueLength(value.length);
    this.#bytes.charge(key.length + (value?.length ?? 0));
  }
}

/** The part of `span` that a range read has looked at: as far as its last row when the limit ended it. */
function seenOf(span: Span, rows: readonly Row[], { limit, order = 'forward' }: RangeOptions): Span {
  const last = rows.at(-1);
  if (last === undefined || rows.length < limit) return span;
  const text = textOf(last.key);
  return order === 'forward' ? { start: span.start, end: after(text) } : { start: text, end: span.end };
}
