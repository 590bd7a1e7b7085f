import { GkvError } from '../core/errors.ts';
import { latestOf } from '../core/frontier.ts';
import { type Clock } from '../core/ports.ts';
import { noteRenewal } from '../mesh/renewed.ts';
import { partOf } from '../mesh/words.ts';
import { readFrontier } from '../replica/frontier.ts';
import { assertUnserved, fenceAll } from '../replica/unserved.ts';
import { type Store } from '../store/store.ts';
import { assertNotRestoring, readIdentity, setIdentity, type ClusterIdentity } from './identity.ts';

/**
 * Gives a store that was restored from a copy a new incarnation, so that it may go on in its mesh. What it claimed to have of its own writes is claimed
 * no more, because others may hold some that this copy lost; cursors and what it has of others stay, and how old it is (M25). Errors: `data_locked` while an
 * instance serves from it; `bad_config` where it is empty.
 */
export async function renewStore(store: Store, clock: Clock): Promise<ClusterIdentity> {
  await assertUnserved(store, clock);
  return store.transact(async (tx) => {
    const stored = await readIdentity(tx);
    if (stored === undefined) {
      await assertNotRestoring(tx);
      throw new GkvError('bad_config', 'this store is empty: there is nothing to renew');
    }
    const renewed = { ...stored.identity, incarnation: stored.identity.incarnation + 1 };
    setIdentity(tx, renewed, stored.keyDigest);
    await fenceAll(tx);
    await noteRenewal(tx, latestOf(await readFrontier(tx, partOf(stored.identity))), stored.identity);
    return renewed;
  });
}
