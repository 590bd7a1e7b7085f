import { asBuffer, equalBytes, u64Bytes } from '../core/bytes.ts';
import { limits } from '../core/limits.ts';
import { storeKey, tableRange, tables } from '../store/keyspace.ts';
import { type Snapshot, type Transaction } from '../store/store.ts';

/**
 * Peers of whose waiting writes some were given up: lapsed/<peer> → u64, another with each time. What a peer's frontier covers may be among
 * those: nothing of it is joined until an exchange with it has gone through that began after the last of them.
 */
function lapsedKey(peer: string): Uint8Array {
  return storeKey(tables.lapsed, Buffer.from(peer));
}

/** Undefined while the peer's claims hold. */
export function readLapse(snapshot: Snapshot, peer: string): Promise<Uint8Array | undefined> {
  return snapshot.get(lapsedKey(peer));
}

/** Which of these peers have lapsed; conflicts with who says so. */
export async function lapsedOf(tx: Transaction, peers: Iterable<string>): Promise<ReadonlySet<string>> {
  const names = [...new Set(peers)];
  const rows = await Promise.all(names.map((peer) => readLapse(tx, peer)));
  return new Set(names.filter((_, i) => rows[i] !== undefined));
}

/** How many have. */
export async function countLapsed(snapshot: Snapshot): Promise<number> {
  return (await snapshot.range(tableRange(tables.lapsed), { limit: limits.lapsedPeersMax })).length;
}

/** From this commit on. False, and nothing done, where too many have already. */
export async function setLapsed(tx: Transaction, peer: string, nowMs: number): Promise<boolean> {
  const before = await readLapse(tx, peer);
  if (before === undefined && (await countLapsed(tx)) >= limits.lapsedPeersMax) return false;
  const mark = before === undefined ? nowMs : Math.max(nowMs, Number(asBuffer(before).readBigUInt64BE(0)) + 1);
  tx.set(lapsedKey(peer), u64Bytes(mark));
  return true;
}

/** An exchange that began at `mark` has gone through: what was given up until then is here, or is no more. */
export async function clearLapse(tx: Transaction, peer: string, mark: Uint8Array | undefined): Promise<void> {
  const stored = await readLapse(tx, peer);
  if (stored !== undefined && mark !== undefined && equalBytes(stored, mark)) tx.clear(lapsedKey(peer));
}
