import { asBuffer, ByteReader, equalBytes, writeU64 } from './bytes.ts';
import { GkvError } from './errors.ts';
import { parseKey, type Key } from './key.ts';
import { limits } from './limits.ts';
import { compareStamps, parseStamp, stampBytes, type Stamp } from './stamp.ts';

declare const writeIdBrand: unique symbol;
declare const grantIdBrand: unique symbol;

/** 32 bytes: SHA-256("gkvmesh/write/v1\0" ‖ meshId ‖ body). Covers every byte of the statement, and no signature. */
export type WriteId = Uint8Array & { readonly [writeIdBrand]: true };

/** 32 bytes: the id of the grant under which a write was made; all zero in an open mesh. */
export type GrantId = Uint8Array & { readonly [grantIdBrand]: true };

export const digestBytes = 32;

export function parseWriteId(bytes: Uint8Array): WriteId {
  if (bytes.length !== digestBytes) throw new GkvError('malformed', `write id has ${bytes.length} bytes, must have 32`);
  return bytes as WriteId; // minted here alone
}

export function parseGrantId(bytes: Uint8Array): GrantId {
  if (bytes.length !== digestBytes) throw new GkvError('malformed', `grant id has ${bytes.length} bytes, must have 32`);
  return bytes as GrantId; // minted here alone
}

/** The leaf grant of every write in an open mesh. */
export const grantZero: GrantId = parseGrantId(new Uint8Array(digestBytes));

/** The signature block of every write in an open mesh: its length, zero. */
export const signatureEmpty: Uint8Array = new Uint8Array(2);

/** An immutable statement about one key. `value` is empty for a tombstone; `expiresAt` in ms since the epoch, 0 = never. */
export interface Write {
  readonly key: Key;
  readonly version: Stamp;
  readonly tombstone: boolean;
  readonly expiresAt: number;
  readonly leaf: GrantId;
  readonly value: Uint8Array;
  /** The encoded signature block, its length in front. No part of the id. */
  readonly signature: Uint8Array;
}

/** SHA-256 of the empty string. */
const emptyDigest = Buffer.from('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 'hex');
const bodyFormat = 1;
const flagTombstone = 1;
const bodyFixedBytes = 1 + 1 + stampBytes + 8 + digestBytes + 2 + 4 + digestBytes;

/** What the body says: the write with its value's length and SHA-256 in place of the value, without a signature. */
export interface WriteBody {
  readonly key: Key;
  readonly version: Stamp;
  readonly tombstone: boolean;
  readonly expiresAt: number;
  readonly leaf: GrantId;
  readonly valueLength: number;
  readonly valueDigest: Uint8Array;
}

/**
 * Write body v1, to the byte: format u8=1 | flags u8 (bit0 tombstone) | version 16 | expiresAt u64 ms | leaf grant 32 |
 * keyLen u16, key | valueLen u32 | SHA-256(value) 32. Written at `offset` of `target`; returns the offset behind it.
 */
export function writeBodyTo(target: Buffer, offset: number, body: WriteBody): number {
  let at = target.writeUInt8(bodyFormat, offset);
  at = target.writeUInt8(body.tombstone ? flagTombstone : 0, at);
  target.set(body.version, at);
  at = writeU64(target, body.expiresAt, at + stampBytes);
  target.set(body.leaf, at);
  at = target.writeUInt16BE(body.key.length, at + digestBytes);
  target.set(body.key, at);
  at = target.writeUInt32BE(body.valueLength, at + body.key.length);
  target.set(body.valueDigest, at);
  return at + digestBytes;
}

export function bodyLength(keyLength: number): number {
  return bodyFixedBytes + keyLength;
}

export function encodeBody(body: WriteBody): Uint8Array {
  const bytes = Buffer.allocUnsafe(bodyLength(body.key.length));
  writeBodyTo(bytes, 0, body);
  return bytes;
}

/** Errors: `malformed` for everything that is not exactly one body; `too_large` for key or value over their limits. */
export function decodeBody(bytes: Uint8Array): WriteBody {
  const reader = new ByteReader(bytes, 'write body');
  const format = reader.u8();
  if (format !== bodyFormat) throw reader.fail(`format ${format} is unknown, 1 is known`);
  const flags = reader.u8();
  if (flags > flagTombstone) throw reader.fail(`flags ${flags} are unknown, 0 and 1 are known`);
  const version = parseStamp(reader.bytes(stampBytes));
  const expiresAt = reader.u64();
  const leaf = parseGrantId(reader.bytes(digestBytes));
  const key = parseKey(reader.bytes(reader.u16()));
  const valueLength = reader.u32();
  const valueDigest = reader.bytes(digestBytes);
  reader.end();
  if (valueLength === 0 && !equalBytes(valueDigest, emptyDigest)) throw reader.fail('an empty value whose digest is not that of nothing');
  const tombstone = flags === flagTombstone;
  checkShape({ tombstone, expiresAt, valueLength });
  return { key, version, tombstone, expiresAt, leaf, valueLength, valueDigest };
}

/** What no write may be: a tombstone with a value or an end, a value over the limit. */
export function checkShape(write: { tombstone: boolean; expiresAt: number; valueLength: number }): void {
  if (write.tombstone && (write.valueLength !== 0 || write.expiresAt !== 0)) {
    throw new GkvError('malformed', 'write: a tombstone has no value and does not expire');
  }
  if (write.valueLength > limits.valueBytesMax) {
    throw new GkvError('too_large', `value has ${write.valueLength} bytes: at most ${limits.valueBytesMax} are allowed`);
  }
}

/** Order between writes of one key: version, then id, bytewise; the greater wins. Total, and it covers every byte. */
export function compareWrites(a: { version: Stamp; id: WriteId }, b: { version: Stamp; id: WriteId }): number {
  const byVersion = compareStamps(a.version, b.version);
  return byVersion === 0 ? Buffer.compare(asBuffer(a.id), asBuffer(b.id)) : byVersion;
}
