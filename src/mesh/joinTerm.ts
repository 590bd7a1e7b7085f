import { GkvError } from '../core/errors.ts';
import { makeStamp, noInstance, physicalMsOf, type Stamp } from '../core/stamp.ts';
import { storeKey, tables } from '../store/keyspace.ts';
import { type Snapshot, type Store } from '../store/store.ts';
import { isAboveFloor } from './floor.ts';
import { type Statement } from './statement.ts';

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

/**
 * What is written by a clock that is behind the floor nobody takes in: others would never hear of this cluster. Error: `below_floor`, with how far it is off.
 */
export function checkClock({ wallMs, floor }: Pick<Statement, 'wallMs' | 'floor'>, nowMs: number): void {
  if (nowMs >= physicalMsOf(floor)) return;
  throw new GkvError(
    'below_floor',
    `this region’s clock is ${aboutSeconds(wallMs - nowMs)} s behind the donor’s, which is more than the mesh remembers deletes: set right the one that is wrong; until then nothing is taken in`,
  );
}

/** Two digits of it where it is long: what is told anew where it changes is not to change with each answer. */
export function aboutSeconds(ms: number): number {
  const seconds = Math.round(ms / 1_000);
  return seconds < 100 ? seconds : Number(seconds.toPrecision(2));
}
