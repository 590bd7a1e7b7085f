/** Byte strings put together by hand, from node:crypto alone: what the vectors are made with. Nothing of src is used here. */
import { createHash, createHmac } from 'node:crypto';

export const hex = (text: string): Buffer => Buffer.from(text, 'hex');
export const text = (value: string): Buffer => Buffer.from(value, 'latin1');
export const cat = (...parts: readonly Uint8Array[]): Buffer => Buffer.concat(parts);
export const sha256 = (...parts: readonly Uint8Array[]): Buffer =>
  createHash('sha256')
    .update(cat(...parts))
    .digest();
export const hmac = (key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer =>
  createHmac('sha256', key)
    .update(cat(...parts))
    .digest();

/** Big-endian, `bytes` long. */
export function be(value: number | bigint, bytes: number): Buffer {
  return hex(
    BigInt(value)
      .toString(16)
      .padStart(bytes * 2, '0'),
  );
}

export const u8 = (value: number): Buffer => be(value, 1);
export const u16 = (value: number): Buffer => be(value, 2);
export const u32 = (value: number): Buffer => be(value, 4);
export const u64 = (value: number | bigint): Buffer => be(value, 8);

/** A CBOR byte string; RFC 8949, major type 2, shortest length. */
export function cborBytes(value: Uint8Array): Buffer {
  if (value.length < 24) return cat(u8(0x40 + value.length), value);
  return value.length < 256 ? cat(u8(0x58), u8(value.length), value) : cat(u8(0x59), u16(value.length), value);
}
