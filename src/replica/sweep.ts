import { asBuffer, u64Bytes } from '../core/bytes.ts';
import { decodeEntry } from '../core/entry.ts';
import { parseKey, successorKey } from '../core/key.ts';
import { limits } from '../core/limits.ts';
import { type Clock } from '../core/ports.ts';
import { keyWithin, storeKey, tableRange, tables } from '../store/keyspace.ts';
import { type Range, type Snapshot, type Store, type Transaction } from '../store/store.ts';
import { applyChanges, headKey } from './change.ts';
import { type EntryChange, type Follower } from './follower.ts';
import { type Guard } from './guard.ts';
import { costOfChange } from './proposal.ts';
import { inSlices, type Slice } from './slices.ts';

/** swept → u64: the record up to which whatever lost its authority was taken away. */
const sweptKey = storeKey(tables.swept);

export interface SweepDeps {
  readonly store: Store;
  readonly guard: Guard | undefined;
  readonly followers: readonly Follower[];
  readonly clock: Pick<Clock, 'monotonic'>;
}

/** Between two scans lies this many times what the last one took: who ends one grant after another does not keep a store busy. */
const restFactor = 4;

/** Sweeps once for all that ended meanwhile. */
export class Sweeper {
  readonly #deps: SweepDeps;
  #restUntilMs = -Infinity;

  constructor(deps: SweepDeps) {
    this.#deps = deps;
  }

  /** Returns how many keys it changed; none where it rests. What has ended is seen by nobody meanwhile. */
  async run(signal: AbortSignal): Promise<number> {
    const { store, guard, followers, clock } = this.#deps;
    const startedMs = clock.monotonic();
    if (guard === undefined || startedMs < this.#restUntilMs) return 0;
    const changed = await sweepEnded(store, guard, followers, signal);
    const endedMs = clock.monotonic();
    this.#restUntilMs = endedMs + restFactor * (endedMs - startedMs);
    return changed;
  }
}

/** Takes away all candidates whose chain no longer stands, where a grant may have ended since the last time. Returns how many keys it changed. */
export async function sweepEnded(store: Store, guard: Guard, followers: readonly Follower[], signal: AbortSignal): Promise<number> {
  const { lastEnding } = guard;
  if ((await store.read(readSwept)) >= lastEnding) return 0;
  const changed = await inSlices(store, tableRange(tables.head), signal, (tx, left, rows) =>
    sweepSlice(tx, { range: left, rows }, guard, followers),
  );
  if (signal.aborted) return changed;
  await store.transact(async (tx) => {
    if ((await readSwept(tx)) < lastEnding) tx.set(sweptKey, u64Bytes(lastEnding));
  });
  return changed;
}

async function sweepSlice(
  tx: Transaction,
  { range, rows: limit }: { readonly range: Range; readonly rows: number },
  guard: Guard,
  followers: readonly Follower[],
): Promise<Slice> {
  await guard.catchUp(tx); // what another instance has taken in stands
  const rows = await tx.range(range, { limit, isolation: 'snapshot' });
  const changes: EntryChange[] = [];
  let last = rows.length < limit ? undefined : rows.at(-1);
  let cost = 0;
  for (const row of rows) {
    if (!decodeEntry(row.value).some(({ leaf }) => guard.hasEnded(leaf))) continue;
    const key = parseKey(keyWithin(row.key));
    const bytes = await tx.get(headKey(key)); // in conflict with who writes it meanwhile
    const before = bytes === undefined ? [] : decodeEntry(bytes);
    const after = before.filter(({ leaf }) => !guard.hasEnded(leaf));
    if (after.length === before.length) continue;
    const change = { key, before, after: after.length === 0 ? undefined : after };
    changes.push(change);
    cost += costOfChange(change);
    if (cost < limits.commitCostMax / 2) continue;
    last = row; // the others come with the next
    break;
  }
  await applyChanges(tx, changes, followers);
  return { changed: changes.length, next: last === undefined ? undefined : successorKey(last.key) };
}

async function readSwept(snapshot: Snapshot): Promise<number> {
  const bytes = await snapshot.get(sweptKey);
  return bytes === undefined ? 0 : Number(asBuffer(bytes).readBigUInt64BE(0));
}
