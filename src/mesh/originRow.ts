import { ByteReader } from '../core/bytes.ts';
import { ByteWriter } from '../core/byteWriter.ts';
import { readLineage, writeLineage } from '../replica/lineage.ts';
import { storeKey, tables } from '../store/keyspace.ts';
import { type Snapshot, type Transaction } from '../store/store.ts';
import { type Origin } from './rollback.ts';

const originFormat = 1;

function originKey(peerId: Uint8Array): Uint8Array {
  return storeKey(tables.member, peerId);
}

/** member/<cluster id 16> → format u8=1 | incarnation u64 | lineage: what it said of its store last, to us and not through others. */
export function setOrigin(tx: Transaction, peerId: Uint8Array, { incarnation, lineage }: Origin): void {
  const out = new ByteWriter();
  out.u8(originFormat);
  out.u64(incarnation);
  writeLineage(out, lineage);
  tx.set(originKey(peerId), Uint8Array.from(out.done()));
}

export async function readOrigin(snapshot: Snapshot, peerId: Uint8Array): Promise<Origin | undefined> {
  const bytes = await snapshot.get(originKey(peerId));
  if (bytes === undefined) return undefined;
  const reader = new ByteReader(bytes, 'origin of a member');
  const format = reader.u8();
  if (format !== originFormat) throw reader.fail(`format ${format} is unknown, 1 is known`);
  const origin = { incarnation: reader.u64(), lineage: readLineage(reader) };
  reader.end();
  return origin;
}
