import { asBuffer } from './bytes.ts';
import { assert } from './errors.ts';

declare const sumBrand: unique symbol;

/**
 * What a set of writes adds up to, modulo 2^384: 48 bytes, little-endian, [count 8 | bytes 8 | keyed digest 32]. The
 * sum of a set does not depend on the order, and taking an element away is adding its negative.
 */
export type Sum = Uint8Array & { readonly [sumBrand]: true };

const sumBytes = 48;

export function parseSum(bytes: Uint8Array): Sum {
  assert(bytes.length === sumBytes, `sum has ${bytes.length} bytes, must have 48`);
  return bytes as Sum; // minted here alone
}

export function zeroSum(): Sum {
  return parseSum(Buffer.allocUnsafe(sumBytes).fill(0)); // from Buffer's pool: there are many
}

/** The element of one write: count 1, its length in bytes, and its keyed digest (32 bytes, one char a byte) read as little-endian. */
export function elementSum(lengthBytes: number, digest: string): Sum {
  const bytes = Buffer.allocUnsafe(sumBytes);
  bytes.writeUInt32LE(1, 0);
  bytes.writeUInt32LE(0, 4);
  bytes.writeUInt32LE(lengthBytes, 8);
  bytes.writeUInt32LE(0, 12);
  bytes.write(digest, 16, 32, 'latin1');
  return parseSum(bytes);
}

/** target += delta, modulo 2^384, in place. */
export function addInto(target: Sum, delta: Sum): void {
  let carry = 0;
  for (let i = 0; i < sumBytes; i += 1) {
    carry += (target[i] ?? 0) + (delta[i] ?? 0);
    target[i] = carry & 0xff;
    carry >>= 8;
  }
}

/** target −= delta, modulo 2^384, in place. */
export function subtractFrom(target: Sum, delta: Sum): void {
  let borrow = 0;
  for (let i = 0; i < sumBytes; i += 1) {
    const difference = (target[i] ?? 0) - (delta[i] ?? 0) - borrow;
    target[i] = difference & 0xff;
    borrow = difference < 0 ? 1 : 0;
  }
}

export function isZeroSum(sum: Sum): boolean {
  return sum.every((byte) => byte === 0);
}

/** Writes in the set; only for sums of whole sets, not of differences. */
export function countOf(sum: Sum): number {
  return Number(asBuffer(sum).readBigUInt64LE(0));
}

/** Bytes of keys and values in the set; only for sums of whole sets. */
export function bytesOf(sum: Sum): number {
  return Number(asBuffer(sum).readBigUInt64LE(8));
}
