/**
 * What a transaction has written so far: overlaid on its reads, applied by its commit. Made for many writes and few
 * range reads; keys are only sorted when a range is read or cleared.
 */
import { assert } from '../../core/errors.ts';
import { type Bytes, versionstampBytes } from '../store.ts';
import { addLittleEndian } from './addition.ts';
import { RangeSet, type Span } from './ranges.ts';
import { SortedKeys } from './sortedKeys.ts';
import { after, type Text, textOf } from './text.ts';

/** What a write still waits for before its value is known. */
export type Pending =
  { readonly kind: 'sum'; readonly deltas: Bytes[] } | { readonly kind: 'stamp'; readonly offset: number; readonly deltas: Bytes[] };

/** One key's outcome. A `value` of undefined clears the key; it means nothing while something is pending. */
export interface Write {
  readonly key: Bytes;
  value: Bytes | undefined;
  pending: Pending | undefined;
}

interface StampedKey {
  readonly prefix: Bytes;
  readonly suffix: Bytes;
  readonly value: Bytes;
  /** How many range clears came before; later ones may take the key away again. */
  readonly clearsBefore: number;
}

export class WriteBuffer {
  /** Wins over `cleared`: a key of both was written after it was cleared. */
  readonly writes = new Map<Text, Write>();
  readonly cleared = new RangeSet();
  readonly #order = new SortedKeys();
  readonly #stampedKeys: StampedKey[] = [];
  /** prefix → greatest suffix, of the versionstamped keys. */
  readonly #stampedPrefixes = new Map<Text, Text>();
  readonly #clearsInOrder: Span[] = [];

  get isEmpty(): boolean {
    return this.writes.size === 0 && this.#stampedKeys.length === 0 && this.cleared.spans.length === 0;
  }

  set(key: Bytes, value: Bytes): void {
    this.#put(textOf(key), key, value, undefined);
  }

  clear(key: Bytes): void {
    this.#put(textOf(key), key, undefined, undefined);
  }

  clearRange(span: Span): void {
    for (const text of this.#order.remove(span.start, span.end)) this.writes.delete(text);
    this.cleared.add(span);
    this.#clearsInOrder.push(span);
  }

  add(key: Bytes, delta: Bytes): void {
    const text = textOf(key);
    const before = this.lookup(text);
    if (before === undefined) this.#put(text, key, undefined, { kind: 'sum', deltas: [delta] });
    else if (before.pending === undefined) this.#put(text, key, addLittleEndian(before.value, delta), undefined);
    else appendDelta(before.pending.deltas, delta);
  }

  setVersionstampedKey(prefix: Bytes, suffix: Bytes, value: Bytes): void {
    this.#stampedKeys.push({ prefix, suffix, value, clearsBefore: this.#clearsInOrder.length });
    const prefixText = textOf(prefix);
    const suffixText = textOf(suffix);
    const greatest = this.#stampedPrefixes.get(prefixText);
    if (greatest === undefined || greatest < suffixText) this.#stampedPrefixes.set(prefixText, suffixText);
  }

  setVersionstampedValue(key: Bytes, value: Bytes, offset: number): void {
    this.#put(textOf(key), key, value, { kind: 'stamp', offset, deltas: [] });
  }

  /** What this transaction has done to the key; undefined if nothing. */
  lookup(text: Text): Omit<Write, 'key'> | undefined {
    return this.writes.get(text) ?? (this.cleared.has(text) ? { value: undefined, pending: undefined } : undefined);
  }

  /** The written keys of a span, ascending. */
  writtenIn({ start, end }: Span): Text[] {
    return this.writes.size === 0 ? [] : this.#order.between(start, end);
  }

  /** The parts of `span` whose content this transaction does not determine by itself. */
  undetermined(span: Span): Span[] {
    const parts: Span[] = [];
    for (const gap of this.cleared.gaps(span)) {
      let start = gap.start;
      for (const text of this.writtenIn(gap)) {
        if (this.writes.get(text)?.pending?.kind === 'sum') continue;
        if (start < text) parts.push({ start, end: text });
        start = after(text);
      }
      if (start < gap.end) parts.push({ start, end: gap.end });
    }
    return parts;
  }

  /** Whether a versionstamped key may come to lie in `span`, when the commit's version is above `readVersion`. */
  mayStampInto(span: Span, readVersion: number): boolean {
    for (const [prefix, suffix] of this.#stampedPrefixes) {
      const least = prefix + textOf(versionstamp(readVersion + 1, 0));
      const greatest = prefix + '\xff'.repeat(versionstampBytes) + suffix;
      if (span.start <= greatest && least < span.end) return true;
    }
    return false;
  }

  /**
   * Gives every pending write its value. `stored` answers what the commits before this one have left at a key. After
   * that, `writes` over `cleared` is the whole effect.
   */
  settle(stamp: Bytes, stored: (text: Text, key: Bytes) => Bytes | undefined): void {
    for (const [text, write] of this.writes) {
      if (write.pending !== undefined) settleWrite(write, write.pending, stamp, () => stored(text, write.key));
    }
    for (const { prefix, suffix, value, clearsBefore } of this.#stampedKeys) {
      const key = Buffer.allocUnsafe(prefix.length + stamp.length + suffix.length);
      key.set(prefix);
      key.set(stamp, prefix.length);
      key.set(suffix, prefix.length + stamp.length);
      const text = textOf(key);
      const isCleared =
        clearsBefore < this.#clearsInOrder.length &&
        this.#clearsInOrder.slice(clearsBefore).some(({ start, end }) => start <= text && text < end);
      if (!isCleared) this.#put(text, key, value, undefined);
    }
  }

  #put(text: Text, key: Bytes, value: Bytes | undefined, pending: Pending | undefined): void {
    const before = this.writes.get(text);
    if (before === undefined) {
      this.writes.set(text, { key, value, pending });
      this.#order.add(text);
    } else {
      before.value = value;
      before.pending = pending;
    }
  }
}

/** 10 bytes: the commit's version and its place among the transactions that committed together, big-endian. */
export function versionstamp(version: number, order: number): Bytes {
  const stamp = Buffer.allocUnsafe(versionstampBytes);
  stamp.writeUInt32BE(Math.floor(version / 2 ** 32), 0);
  stamp.writeUInt32BE(version % 2 ** 32, 4);
  stamp.writeUInt16BE(order, 8);
  return stamp;
}

/** What `deltas` make of a stored value, one after the other. */
export function sumOf(stored: Bytes | undefined, deltas: readonly Bytes[]): Bytes | undefined {
  return deltas.reduce<Bytes | undefined>(addLittleEndian, stored);
}

function appendDelta(deltas: Bytes[], delta: Bytes): void {
  const last = deltas.at(-1);
  if (last?.length === delta.length) deltas[deltas.length - 1] = addLittleEndian(last, delta);
  else deltas.push(delta);
}

function settleWrite(write: Write, pending: Pending, stamp: Bytes, stored: () => Bytes | undefined): void {
  switch (pending.kind) {
    case 'sum':
      write.value = sumOf(stored(), pending.deltas);
      break;
    case 'stamp': {
      assert(write.value !== undefined, 'a versionstamped value has a value');
      // A copy: the run before this one may have handed in the same array, and its commit may yet be stored.
      const stamped = Buffer.allocUnsafe(write.value.length);
      stamped.set(write.value);
      stamped.set(stamp, pending.offset);
      write.value = sumOf(stamped, pending.deltas);
      break;
    }
  }
  write.pending = undefined;
}

export function spanOf(start: Bytes, end: Bytes): Span {
  return { start: textOf(start), end: textOf(end) };
}
