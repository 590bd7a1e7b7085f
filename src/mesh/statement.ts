import { type ByteReader } from '../core/bytes.ts';
import { type ByteWriter } from '../core/byteWriter.ts';
import { limits } from '../core/limits.ts';
import { parseStamp, stampBytes, type Stamp } from '../core/stamp.ts';
import { readLineage, writeLineage, type Lineage } from '../replica/lineage.ts';

/** What a cluster says of a member: itself, or another that it heard it from. */
export interface MemberWord {
  /** A UUID's 16 bytes. */
  readonly clusterId: Uint8Array;
  readonly incarnation: number;
  /** Up to this stamp it has everything that any member took in. */
  readonly low: Stamp;
}

/** What each side of a feed tells the other with every request and answer. */
export interface Statement {
  readonly wallMs: number;
  readonly floor: Stamp;
  /** Of the sender's store. */
  readonly lineage: Lineage;
  readonly members: readonly MemberWord[];
}

const clusterIdBytes = 16;
/** Stamps are made with an incarnation of 32 bits. */
const incarnationMax = 0xffff_ffff;

/** wall clock u64 ms | floor 16 | lineage | count u16 | members, each: cluster id 16 | incarnation u64 | low 16. */
export function writeStatement(out: ByteWriter, { wallMs, floor, lineage, members }: Statement): void {
  out.u64(wallMs);
  out.bytes(floor);
  writeLineage(out, lineage);
  out.u16(members.length);
  for (const { clusterId, incarnation, low } of members) {
    out.bytes(clusterId);
    out.u64(incarnation);
    out.bytes(low);
  }
}

/** Errors: `malformed`. */
export function readStatement(reader: ByteReader): Statement {
  const wallMs = reader.u64();
  const floor = parseStamp(reader.bytes(stampBytes));
  const lineage = readLineage(reader);
  const count = reader.u16();
  if (count > limits.membersMax) throw reader.fail(`${count} members: at most ${limits.membersMax} are allowed`);
  return { wallMs, floor, lineage, members: Array.from({ length: count }, () => readWord(reader)) };
}

function readWord(reader: ByteReader): MemberWord {
  const clusterId = reader.bytes(clusterIdBytes);
  const incarnation = reader.u64();
  if (incarnation > incarnationMax) throw reader.fail(`incarnation ${incarnation}: at most ${incarnationMax} are possible`);
  return { clusterId, incarnation, low: parseStamp(reader.bytes(stampBytes)) };
}
