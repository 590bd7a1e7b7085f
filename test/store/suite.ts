/** What every adapter of the store port must show; test/store/<adapter>.test.ts runs it on each. */
import { describeAtomics } from './suite/atomics.ts';
import { describeConflicts } from './suite/conflicts.ts';
import { describeLifetime } from './suite/lifetime.ts';
import { describeLimits } from './suite/limits.ts';
import { describeModel } from './suite/model.ts';
import { describeReads } from './suite/reads.ts';
import { describeSerialisability } from './suite/serialisability.ts';
import { describeTransactions } from './suite/transactions.ts';
import { type OpenStores } from './suite/stores.ts';

/** `open` gives an empty store each time. */
export function describeStore(name: string, open: OpenStores): void {
  describe(`store: ${name}`, () => {
    describeReads(open);
    describeTransactions(open);
    describeConflicts(open);
    describeAtomics(open);
    describeLimits(open);
    describeLifetime(open);
    describeModel(open);
    describeSerialisability(open);
  });
}

export { type OpenStores, type Stores } from './suite/stores.ts';
