import { GkvError } from '../core/errors.ts';
import { type Range, storeLimits } from './store.ts';

const { keyBytesMax, valueBytesMax, transactionBytesMax, rowsMax } = storeLimits;

export function checkKeyLength(length: number): void {
  if (length < 1 || length > keyBytesMax) {
    throw new GkvError('too_large', `a store key has 1 to ${keyBytesMax} bytes, not ${length}`);
  }
}

export function checkValueLength(length: number): void {
  if (length > valueBytesMax) {
    throw new GkvError('too_large', `a store value has at most ${valueBytesMax} bytes, not ${length}`);
  }
}

/** The end of a range may be one byte longer than a key: it is often a key's successor. */
export function checkRange({ start, end }: Range): void {
  if (start.length > keyBytesMax + 1 || end.length > keyBytesMax + 1) {
    const length = Math.max(start.length, end.length);
    throw new GkvError('too_large', `the bounds of a range have at most ${keyBytesMax + 1} bytes, not ${length}`);
  }
}

export function checkRows(limit: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > rowsMax) {
    throw new GkvError('too_large', `the limit of a range read is 1 to ${rowsMax} rows, not ${limit}`);
  }
}

/** Adds up what a transaction writes and declares. Once over the limit it stays over: the commit checks again. */
export class TransactionBytes {
  #total = 0;

  get total(): number {
    return this.#total;
  }

  charge(bytes: number): void {
    this.#total += bytes;
    this.check();
  }

  check(): void {
    if (this.#total > transactionBytesMax) {
      throw new GkvError(
        'transaction_too_large',
        `a transaction has at most ${transactionBytesMax} bytes of keys, values and conflict ranges, not ${this.#total}`,
      );
    }
  }
}
