import { ByteReader, equalBytes, writeU64 } from '../core/bytes.ts';
import { storeKey, tables } from '../store/keyspace.ts';
import { type Transaction } from '../store/store.ts';

const leaseFormat = 2;
const holderBytes = 16;
/** The holder of a lease that is free. */
export const nobody = new Uint8Array(holderBytes);

/** lease/<name> → format u8=2 | number u64 | holder 16, zero when free | rank u8. The number rises with every holder: the fencing number. */
export interface LeaseRecord {
  readonly number: number;
  readonly holder: Uint8Array;
  /** 0 to 255: whoever wants the lease and has a lower one takes it from its holder; so of rank 0 nobody does. */
  readonly rank: number;
}

function leaseKey(name: string): Uint8Array {
  return storeKey(tables.lease, Buffer.from(name));
}

export function encodeLease({ number, holder, rank }: LeaseRecord): Uint8Array {
  const bytes = Buffer.alloc(1 + 8 + holderBytes + 1);
  bytes.writeUInt8(leaseFormat, 0);
  writeU64(bytes, number, 1);
  bytes.set(holder, 9);
  bytes.writeUInt8(rank, 9 + holderBytes);
  return bytes;
}

export function decodeLease(bytes: Uint8Array): LeaseRecord {
  const reader = new ByteReader(bytes, 'lease');
  const format = reader.u8();
  if (format !== leaseFormat) throw reader.fail(`format ${format} is unknown, ${leaseFormat} is known`);
  const record = { number: reader.u64(), holder: reader.bytes(holderBytes), rank: reader.u8() };
  reader.end();
  return record;
}

export function isFree({ holder }: LeaseRecord): boolean {
  return equalBytes(holder, nobody);
}

export async function readLease(tx: Transaction, name: string): Promise<LeaseRecord> {
  const bytes = await tx.get(leaseKey(name));
  return bytes === undefined ? { number: 0, holder: nobody, rank: 0 } : decodeLease(bytes);
}

/** Gives the lease to `holder` under the next number, within a transaction that has read it. */
export function grantLease(tx: Transaction, name: string, before: LeaseRecord, holder: Uint8Array, rank = 0): LeaseRecord {
  const record = { number: before.number + 1, holder, rank };
  tx.set(leaseKey(name), encodeLease(record));
  return record;
}
