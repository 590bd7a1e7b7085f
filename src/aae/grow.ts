import { emptyBytes, equalBytes } from '../core/bytes.ts';
import { allKeys } from '../core/key.ts';
import { addInto, zeroSum, type Sum } from '../core/sum.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { levelKey, tableKeys, tables } from '../store/keyspace.ts';
import { type Store, type Transaction } from '../store/store.ts';
import { appendLog, trimLog } from './bounds.ts';
import { encodeTreeState, readTreeState, treeStateKey, type BoundChange, type TreeState } from './records.ts';
import { levelRows, rangeSum, type BranchRow } from './sums.ts';
import { createLevel } from './tree.ts';

/** Over the first number of branches at the top another level is built, under the second one goes. That many are read for a root. */
const topBranches = { max: 8_192, min: 16 } as const;
/** Branches of the level below that one step of building takes up, where writers let it. */
const stepBranchesMax = 512;
/** Rows of the log of bounds that are kept; a writer that is further behind loads its bounds anew. */
const logRowsKept = 500;

export type GrowStep = 'nothing' | 'started' | 'advanced' | 'finished' | 'dropped';

/**
 * One step of keeping the number of levels right. A new level is filled from its start: writers keep it for keys below its cursor,
 * which they read conflictingly, and it counts only once the cursor has passed the last key.
 */
export async function growStep(
  store: Store,
  digests: MeshDigests,
  limits: { max: number; min: number } = topBranches,
  pace: { branches: number } = { branches: stepBranchesMax },
): Promise<GrowStep> {
  let runs = 0;
  const step = await store.transact(async (tx) => {
    runs += 1;
    // Every write to a branch that a step reads makes it run again: the smaller the step, the sooner it gets through.
    if (runs > 1) pace.branches = Math.max(1, Math.floor(pace.branches / 2));
    const state = await readTreeState(tx);
    if (state.building !== undefined) return advance(tx, state, state.building.cursor, { digests, branches: pace.branches });
    const range = tableKeys(tables.bound, allKeys, Uint8Array.of(state.active));
    const rows = await tx.range(range, { limit: limits.max + 1, isolation: 'snapshot' });
    if (rows.length > limits.max) {
      createLevel(tx, state.active + 1, { active: state.active, building: { cursor: emptyBytes } });
      return 'started';
    }
    if (rows.length >= limits.min || state.active === 1) return 'nothing';
    dropLevel(tx, state);
    return 'dropped';
  });
  if (runs === 1) pace.branches = Math.min(stepBranchesMax, pace.branches * 2);
  return step;
}

/** Takes the next branches of the level below into the level that is being built. */
async function advance(
  tx: Transaction,
  state: TreeState,
  cursor: Uint8Array,
  { digests, branches }: { digests: MeshDigests; branches: number },
): Promise<GrowStep> {
  const level = state.active + 1;
  const rows = await tx.range(tableKeys(tables.sum, { start: cursor, end: null }, Uint8Array.of(state.active)), {
    limit: branches + 1,
  });
  const next = rows.length > branches ? rows[branches]?.key.subarray(2) : undefined;
  const taken = await levelRows(tx, { start: cursor, end: next ?? null }, state.active);
  const from = taken[0]?.key ?? next ?? null;
  // The bound at the cursor may have been collected since the last step: what it began lies in a branch below the cursor now.
  if (from === null || !equalBytes(from, cursor)) {
    taken.unshift({ key: emptyBytes, sum: await rangeSum(tx, { start: cursor, end: from }, state.active, digests) });
  }
  const [last] = await tx.range(
    tableKeys(tables.sum, { start: emptyBytes, end: cursor.length === 0 ? Uint8Array.of(0) : cursor }, Uint8Array.of(level)),
    {
      limit: 1,
      order: 'reverse',
    },
  );
  const changes: BoundChange[] = [];
  for (const { key, sum } of branchesAbove(taken, last?.key.subarray(2) ?? emptyBytes, level, digests)) {
    const isNew = sum.kind === 'new';
    if (isNew) {
      tx.set(levelKey(tables.bound, level, key), emptyBytes);
      tx.set(levelKey(tables.sum, level, key), sum.sum);
      changes.push({ kind: 'added', level, key });
    } else tx.add(levelKey(tables.sum, level, key), sum.sum);
  }
  appendLog(tx, changes);
  const done = next === undefined;
  tx.set(
    treeStateKey,
    encodeTreeState(done ? { active: level, building: undefined } : { active: state.active, building: { cursor: next } }),
  );
  return done ? 'finished' : 'advanced';
}

interface Gathered {
  readonly key: Uint8Array;
  readonly sum: { readonly kind: 'new' | 'more'; readonly sum: Sum };
}

/** What the rows of one level add up to in the branches of the next: the first goes on where the branch `current` stands. */
function branchesAbove(rows: readonly BranchRow[], current: Uint8Array, level: number, digests: MeshDigests): Gathered[] {
  const gathered: Gathered[] = [{ key: current, sum: { kind: 'more', sum: zeroSum() } }];
  for (const { key, sum } of rows) {
    if (key.length > 0 && digests.boundLevel(key) >= level) gathered.push({ key, sum: { kind: 'new', sum: zeroSum() } });
    const last = gathered[gathered.length - 1];
    if (last !== undefined) addInto(last.sum.sum, sum);
  }
  return gathered;
}

function dropLevel(tx: Transaction, state: TreeState): void {
  for (const table of [tables.bound, tables.sum]) tx.clearRange(tableKeys(table, allKeys, Uint8Array.of(state.active)));
  tx.set(treeStateKey, encodeTreeState({ active: state.active - 1, building: undefined }));
  appendLog(tx, [{ kind: 'dropped', level: state.active, key: emptyBytes }]);
}

/** Steps until there is nothing to do, and shortens the log of bounds. */
export async function keepTree(store: Store, digests: MeshDigests, signal: AbortSignal): Promise<void> {
  const pace = { branches: stepBranchesMax };
  while (!signal.aborted && (await growStep(store, digests, topBranches, pace)) !== 'nothing');
  if (!signal.aborted) await store.transact((tx) => trimLog(tx, logRowsKept));
}
