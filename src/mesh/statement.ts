import { type ByteReader, toHex } from '../core/bytes.ts';
import { type ByteWriter } from '../core/byteWriter.ts';
import { incarnationMax, limits } from '../core/limits.ts';
import { parseStamp, physicalMsMax, stampBytes, type Stamp } from '../core/stamp.ts';
import { type Reach } from '../replica/ended.ts';
import { readLineage, writeLineage, type Lineage } from '../replica/lineage.ts';
import { epochBytes } from './epoch.ts';

/** What a cluster says of a member: itself, or another that it heard it from. */
export interface MemberWord {
  /** A UUID's 16 bytes. */
  readonly clusterId: Uint8Array;
  readonly incarnation: number;
  /** Up to this stamp it has everything that any member took in. */
  readonly low: Stamp;
  /** Which members it knows of; 8 bytes. */
  readonly epoch: Uint8Array;
  /** True where all that every member had at that epoch is there. */
  readonly isLevel: boolean;
}

/** What each side of a feed tells the other with every request and answer. */
export interface Statement {
  readonly wallMs: number;
  readonly floor: Stamp;
  /** Of the sender's store. */
  readonly lineage: Lineage;
  /** Of the sender, from before what is beside the statement was read. */
  readonly reach: Reach;
  readonly members: readonly MemberWord[];
}

const clusterIdBytes = 16;

/**
 * wall clock u64 ms | floor 16 | lineage | reach: epoch 8 | count u16 | cluster ids 16 | count u16 | members, each: cluster id 16 | incarnation u64 | low 16 |
 * epoch 8 | u8: 1 where it is level, else 0. Ids come in any order, and none twice.
 */
export function writeStatement(out: ByteWriter, { wallMs, floor, lineage, reach, members }: Statement): void {
  out.u64(wallMs);
  out.bytes(floor);
  writeLineage(out, lineage);
  out.bytes(reach.epoch);
  out.u16(reach.members.length);
  for (const clusterId of reach.members) out.bytes(clusterId);
  out.u16(members.length);
  for (const { clusterId, incarnation, low, epoch, isLevel } of members) {
    out.bytes(clusterId);
    out.u64(incarnation);
    out.bytes(low);
    out.bytes(epoch);
    out.u8(isLevel ? 1 : 0);
  }
}

/** Errors: `malformed`. */
export function readStatement(reader: ByteReader): Statement {
  const wallMs = reader.u64();
  if (wallMs > physicalMsMax) throw reader.fail(`a wall clock of ${wallMs} ms`);
  const floor = parseStamp(reader.bytes(stampBytes));
  const lineage = readLineage(reader);
  const reach = { epoch: reader.bytes(epochBytes), members: Array.from({ length: readCount(reader) }, () => reader.bytes(clusterIdBytes)) };
  assertOnce(reader, reach.members);
  const members = Array.from({ length: readCount(reader) }, () => readWord(reader));
  assertOnce(
    reader,
    members.map(({ clusterId }) => clusterId),
  );
  return { wallMs, floor, lineage, reach, members };
}

function assertOnce(reader: ByteReader, clusterIds: readonly Uint8Array[]): void {
  if (new Set(clusterIds.map(toHex)).size < clusterIds.length) throw reader.fail('a cluster that is named twice');
}

function readCount(reader: ByteReader): number {
  const count = reader.u16();
  if (count > limits.membersMax) throw reader.fail(`${count} members: at most ${limits.membersMax} are allowed`);
  return count;
}

function readWord(reader: ByteReader): MemberWord {
  const clusterId = reader.bytes(clusterIdBytes);
  const incarnation = reader.u64();
  if (incarnation > incarnationMax) throw reader.fail(`incarnation ${incarnation}: at most ${incarnationMax} are possible`);
  const low = parseStamp(reader.bytes(stampBytes));
  const epoch = reader.bytes(epochBytes);
  const level = reader.u8();
  if (level > 1) throw reader.fail(`${level} says neither that it is level nor that it is not`);
  return { clusterId, incarnation, low, epoch, isLevel: level === 1 };
}
