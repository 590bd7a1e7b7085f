import { type Database, type Transaction } from 'lmdb';
import { type Base, type Order } from '../optimistic/merge.ts';
import { type Bytes, type Row } from '../store.ts';
import { failureOf } from './failures.ts';

/** lmdb-js' own `get` is this and a copy into a buffer of its own, which costs as much as a small value's lookup. */
interface FastRows {
  /** Valid until the next read. It is longer than its `length` says. */
  getBinaryFast(key: Bytes, options: { readonly transaction: Transaction }): Buffer | undefined;
}

/** Reads of one LMDB snapshot. What they return is copied out of the map, so rows outlive the snapshot. */
export class LmdbBase implements Base {
  readonly #rows: Database<Buffer, Uint8Array> & FastRows;
  readonly #options: { readonly transaction: Transaction };

  constructor(rows: Database<Buffer, Uint8Array>, transaction: Transaction) {
    this.#rows = rows; // its types leave the options of getBinaryFast out
    this.#options = { transaction };
  }

  get(key: Bytes): Bytes | undefined {
    try {
      const bytes = this.#rows.getBinaryFast(key, this.#options);
      return bytes === undefined ? undefined : copyOf(bytes);
    } catch (error) {
      throw failureOf(error, 'a read failed');
    }
  }

  range(start: Bytes, end: Bytes, limit: number, order: Order): Row[] {
    const first = start.length === 0 ? leastKey : start;
    const bounds =
      order === 'forward' ? { start: first, end } : { reverse: true, start: end, exclusiveStart: true, end: first, inclusiveEnd: true };
    const rows: Row[] = [];
    try {
      for (const row of this.#rows.getRange({ ...bounds, limit, ...this.#options })) rows.push(row);
    } catch (error) {
      throw failureOf(error, 'a range read failed');
    }
    return rows;
  }
}

/** From Buffer's pool where it is small. */
function copyOf({ buffer, byteOffset, length }: Buffer): Buffer {
  const copy = Buffer.allocUnsafe(length);
  copy.set(new Uint8Array(buffer, byteOffset, length));
  return copy;
}

/** LMDB takes no empty key, not even as a bound. */
const leastKey = Buffer.of(0);
