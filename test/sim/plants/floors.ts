import { lowOf } from '../../../src/core/frontier.ts';
import { makeStamp, physicalMsOf, type Stamp } from '../../../src/core/stamp.ts';
import { instanceOf } from '../../../src/crypto/mesh.ts';
import { tables } from '../../../src/store/keyspace.ts';
import { meshReplica } from './feed.ts';
import { type Plant } from './plant.ts';
import { forwardedTransaction, withTransactions } from '../../store/wrap.ts';

/** The floor is what this cluster has, whatever the others have. */
export const floorOfOwnLow = meshReplica((replica, { own, times }) => ({
  raiseFloor: async () => {
    const frontier = await replica.frontier();
    const low = lowOf(frontier, frontier.keys());
    return replica.raiseFloor(floorAt(physicalMsOf(low) - times.dayMs, own));
  },
}));

/** The floor is a day ago, by this cluster's clock. */
export const floorByClock = meshReplica((replica, { own, times, clock }) => ({
  raiseFloor: () => replica.raiseFloor(floorAt(clock.now() - times.dayMs, own)),
}));

function floorAt(ms: number, { clusterId, incarnation }: { clusterId: Uint8Array; incarnation: number }): Stamp {
  return makeStamp(Math.max(0, ms), 0, instanceOf(clusterId, incarnation, 0));
}

/** What is below the floor is taken in. */
export const takenBelowFloor: Plant = {
  store: (store) =>
    withTransactions(store, (tx) => {
      let isIngest = false;
      return {
        ...forwardedTransaction(tx),
        get: (key, isolation) => {
          isIngest ||= key[0] === tables.slot;
          return isIngest && key[0] === tables.floor ? Promise.resolve(undefined) : tx.get(key, isolation);
        },
      };
    }),
};
