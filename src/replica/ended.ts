import { equalBytes, toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { keyWithin, storeKey, tableRange, tables } from '../store/keyspace.ts';
import { type Snapshot, storeLimits, type Transaction } from '../store/store.ts';

/** What of a time, which an epoch names, a cluster has taken in. */
export interface Reach {
  /** 8 bytes. */
  readonly epoch: Uint8Array;
  /** Cluster ids: all that these had, when they were at the epoch already, is here. */
  readonly members: readonly Uint8Array[];
}

/** How a cluster ended. */
export interface Removal {
  /** A UUID's 16 bytes. */
  readonly clusterId: Uint8Array;
  /** The one in which it was removed. */
  readonly incarnation: number;
  /** Tells this removal from others; at most 100 characters. */
  readonly removal: string;
  /** All that any remaining member had of it, every one of them has. */
  readonly settled: boolean;
}

const format = 1;
const headBytes = 10;

function endedKey(clusterId: Uint8Array): Uint8Array {
  return storeKey(tables.ended, clusterId);
}

/**
 * ended/<cluster id 16> → format u8=1 | u8: settled | incarnation u64 | name of the removal: from this commit on nothing is taken in that this cluster sends, whoever of our
 * instances it reaches. For good, and so is that it is settled.
 */
export async function endPeer(tx: Transaction, removal: Removal): Promise<void> {
  const row = await tx.get(endedKey(removal.clusterId));
  if (row !== undefined && (row[1] === 1 || !removal.settled)) return;
  const head = Buffer.alloc(headBytes);
  head.writeUInt8(format);
  head.writeUInt8(removal.settled ? 1 : 0, 1);
  head.writeBigUInt64BE(BigInt(removal.incarnation), 2);
  tx.set(endedKey(removal.clusterId), Buffer.concat([head, Buffer.from(removal.removal)]));
}

/** All that have ended, as they did; but for rows of the first builds, which do not say how. */
export async function readEnded(snapshot: Snapshot): Promise<readonly Removal[]> {
  const rows = await snapshot.range(tableRange(tables.ended), { limit: storeLimits.rowsMax });
  const told = rows.filter(({ value }) => value.length > 0);
  return told.map(({ key, value }) => {
    const bytes = Buffer.from(value);
    if (bytes.length <= headBytes || bytes[0] !== format) throw new GkvError('corrupt', 'a row of a cluster that ended cannot be read');
    return {
      clusterId: keyWithin(key),
      incarnation: Number(bytes.readBigUInt64BE(2)),
      removal: bytes.toString('utf8', headBytes),
      settled: bytes[1] === 1,
    };
  });
}

/** Which of these, in hex, have ended. Conflicts with who ends one. */
export async function endedOf(tx: Transaction, peers: Iterable<string>): Promise<ReadonlySet<string>> {
  const names = [...new Set(peers)];
  const rows = await Promise.all(names.map((name) => tx.get(endedKey(Buffer.from(name, 'hex')))));
  return new Set(names.filter((_, i) => rows[i] !== undefined));
}

export function peerEnded(peer: string): GkvError {
  return new GkvError('must_bootstrap', `cluster ${peer} was removed from the mesh: it must be started anew from an empty store, and join`);
}

/** reached/<cluster id 16> → epoch 8: all that it had at that epoch is here. */
export async function noteReached(tx: Transaction, { epoch, members }: Reach): Promise<void> {
  for (const clusterId of members) {
    const key = storeKey(tables.reached, clusterId);
    const before = await tx.get(key);
    if (before === undefined || !equalBytes(before, epoch)) tx.set(key, epoch);
  }
}

/** Epochs in hex, by cluster id in hex. */
export async function readReached(snapshot: Snapshot): Promise<ReadonlyMap<string, string>> {
  const rows = await snapshot.range(tableRange(tables.reached), { limit: storeLimits.rowsMax });
  return new Map(rows.map(({ key, value }) => [toHex(keyWithin(key)), toHex(value)]));
}
