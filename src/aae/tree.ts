import { emptyBytes, fromLatin1, toLatin1 } from '../core/bytes.ts';
import { allKeys } from '../core/key.ts';
import { subtractFrom, zeroSum, type Sum } from '../core/sum.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type Apply, type EntryChange, type Follower } from '../replica/follower.ts';
import { levelKey, tables } from '../store/keyspace.ts';
import { type Snapshot, type Store, type Transaction } from '../store/store.ts';
import { appendLog, BoundsCache } from './bounds.ts';
import { applyPlan, LevelPlanner, type LevelPlan, type SumChange } from './levelPlan.ts';
import { encodeTreeState, readTreeState, treeStateKey } from './records.ts';
import { entrySum, rangeSum } from './sums.ts';

/**
 * The anti-entropy tree: a Merkle search tree whose branches hold keyed sums instead of hashes, so that transactions on
 * different keys commute. See SPEC.md. As a follower it is kept in the transaction that changes the entries.
 */
export class Tree implements Follower {
  readonly #digests: MeshDigests;
  readonly #bounds: BoundsCache;

  private constructor(digests: MeshDigests, bounds: BoundsCache) {
    this.#digests = digests;
    this.#bounds = bounds;
  }

  /** Makes an empty tree where the store has none yet. */
  static async open(store: Store, digests: MeshDigests): Promise<Tree> {
    await store.transact(async (tx) => {
      if ((await tx.get(treeStateKey)) === undefined) createLevel(tx, 1, { active: 1, building: undefined });
    });
    return new Tree(digests, new BoundsCache());
  }

  async prepare(tx: Transaction, changes: readonly EntryChange[]): Promise<Apply> {
    const [state] = await Promise.all([readTreeState(tx), this.#bounds.sync(tx)]);
    const sumChanges = changes.map((change) => this.#sumChange(change));
    const planning: Promise<LevelPlan>[] = [];
    const top = state.active + (state.building === undefined ? 0 : 1);
    for (let level = 1; level <= top; level += 1) {
      const end = level > state.active && state.building !== undefined ? toLatin1(state.building.cursor) : null;
      const content = (from: string, to: string | null): Promise<Sum> =>
        rangeSum(
          tx,
          { start: fromLatin1(from), end: to === null ? null : fromLatin1(to) },
          this.#contentLevel(level, state.active, from),
          this.#digests,
        );
      planning.push(new LevelPlanner(tx, this.#bounds, level, end, content).plan(sumChanges));
    }
    const plans = await Promise.all(planning);
    return (applying) => {
      appendLog(
        applying,
        plans.flatMap((plan) => applyPlan(applying, plan)),
      );
    };
  }

  /** Content from an existing bound of this level is in its sums; content from a new one lies within one branch. */
  #contentLevel(level: number, active: number, from: string): number {
    return Math.min(active, this.#bounds.has(level, from) ? level : level - 1);
  }

  #sumChange({ key, before, after }: EntryChange): SumChange {
    const delta = entrySum(after, this.#digests);
    if (before !== undefined) subtractFrom(delta, entrySum(before, this.#digests));
    const kind = before === undefined ? 'insert' : after === undefined ? 'remove' : 'overwrite';
    return { key: toLatin1(key), delta, kind, boundLevel: kind === 'overwrite' ? 0 : this.#digests.boundLevel(key) };
  }
}

/** Makes the first branch of a level, with nothing in it, and writes the state that counts it. */
export function createLevel(tx: Transaction, level: number, state: Parameters<typeof encodeTreeState>[0]): void {
  tx.set(levelKey(tables.bound, level, emptyBytes), emptyBytes);
  tx.set(levelKey(tables.sum, level, emptyBytes), zeroSum());
  tx.set(treeStateKey, encodeTreeState(state));
  appendLog(tx, [{ kind: 'added', level, key: emptyBytes }]);
}

/** The sum of everything that the snapshot holds, made from the top level. */
export async function rootSum(snapshot: Snapshot, digests: MeshDigests): Promise<Sum> {
  const state = await readTreeState(snapshot);
  return rangeSum(snapshot, allKeys, state.active, digests);
}
