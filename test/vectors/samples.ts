/** The fixed inputs of all vectors. */
import { be, cat, hex, sha256, text, u16, u32, u8, u64 } from './bytes.ts';

const zero32 = Buffer.alloc(32);
export const meshId = sha256(text('vector mesh id'));
export const meshKey = sha256(text('vector mesh key'));
export const clusterId = hex('00112233445566778899aabbccddeeff');
export const nonce = hex('f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff');

/** physical 1,700,000,000,123 ms, logical 7, instance 0102030405060708. */
export const version = cat(be(1_700_000_000_123, 6), u16(7), hex('0102030405060708'));
export const accepted = cat(be(1_700_000_000_456, 6), u16(0), hex('1112131415160001'));
export const expiresAt = 1_800_000_000_000;
export const leaf = sha256(text('vector leaf grant'));

export interface Statement {
  readonly tombstone: boolean;
  readonly version: Buffer;
  readonly expiresAt: number;
  readonly leaf: Buffer;
  readonly key: Buffer;
  readonly value: Buffer;
}

export const statements = {
  set: { tombstone: false, version, expiresAt: 0, leaf: zero32, key: text('hi'), value: text('yo') },
  empty: { tombstone: false, version, expiresAt: 0, leaf: zero32, key: hex('00ff80'), value: text('') },
  expiring: { tombstone: false, version, expiresAt, leaf, key: text('/cities/de/1'), value: text('Berlin') },
  tombstone: { tombstone: true, version, expiresAt: 0, leaf: zero32, key: text('hi'), value: text('') },
} satisfies Record<string, Statement>;

/** format | flags | version | expiresAt | leaf | keyLen, key | valueLen | SHA-256(value). */
export function bodyOf(write: Statement): Buffer {
  const { tombstone, key, value } = write;
  return cat(
    u8(1),
    u8(tombstone ? 1 : 0),
    write.version,
    u64(write.expiresAt),
    write.leaf,
    u16(key.length),
    key,
    u32(value.length),
    sha256(value),
  );
}

export function writeIdOf(write: Statement): Buffer {
  return sha256(text('gkvmesh/write/v1\0'), meshId, bodyOf(write));
}
