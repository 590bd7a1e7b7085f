import { type EntryChange } from '../../../src/replica/follower.ts';
import { tables } from '../../../src/store/keyspace.ts';
import { type Plant } from './plant.ts';
import { forwardedTransaction, withTransactions } from '../../store/wrap.ts';

/** The tree hears of other changes than are made. */
function tellingTree(change: (changes: readonly EntryChange[]) => readonly EntryChange[]): Plant {
  return { follower: (tree) => ({ prepare: (tx, changes) => tree.prepare(tx, change(changes)) }) };
}

/** The sum of a branch is not adjusted where a write takes the place of another. */
export const sumNotAdjusted = tellingTree((changes) => changes.filter(({ before, after }) => before === undefined || after === undefined));

/** A bound stays where its key is collected: what it began is not merged into the branch before it. */
export const boundNotMerged = tellingTree((changes) => changes.map((change) => ({ ...change, after: change.after ?? [] })));

/** A branch is split by what one snapshot shows of it, whoever writes into its right half meanwhile. */
export const snapshotSplit: Plant = {
  store: (store) =>
    withTransactions(store, (tx) => ({
      ...forwardedTransaction(tx),
      range: (range, options) =>
        tx.range(range, range.start[0] === tables.head || range.start[0] === tables.sum ? { ...options, isolation: 'snapshot' } : options),
    })),
};

/** The feed keeps the row of a write that was overwritten. */
export const feedRowStays: Plant = {
  store: (store) =>
    withTransactions(store, (tx) => ({
      ...forwardedTransaction(tx),
      clear: (key) => {
        if (key[0] !== tables.feed) tx.clear(key);
      },
    })),
};
