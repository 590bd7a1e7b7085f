import { type Bytes, type Range } from '../store.ts';

/** FoundationDB takes values up to 100,000 bytes. */
export const partBytes = 90_000;

/** A range of FoundationDB's keys. */
export interface Span {
  readonly start: Buffer;
  readonly end: Buffer;
}

/**
 * Where rows lie: prefix ‖ 0x00 ‖ key holds the value, or its first `partBytes` bytes; prefix ‖ 0x01 ‖ name of key ‖ part u16 hold the
 * rest, counted from 1. A first part of exactly `partBytes` bytes says that there may be more, so smaller values cost nothing.
 * A name is the key with 0x00 as 0x00 0xff, and 0x00 behind it: none is the beginning of another, and their order is that of the keys.
 */
export class Layout {
  readonly #rows: Buffer;
  readonly #parts: Buffer;
  readonly #end: Buffer;

  constructor(prefix: Bytes) {
    this.#rows = Buffer.concat([prefix, Buffer.of(0)]);
    this.#parts = Buffer.concat([prefix, Buffer.of(1)]);
    this.#end = Buffer.concat([prefix, Buffer.of(2)]);
  }

  row(key: Bytes): Buffer {
    const row = Buffer.allocUnsafe(this.#rows.length + key.length);
    row.set(this.#rows, 0);
    row.set(key, this.#rows.length);
    return row;
  }

  rows({ start, end }: Range): Span {
    return { start: this.row(start), end: this.row(end) };
  }

  keyOf(row: Buffer): Buffer {
    return row.subarray(this.#rows.length);
  }

  /** The parts of one key's value behind its first. */
  partsOf(key: Bytes): Span {
    const name = this.#name(key);
    return { start: name, end: Buffer.concat([name, Buffer.of(0xff)]) };
  }

  part(key: Bytes, number: number): Buffer {
    return Buffer.concat([this.#name(key), Buffer.of(number >> 8, number & 0xff)]);
  }

  /** The parts of every key in the range. */
  partsIn({ start, end }: Range): Span {
    return { start: this.#name(start), end: this.#name(end) };
  }

  /** Everything of this store. */
  get all(): Span {
    return { start: this.#rows, end: this.#end };
  }

  #name(key: Bytes): Buffer {
    const name: number[] = [];
    for (const byte of key) {
      name.push(byte);
      if (byte === 0) name.push(0xff);
    }
    return Buffer.concat([this.#parts, Buffer.from(name), Buffer.of(0)]);
  }
}

/** What a value is stored as: its first part, and the others. */
export function partsOfValue(value: Bytes): { readonly first: Bytes; readonly others: readonly Bytes[] } {
  if (value.length < partBytes) return { first: value, others: [] };
  const others: Bytes[] = [];
  for (let at = partBytes; at < value.length; at += partBytes) others.push(value.subarray(at, at + partBytes));
  return { first: value.subarray(0, partBytes), others };
}
