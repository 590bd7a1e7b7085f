import { compareStamps, parseStamp, stampZero, type Stamp } from '../core/stamp.ts';
import { readFloor } from '../replica/floor.ts';
import { storeKey, tables } from '../store/keyspace.ts';
import { type Store, type Transaction } from '../store/store.ts';
import { isTooOld } from './floor.ts';

/** meta "renewed at" → stamp: the greatest of all that the store had, of anybody, when it was given a new incarnation and had not met the others yet. */
const renewedAtKey = storeKey(tables.meta, Buffer.from('renewed at'));

/** `latest`: the greatest of all that the store has. What was noted before stays: nobody was met since. */
export async function noteRenewal(tx: Transaction, latest: Stamp): Promise<void> {
  if ((await tx.get(renewedAtKey)) === undefined) tx.set(renewedAtKey, latest);
}

/**
 * How old a copy is shows by what it has of others, unless these were given new incarnations too: then it has nothing of them as they are now, and
 * nothing of its own as it is now. So the copy's age is kept until a floor of the mesh was met with it.
 */
export class Renewal {
  readonly #store: Store;
  #isOver = false;

  constructor(store: Store) {
    this.#store = store;
  }

  /**
   * True where a floor, told by another, is above all that this store had when it was renewed. `hasLost`: whether that one has of our earlier incarnations what we
   * have not; undefined where it does not tell.
   */
  async isOlderThan(floor: Stamp, hasLost: () => Promise<boolean | undefined>): Promise<boolean> {
    if (this.#isOver || compareStamps(floor, stampZero) === 0) return false;
    const [row, own] = await this.#store.read((snapshot) => Promise.all([snapshot.get(renewedAtKey), readFloor(snapshot)]));
    if (row !== undefined) {
      // A floor that is no greater than ours may be theirs by us, whom nobody met before: then they lack nothing. Else we moved ours alone, as this copy knows of nobody.
      const isTheirs = compareStamps(floor, own) > 0 || (await hasLost());
      if (isTheirs === undefined) return false; // until somebody tells
      if (isTheirs && isTooOld(parseStamp(row), floor)) return true;
      await this.#store.transact((tx) => {
        tx.clear(renewedAtKey);
        return Promise.resolve();
      });
    }
    this.#isOver = true;
    return false;
  }
}
