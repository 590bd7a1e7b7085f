import { ByteReader, equalBytes, writeU64 } from './bytes.ts';
import { assert, GkvError, hasCode } from './errors.ts';
import { parseStamp, stampBytes, type Stamp } from './stamp.ts';
import { compareWrites, digestBytes, grantZero, parseGrantId, parseWriteId, signatureEmpty, type GrantId, type WriteId } from './write.ts';

/** Where a candidate write stands in the feed: the 10-byte stamp of its commit and its place in that commit. */
export interface FeedPosition {
  readonly commit: Uint8Array;
  readonly place: number;
}

/** All of a candidate write but its key, and its value where that is large. */
export interface Head {
  readonly version: Stamp;
  readonly id: WriteId;
  readonly tombstone: boolean;
  /** ms since the epoch, 0 = never. */
  readonly expiresAt: number;
  readonly leaf: GrantId;
  /** Bytes of key and value. */
  readonly length: number;
  readonly accepted: Stamp;
  /** Undefined while the commit that places it is still under way. */
  readonly position: FeedPosition | undefined;
  /** Signature block ‖ value, where the value has at most `inlineValueBytesMax` bytes; undefined where it lies in a row of its own. */
  readonly record: Uint8Array | undefined;
}

/** What a cluster holds for a key: its candidates, of each leaf grant at most one, greatest first. Never empty. */
export type Entry = readonly Head[];

/**
 * Whether the chain of the first is part of that of the second, or is the same: what was written under the first stands wherever what was written
 * under the second does. A partial order that never changes.
 */
export type Covers = (over: GrantId, under: GrantId) => boolean;

export type MergeResult =
  | { readonly kind: 'applied'; readonly entry: Entry; readonly replaced: readonly Head[] }
  | { readonly kind: 'duplicate' }
  | { readonly kind: 'dominated'; readonly by: Head };

/** Takes one write into an entry: what a greater one covers goes. Commutative, associative, idempotent. */
export function mergeHead(entry: Entry | undefined, head: Head, covers: Covers = equalBytes): MergeResult {
  const kept: Head[] = [];
  const replaced: Head[] = [];
  for (const candidate of entry ?? []) {
    const order = compareWrites(candidate, head);
    if (order === 0) return { kind: 'duplicate' };
    if (order > 0 && covers(candidate.leaf, head.leaf)) return { kind: 'dominated', by: candidate };
    (order < 0 && covers(head.leaf, candidate.leaf) ? replaced : kept).push(candidate);
  }
  return { kind: 'applied', entry: [...kept, head].sort((a, b) => compareWrites(b, a)), replaced };
}

/** The write that readers see: the greatest. Undefined where it is a tombstone or has expired at `nowMs`. */
export function visibleHead(entry: Entry | undefined, nowMs: number): Head | undefined {
  const greatest = entry?.[0];
  if (greatest === undefined || greatest.tombstone) return undefined;
  return greatest.expiresAt !== 0 && greatest.expiresAt <= nowMs ? undefined : greatest;
}

/** A value of up to so many bytes is part of its head, with the signature block of its write. */
export const inlineValueBytesMax = 254;
/** With a signature block of eight siblings, the greatest. */
export const inlineRecordBytesMax = 4 + 8 * digestBytes + 64 + inlineValueBytesMax;

const entryFormat = 2;
const flags = { tombstone: 1, accepted: 2, expires: 4, leaf: 8, placed: 16, inline: 32 } as const;
const flagsKnown = 63;
const commitBytes = 10;
/** Without the record. */
const headBytesMax = 1 + 2 + stampBytes * 2 + digestBytes * 2 + 4 + 8 + commitBytes + 2;

/** Where the store writes the commit's stamp into an encoded entry. */
export const entryStampOffset = 1;

/**
 * The stored record: format u8=2 | commit stamp 10, filled in by the store | count u8 | heads, each: flags u8 | place
 * u16 | version 16 | id 32 | length u32 | accepted 16 if other than version | expiresAt u64 if any | leaf 32 if not zero |
 * own commit stamp 10 unless it is the record's | length u16 of the write's record, record if it is inline. A head without a position
 * takes the record's.
 */
export function encodeEntry(entry: Entry, place: (head: Head) => number): Uint8Array {
  let room = 2 + commitBytes;
  for (const { record } of entry) room += headBytesMax + (record?.length ?? 0);
  const bytes = Buffer.allocUnsafe(room);
  bytes.writeUInt8(entryFormat, 0);
  bytes.fill(0, entryStampOffset, entryStampOffset + commitBytes);
  let at = bytes.writeUInt8(entry.length, entryStampOffset + commitBytes);
  for (const head of entry) at = writeHead(bytes, at, head, place);
  return bytes.subarray(0, at);
}

