import { asBuffer, ByteReader, equalBytes, writeU64 } from '../core/bytes.ts';
import { parseKey } from '../core/key.ts';
import { parseStamp, stampBytes } from '../core/stamp.ts';
import { checkShape, digestBytes, grantZero, parseGrantId, type Write } from '../core/write.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { shapeOf } from '../grant/signatureBlock.ts';
import { bodyOf } from './batch.ts';
import { type ReceivedWrite } from './proposal.ts';

const flags = { tombstone: 1, accepted: 2, expires: 4, leaf: 8 } as const;
const flagsKnown = 15;
/** Bytes of a write on the wire in front of its signature block, besides its key and value, at the most. */
const fieldBytesMax = 1 + stampBytes * 2 + 8 + digestBytes + 2 + 4;
const blockBytesMax = 2 + 2 + 32 * 8 + 64;

/**
 * Writes one behind the other, each: flags u8 | version 16 | accepted 16 if other than version | expiresAt u64 if any | leaf
 * 32 if not zero | keyLen u16, key | valueLen u32, value | signature block with its length u16 in front. The id is not sent: who
 * receives a write works it out.
 */
export function encodeWrites(writes: readonly ReceivedWrite[]): Buffer {
  let room = 0;
  for (const { write } of writes) room += fieldBytesMax + write.key.length + write.value.length + write.signature.length;
  const bytes = Buffer.allocUnsafe(room);
  let at = 0;
  for (const received of writes) at = writeTo(bytes, at, received);
  return bytes.subarray(0, at);
}

/** Most bytes that a write of such a key and value takes on the wire, with the longest signature block. */
export function wireLength(keyLength: number, valueLength: number): number {
  return fieldBytesMax + blockBytesMax + keyLength + valueLength;
}

function writeTo(bytes: Buffer, offset: number, { write, accepted }: ReceivedWrite): number {
  const withAccepted = !equalBytes(accepted, write.version);
  const withLeaf = !equalBytes(write.leaf, grantZero);
  let bits = write.tombstone ? flags.tombstone : 0;
  if (withAccepted) bits |= flags.accepted;
  if (write.expiresAt !== 0) bits |= flags.expires;
  if (withLeaf) bits |= flags.leaf;
  let at = bytes.writeUInt8(bits, offset);
  at = put(bytes, write.version, at);
  if (withAccepted) at = put(bytes, accepted, at);
  if (write.expiresAt !== 0) at = writeU64(bytes, write.expiresAt, at);
  if (withLeaf) at = put(bytes, write.leaf, at);
  at = put(bytes, write.key, bytes.writeUInt16BE(write.key.length, at));
  at = put(bytes, write.value, bytes.writeUInt32BE(write.value.length, at));
  return put(bytes, write.signature, at);
}

function put(target: Buffer, bytes: Uint8Array, offset: number): number {
  target.set(bytes, offset);
  return offset + bytes.length;
}

/**
 * Errors: `malformed` for everything that is not exactly a row of writes of a mesh of this kind, `too_large` for a key or value over its
 * limit.
 */
export function decodeWrites(bytes: Uint8Array, digests: MeshDigests): ReceivedWrite[] {
  const reader = new ByteReader(bytes, 'writes');
  const writes: ReceivedWrite[] = [];
  while (reader.left > 0) writes.push(readWrite(reader, digests));
  return writes;
}

function readWrite(reader: ByteReader, digests: MeshDigests): ReceivedWrite {
  const bits = reader.u8();
  if (bits > flagsKnown) throw reader.fail(`flags ${bits} are unknown`);
  const tombstone = (bits & flags.tombstone) !== 0;
  const version = parseStamp(reader.bytes(stampBytes));
  const accepted = (bits & flags.accepted) === 0 ? version : parseStamp(reader.bytes(stampBytes));
  const expiresAt = (bits & flags.expires) === 0 ? 0 : reader.u64();
  const leaf = (bits & flags.leaf) === 0 ? grantZero : parseGrantId(reader.bytes(digestBytes));
  if ((bits & flags.accepted) !== 0 && equalBytes(accepted, version)) throw reader.fail('an accepted stamp that is the version');
  if ((bits & flags.expires) !== 0 && expiresAt === 0) throw reader.fail('an expiry of zero');
  if ((bits & flags.leaf) !== 0 && equalBytes(leaf, grantZero)) throw reader.fail('a zero leaf grant');
  const key = parseKey(reader.bytes(reader.u16()));
  const valueLength = reader.u32();
  checkShape({ tombstone, expiresAt, valueLength });
  const value = reader.bytes(valueLength);
  if (digests.kind === 'granted' && equalBytes(leaf, grantZero)) throw reader.fail('no leaf grant: every write of a granted mesh has one');
  if (digests.kind === 'open' && !equalBytes(leaf, grantZero)) throw reader.fail('a leaf grant: an open mesh has none');
  const signature = digests.kind === 'open' ? readNoSignature(reader) : readSignature(reader);
  const write: Write = { key, version, tombstone, expiresAt, leaf, value, signature };
  return { write, id: digests.writeId(bodyOf(write)), accepted };
}

/** The whole block, its length u16 in front. */
function readSignature(reader: ByteReader): Uint8Array {
  const block = reader.bytes(2 + reader.peekU16());
  if (shapeOf(block) === undefined) throw reader.fail('no signature block: every write of a granted mesh has one');
  return block;
}

/** The block of length 0. */
function readNoSignature(reader: ByteReader): Uint8Array {
  const length = reader.u16();
  if (length !== 0) throw reader.fail(`a signature block of ${length} bytes: an open mesh has none`);
  return asBuffer(new Uint8Array(2));
}
