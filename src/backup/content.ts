import { ByteReader } from '../core/bytes.ts';
import { ByteWriter } from '../core/byteWriter.ts';
import { assert } from '../core/errors.ts';
import { readFrontier, writeFrontier, type Frontier } from '../core/frontier.ts';
import { parseStamp, stampBytes, type Stamp } from '../core/stamp.ts';
import { type MeshKind } from '../crypto/mesh.ts';
import { positionBytes } from '../replica/cursor.ts';

/** Whose backup it is, as of its beginning. */
export interface BackupHeader {
  /** A UUID's 16 bytes. */
  readonly clusterId: Uint8Array;
  readonly incarnation: number;
  readonly meshId: Uint8Array;
  /** SHA-256 of the mesh key. */
  readonly keyDigest: Uint8Array;
  readonly floor: Stamp;
  /** Up to where the cluster had everything of every member. */
  readonly low: Stamp;
  readonly startedMs: number;
  readonly kind: MeshKind;
}

/** Writes in the order of the feed. */
export interface BackupPage {
  /** Of the feed, behind them. */
  readonly position: Uint8Array;
  readonly count: number;
  /** Encoded. */
  readonly writes: Uint8Array;
}

/** How many are in one list of records: a page of the ledger has fewer. */
const recordsMax = 65_535;

/** What holds of all pages together. */
export interface BackupTrailer {
  readonly pages: number;
  readonly writes: number;
  readonly floor: Stamp;
  /** All that it covers is in the pages. */
  readonly frontier: Frontier;
}

/** cluster id 16 | incarnation u64 | mesh id 32 | SHA-256 of the mesh key 32 | floor 16 | low 16 | started u64 ms | of a granted mesh: u8 = 1. */
export function encodeHeader(header: BackupHeader): Uint8Array {
  const out = new ByteWriter();
  out.bytes(header.clusterId);
  out.u64(header.incarnation);
  out.bytes(header.meshId);
  out.bytes(header.keyDigest);
  out.bytes(header.floor);
  out.bytes(header.low);
  out.u64(header.startedMs);
  if (header.kind === 'granted') out.u8(1);
  return out.done();
}

/** Errors, here and below: `malformed`. */
export function decodeHeader(bytes: Uint8Array): BackupHeader {
  const reader = new ByteReader(bytes, 'header of a backup');
  const header = {
    clusterId: reader.bytes(16),
    incarnation: reader.u64(),
    meshId: reader.bytes(32),
    keyDigest: reader.bytes(32),
    floor: parseStamp(reader.bytes(stampBytes)),
    low: parseStamp(reader.bytes(stampBytes)),
    startedMs: reader.u64(),
    kind: reader.left === 0 ? ('open' as const) : readGranted(reader),
  };
  reader.end();
  return header;
}

function readGranted(reader: ByteReader): MeshKind {
  const kind = reader.u8();
  if (kind !== 1) throw reader.fail(`a mesh of kind ${kind}`);
  return 'granted';
}

/** Of the mesh's authority, in the order of the ledger: count u16 | records, each: length u32, bytes. */
export function encodeRecords(records: readonly Uint8Array[]): Uint8Array {
  assert(records.length <= recordsMax, 'a page of the ledger has few records');
  const out = new ByteWriter();
  out.u16(records.length);
  for (const record of records) {
    out.u32(record.length);
    out.bytes(record);
  }
  return out.done();
}

export function decodeRecords(bytes: Uint8Array): Uint8Array[] {
  const reader = new ByteReader(bytes, 'records of a backup');
  const records = Array.from({ length: reader.u16() }, () => reader.bytes(reader.u32()));
  reader.end();
  return records;
}

/** position 12 | count u32 | writes. */
export function encodePage({ position, count, writes }: BackupPage): Uint8Array {
  const out = new ByteWriter(positionBytes + 4 + writes.length);
  out.bytes(position);
  out.u32(count);
  out.bytes(writes);
  return out.done();
}

export function decodePage(bytes: Uint8Array): BackupPage {
  const reader = new ByteReader(bytes, 'page of a backup');
  return { position: reader.bytes(positionBytes), count: reader.u32(), writes: reader.bytes(reader.left) };
}

/** pages u64 | writes u64 | floor 16 | frontier. */
export function encodeTrailer({ pages, writes, floor, frontier }: BackupTrailer): Uint8Array {
  const out = new ByteWriter();
  out.u64(pages);
  out.u64(writes);
  out.bytes(floor);
  writeFrontier(out, frontier);
  return out.done();
}

export function decodeTrailer(bytes: Uint8Array): BackupTrailer {
  const reader = new ByteReader(bytes, 'trailer of a backup');
  const trailer = {
    pages: reader.u64(),
    writes: reader.u64(),
    floor: parseStamp(reader.bytes(stampBytes)),
    frontier: readFrontier(reader),
  };
  reader.end();
  return trailer;
}
