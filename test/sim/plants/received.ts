import { type Replica } from '../../../src/replica/replica.ts';
import { type ReceivedWrite } from '../../../src/replica/proposal.ts';
import { withMethods } from '../cluster/replaced.ts';
import { type Plant } from './plant.ts';

/** Something happens to what a peer sent before it is taken in, whichever way it came. */
function receiving(take: (replica: Replica, writes: readonly ReceivedWrite[]) => readonly ReceivedWrite[]): Plant {
  const taking = (replica: Replica): Replica =>
    withMethods(replica, {
      receive: (writes, peer, ...how) => replica.receive(take(replica, writes), peer, ...how),
      receivePage: (writes, peer, move) => replica.receivePage(take(replica, writes), peer, move),
    });
  return {
    sink: (replica) => ({ receive: (writes, peer, asOf) => taking(replica).receive(writes, peer, 'repairs', asOf) }),
    mesh: (deps) => ({ ...deps, replica: taking(deps.replica) }),
  };
}

/** The clock follows every stamp that a peer sends, also those that are parked for being in the future. */
export const clockFollowsAll = receiving((replica, writes) => {
  for (const { write } of writes) replica.hlc.observe(write.version);
  return writes;
});

/** A delete is passed over where it comes together with other writes. */
export const deletesPassedOver = receiving((_replica, writes) =>
  writes.length > 1 ? writes.filter(({ write }) => !write.tombstone) : writes,
);
