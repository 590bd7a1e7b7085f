import { GkvError } from '../core/errors.ts';
import { equalBytes, toHex } from '../core/bytes.ts';
import { type Clock } from '../core/ports.ts';
import { keyWithin, tableRange, tables } from '../store/keyspace.ts';
import { type Snapshot, type Store, storeLimits, type Transaction } from '../store/store.ts';
import { leaseMs } from './lease.ts';
import { decodeLease, grantLease, isFree, nobody } from './leaseRecord.ts';
import { readClosed, takeOverSlot } from './slot.ts';

/**
 * Waits until it is seen that no instance serves from the store: none holds a lease, or who holds one has not renewed it for as long as it
 * lasts. Error: `data_locked`.
 */
export async function assertUnserved(store: Store, clock: Clock): Promise<void> {
  const before = await store.read(readBeats);
  if (before.size === 0) return;
  await clock.sleep(leaseMs);
  for (const [name, beat] of await store.read(readBeats)) {
    const was = before.get(name);
    if (was !== undefined && equalBytes(was, beat)) continue;
    throw new GkvError('data_locked', 'an instance serves from this store: stop all of them first');
  }
}

/** True where no instance holds a lease. */
export async function isUnserved(tx: Transaction): Promise<boolean> {
  return (await readBeats(tx)).size === 0;
}

/** The beats of the leases that are held, by name in hex. */
async function readBeats(snapshot: Snapshot): Promise<Map<string, Uint8Array>> {
  const [leases, beats] = await Promise.all(
    [tables.lease, tables.leaseBeat].map((table) => snapshot.range(tableRange(table), { limit: storeLimits.rowsMax })),
  );
  const beatOf = new Map((beats ?? []).map(({ key, value }) => [toHex(keyWithin(key)), value]));
  const held = (leases ?? []).filter(({ value }) => !isFree(decodeLease(value)));
  return new Map(held.map(({ key }) => [toHex(keyWithin(key)), beatOf.get(toHex(keyWithin(key))) ?? new Uint8Array(0)]));
}

/** Ends every lease and fences every slot, so that nothing that is still under way is committed. */
export async function fenceAll(tx: Transaction): Promise<void> {
  for (const { key, value } of await tx.range(tableRange(tables.lease), { limit: storeLimits.rowsMax })) {
    const record = decodeLease(value);
    if (!isFree(record)) grantLease(tx, Buffer.from(keyWithin(key)).toString(), record, nobody);
  }
  for (const slot of (await readClosed(tx)).slots.keys()) await takeOverSlot(tx, slot);
}
