import { type Database, type Transaction } from 'lmdb';
import { type Base, type Order } from '../optimistic/merge.ts';
import { type Bytes, type Row } from '../store.ts';
import { failureOf } from './failures.ts';

/** Reads of one LMDB snapshot. lmdb-js copies what it returns out of the map, so rows outlive the snapshot. */
export class LmdbBase implements Base {
  readonly #rows: Database<Buffer, Uint8Array>;
  readonly #options: { readonly transaction: Transaction };

  constructor(rows: Database<Buffer, Uint8Array>, transaction: Transaction) {
    this.#rows = rows;
    this.#options = { transaction };
  }

  get(key: Bytes): Bytes | undefined {
    try {
      return this.#rows.get(key, this.#options);
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

/** LMDB takes no empty key, not even as a bound. */
const leastKey = Buffer.of(0);
