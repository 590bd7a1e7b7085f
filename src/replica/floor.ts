import { compareStamps, parseStamp, physicalMsOf, stampZero, type Stamp } from '../core/stamp.ts';
import { storeKey, tables } from '../store/keyspace.ts';
import { type Snapshot, type Transaction } from '../store/store.ts';

/** floor → stamp below which every member has everything: what is collected, and what is refused, follows from it alone. It only grows. */
export const floorKey = storeKey(tables.floor);

export async function readFloor(snapshot: Snapshot): Promise<Stamp> {
  const bytes = await snapshot.get(floorKey);
  return bytes === undefined ? stampZero : parseStamp(bytes);
}

/** True where it was lower. */
export async function raiseFloor(tx: Transaction, floor: Stamp): Promise<boolean> {
  if (compareStamps(await readFloor(tx), floor) >= 0) return false;
  tx.set(floorKey, floor);
  return true;
}

/** A write that reads as absent since before the floor, so that every cluster takes it away. */
export function isGone(write: { version: Stamp; tombstone: boolean; expiresAt: number }, floor: Stamp): boolean {
  if (compareStamps(write.version, floor) >= 0) return false;
  return write.tombstone || (write.expiresAt !== 0 && write.expiresAt < physicalMsOf(floor));
}
