import { type Bytes } from '../store.ts';

/**
 * Little-endian unsigned sum modulo 2^(8·delta.length). What is stored counts as zero when absent, and is cut or
 * zero-extended to the delta's length: FoundationDB's ADD.
 */
export function addLittleEndian(stored: Bytes | undefined, delta: Bytes): Bytes {
  const sum = Buffer.allocUnsafe(delta.length);
  if (stored === undefined) {
    sum.set(delta);
    return sum;
  }
  let carry = 0;
  for (let at = 0; at < delta.length; at += 1) {
    carry += (stored[at] ?? 0) + (delta[at] ?? 0);
    sum[at] = carry;
    carry >>>= 8;
  }
  return sum;
}
