import { type Base } from '../optimistic/merge.ts';
import { type Span } from '../optimistic/ranges.ts';
import { after, bytesOf, type Text, textOf } from '../optimistic/text.ts';
import { versionstamp, type WriteBuffer } from '../optimistic/writeBuffer.ts';
import { type Bytes } from '../store.ts';
import { type KeyValue } from './environment.ts';

/** Rows looked at in one go, to find what a range clear removes. */
const clearedPageRows = 4_096;

/** Transactions that one LMDB commit makes together, as if one after the other. */
export class Group {
  readonly version: number;
  /** To be made in this order. */
  readonly writes: KeyValue[] = [];
  readonly #base: Base;
  #size = 0;
  /** What the members so far make of the keys they write. Filled when there is a second one to read it. */
  readonly #made = new Map<Text, Bytes | undefined>();

  /** `base` holds everything that was committed before. */
  constructor(version: number, base: Base) {
    this.version = version;
    this.#base = base;
  }

  /** Settles what the transaction left open, and takes its writes over. */
  add(buffer: WriteBuffer): void {
    if (this.#size === 1) this.#remember(this.writes);
    buffer.settle(versionstamp(this.version, this.#size), (text, key) =>
      this.#made.has(text) ? this.#made.get(text) : this.#base.get(key),
    );
    const writes: KeyValue[] = [];
    for (const span of buffer.cleared.spans) {
      for (const text of this.#keysIn(span)) {
        if (!buffer.writes.has(text)) writes.push({ key: bytesOf(text), value: undefined });
      }
    }
    for (const write of buffer.writes.values()) writes.push(write);
    for (const write of writes) this.writes.push(write);
    if (this.#size > 0) this.#remember(writes);
    this.#size += 1;
  }

  #remember(writes: readonly KeyValue[]): void {
    for (const { key, value } of writes) this.#made.set(textOf(key), value);
  }

  *#keysIn({ start, end }: Span): Generator<Text> {
    for (const text of this.#made.keys()) if (start <= text && text < end) yield text;
    const endBytes = bytesOf(end);
    for (let from = start; ;) {
      const page = this.#base.range(bytesOf(from), endBytes, clearedPageRows, 'forward');
      for (const { key } of page) yield textOf(key);
      const last = page.at(-1);
      if (last === undefined || page.length < clearedPageRows) return;
      from = after(textOf(last.key));
    }
  }
}
