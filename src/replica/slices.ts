import { hasCode } from '../core/errors.ts';
import { type Range, type Store, type Transaction } from '../store/store.ts';

/** What one transaction did of a range. */
export interface Slice {
  readonly changed: number;
  /** Where to go on; undefined where nothing is left. */
  readonly next: Uint8Array | undefined;
}

/** Rows that one transaction looks at, and so what it takes away at the most. */
const sliceRowsMax = 200;

/**
 * Goes over a range in transactions of their own, until the signal aborts. Where one of them is too large for the store it looks at half as many rows, and so do
 * those behind it. Returns how many keys changed.
 */
export async function inSlices(
  store: Store,
  { start, end }: Range,
  signal: AbortSignal,
  work: (tx: Transaction, left: Range, rows: number) => Promise<Slice>,
): Promise<number> {
  let [changed, rows] = [0, sliceRowsMax];
  for (let from: Uint8Array | undefined = start; from !== undefined && !signal.aborted;) {
    const left: Range = { start: from, end };
    try {
      const slice: Slice = await store.transact((tx) => work(tx, left, rows));
      changed += slice.changed;
      from = slice.next;
    } catch (error) {
      if (rows === 1 || !hasCode(error, 'transaction_too_large')) throw error;
      rows = Math.ceil(rows / 2);
    }
  }
  return changed;
}
