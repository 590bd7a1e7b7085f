import { GkvError } from '../core/errors.ts';
import { makeStamp, noInstance, type Stamp } from '../core/stamp.ts';
import { storeKey, tables } from '../store/keyspace.ts';
import { type Snapshot, type Store } from '../store/store.ts';
import { isAboveFloor } from './floor.ts';

/** meta "joining since" → u64: when this cluster began to be filled, in ms of the donor's wall clock. */
export const joiningSinceKey = storeKey(tables.meta, Buffer.from('joining since'));

/** Once and for all, until the row is cleared. `wallMs`: the donor's, as of the first page. */
export async function joiningSince(store: Store, wallMs: number): Promise<Stamp> {
  return store.transact(async (tx) => {
    const stored = await readJoiningSince(tx);
    if (stored !== undefined) return stored;
    const since = makeStamp(wallMs, 0, noInstance);
    const row = Buffer.alloc(8);
    row.writeBigUInt64BE(BigInt(wallMs));
    tx.set(joiningSinceKey, row);
    return since;
  });
}

/** Undefined where nothing was asked of a donor yet. */
export async function readJoiningSince(snapshot: Snapshot): Promise<Stamp | undefined> {
  const stored = await snapshot.get(joiningSinceKey);
  return stored && makeStamp(Number(Buffer.from(stored).readBigUInt64BE()), 0, noInstance);
}

/** Nothing but an empty store ends it. */
export class TermError extends GkvError {
  constructor() {
    super(
      'must_bootstrap',
      'joining took longer than the mesh remembers deletes, and what was taken in first may be deleted since: empty this store, and join anew',
    );
  }
}

/**
 * Where the floor is not held for a cluster that is filled, what it took in may be deleted behind it, and the delete collected before it comes there. That takes a
 * floor later than it began, so a day. Error: `must_bootstrap`.
 */
export function checkTerm(since: Stamp, floor: Stamp): void {
  if (!isAboveFloor(since, floor)) throw new TermError();
}
