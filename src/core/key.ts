import { emptyBytes } from './bytes.ts';
import { GkvError } from './errors.ts';
import { limits } from './limits.ts';

declare const keyBrand: unique symbol;

/** A key: 1..1,024 bytes, any bytes. */
export type Key = Uint8Array & { readonly [keyBrand]: true };

/** Checks the length; the bytes are taken over, not copied. Errors: `malformed` when empty, `too_large`. */
export function parseKey(bytes: Uint8Array): Key {
  if (bytes.length === 0) throw new GkvError('malformed', 'key is empty: a key has 1 to 1024 bytes');
  if (bytes.length > limits.keyBytesMax) {
    throw new GkvError('too_large', `key has ${bytes.length} bytes: at most ${limits.keyBytesMax} are allowed`);
  }
  return bytes as Key; // the only place that mints a Key
}

/**
 * Keys from `start` (included; empty: from the first) to `end` (excluded; null: past the last). Bounds are byte
 * strings up to one byte longer than a key, so that the successor of the greatest key is a bound too.
 */
export interface KeyRange {
  readonly start: Uint8Array;
  readonly end: Uint8Array | null;
}

export const allKeys: KeyRange = { start: emptyBytes, end: null };

/** The keys that begin with `prefix`. An empty prefix is all keys. */
export function prefixRange(prefix: Uint8Array): KeyRange {
  return { start: prefix, end: afterPrefix(prefix) };
}

/** The least byte string that is greater than all that begin with `prefix`; null where there is none. */
function afterPrefix(prefix: Uint8Array): Uint8Array | null {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length -= 1;
  if (length === 0) return null;
  const end = Buffer.from(prefix.subarray(0, length));
  end.writeUInt8(end.readUInt8(length - 1) + 1, length - 1);
  return end;
}

/** The least byte string that is greater than `key`. */
export function successorKey(key: Uint8Array): Uint8Array {
  const next = Buffer.alloc(key.length + 1);
  next.set(key);
  return next;
}

/** Whether what the one takes from start to end lies within the other, also where there is nothing in it. */
export function rangeContains(outer: KeyRange, { start, end }: KeyRange): boolean {
  if (Buffer.compare(start, outer.start) < 0) return false;
  return outer.end === null || (end !== null && Buffer.compare(end, outer.end) <= 0);
}

export function inRange(key: Uint8Array, range: KeyRange): boolean {
  return Buffer.compare(key, range.start) >= 0 && (range.end === null || Buffer.compare(key, range.end) < 0);
}