function writeHead(bytes: Buffer, offset: number, head: Head, place: (head: Head) => number): number {
  const withAccepted = !equalBytes(head.accepted, head.version);
  const withLeaf = !equalBytes(head.leaf, grantZero);
  let bits = head.tombstone ? flags.tombstone : 0;
  if (withAccepted) bits |= flags.accepted;
  if (head.expiresAt !== 0) bits |= flags.expires;
  if (withLeaf) bits |= flags.leaf;
  if (head.position !== undefined) bits |= flags.placed;
  if (head.record !== undefined) bits |= flags.inline;
  let at = bytes.writeUInt8(bits, offset);
  at = bytes.writeUInt16BE(head.position === undefined ? place(head) : head.position.place, at);
  at = put(bytes, head.version, at);
  at = put(bytes, head.id, at);
  at = bytes.writeUInt32BE(head.length, at);
  if (withAccepted) at = put(bytes, head.accepted, at);
  if (head.expiresAt !== 0) at = writeU64(bytes, head.expiresAt, at);
  if (withLeaf) at = put(bytes, head.leaf, at);
  if (head.position !== undefined) at = put(bytes, head.position.commit, at);
  if (head.record === undefined) return at;
  assert(isInline(head.record.length), `a head carries a record of 2 to ${inlineRecordBytesMax} bytes`);
  return put(bytes, head.record, bytes.writeUInt16BE(head.record.length, at));
}

function isInline(recordBytes: number): boolean {
  return recordBytes >= signatureEmpty.length && recordBytes <= inlineRecordBytesMax;
}

function put(target: Buffer, bytes: Uint8Array, offset: number): number {
  target.set(bytes, offset);
  return offset + bytes.length;
}

/**
 * Records are views of the bytes and are not looked into, so that a damaged value can still be overwritten. Errors: `corrupt` for
 * everything that is not exactly one entry: entries come from the store alone.
 */
export function decodeEntry(bytes: Uint8Array): Entry {
  try {
    return readEntry(new ByteReader(bytes, 'stored entry'));
  } catch (error) {
    if (hasCode(error, 'malformed')) throw new GkvError('corrupt', error.message, { cause: error });
    throw error;
  }
}

function readEntry(reader: ByteReader): Entry {
  const format = reader.u8();
  if (format !== entryFormat) throw reader.fail(`format ${format} is unknown, ${entryFormat} is known`);
  const commit = reader.bytes(commitBytes);
  const count = reader.u8();
  if (count === 0) throw reader.fail('has no head');
  const entry: Head[] = [];
  for (let i = 0; i < count; i += 1) entry.push(readHead(reader, commit));
  reader.end();
  for (const [i, head] of entry.entries()) {
    const next = entry[i + 1];
    if (next !== undefined && compareWrites(head, next) <= 0) throw reader.fail('heads that do not fall');
    if (entry.some((other, j) => j > i && equalBytes(other.leaf, head.leaf))) throw reader.fail('two heads of one leaf grant');
  }
  return entry;
}

function readHead(reader: ByteReader, commit: Uint8Array): Head {
  const bits = reader.u8();
  if (bits > flagsKnown) throw reader.fail(`flags ${bits} are unknown`);
  const place = reader.u16();
  const version = parseStamp(reader.bytes(stampBytes));
  const id = parseWriteId(reader.bytes(digestBytes));
  const length = reader.u32();
  const accepted = (bits & flags.accepted) === 0 ? version : parseStamp(reader.bytes(stampBytes));
  const expiresAt = (bits & flags.expires) === 0 ? 0 : reader.u64();
  const leaf = (bits & flags.leaf) === 0 ? grantZero : parseGrantId(reader.bytes(digestBytes));
  if ((bits & flags.accepted) !== 0 && equalBytes(accepted, version)) throw reader.fail('an accepted stamp that is the version');
  if ((bits & flags.expires) !== 0 && expiresAt === 0) throw reader.fail('an expiry of zero');
  if ((bits & flags.leaf) !== 0 && equalBytes(leaf, grantZero)) throw reader.fail('a zero leaf grant');
  const own = (bits & flags.placed) === 0 ? commit : reader.bytes(commitBytes);
  const record = (bits & flags.inline) === 0 ? undefined : readRecord(reader);
  const tombstone = (bits & flags.tombstone) !== 0;
  if (tombstone && expiresAt !== 0) throw reader.fail('a tombstone that expires');
  return { version, id, tombstone, expiresAt, leaf, length, accepted, position: { commit: own, place }, record };
}

function readRecord(reader: ByteReader): Uint8Array {
  const length = reader.u16();
  if (!isInline(length)) throw reader.fail(`a record of ${length} bytes, must have 2 to ${inlineRecordBytesMax}`);
  return reader.bytes(length);
}

/** Bytes of the feed's place: commit stamp 10 | place u16. */
export function encodePosition(position: FeedPosition): Uint8Array {
  assert(position.commit.length === commitBytes, 'commit stamp has 10 bytes');
  const bytes = Buffer.allocUnsafe(commitBytes + 2);
  bytes.set(position.commit);
  bytes.writeUInt16BE(position.place, commitBytes);
  return bytes;
}
