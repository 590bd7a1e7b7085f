import { writeU64, type ByteReader } from '../core/bytes.ts';
import { type ByteWriter } from '../core/byteWriter.ts';
import { parseStamp, stampBytes, type Stamp } from '../core/stamp.ts';

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
  readonly members: readonly MemberWord[];
}

const clusterIdBytes = 16;
const membersMax = 1_000;

/** wall clock u64 ms | floor 16 | count u16 | members, each: cluster id 16 | incarnation u64 | low 16. */
export function writeStatement(out: ByteWriter, { wallMs, floor, members }: Statement): void {
  out.bytes(u64(wallMs));
  out.bytes(floor);
  out.u16(members.length);
  for (const { clusterId, incarnation, low } of members) {
    out.bytes(clusterId);
    out.bytes(u64(incarnation));
    out.bytes(low);
  }
}

/** Errors: `malformed`. */
export function readStatement(reader: ByteReader): Statement {
  const wallMs = reader.u64();
  const floor = parseStamp(reader.bytes(stampBytes));
  const count = reader.u16();
  if (count > membersMax) throw reader.fail(`${count} members: at most ${membersMax} are allowed`);
  const members = Array.from({ length: count }, () => ({
    clusterId: reader.bytes(clusterIdBytes),
    incarnation: reader.u64(),
    low: parseStamp(reader.bytes(stampBytes)),
  }));
  return { wallMs, floor, members };
}

export function u64(value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(8);
  writeU64(bytes, value, 0);
  return bytes;
}
