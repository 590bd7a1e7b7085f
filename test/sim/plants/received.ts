import { type Replica } from '../../../src/replica/replica.ts';
import { type ReceivedWrite } from '../../../src/replica/proposal.ts';
import { type Plant } from './plant.ts';

/** Something happens to what a peer sent before it is taken in. */
function receiving(take: (replica: Replica, writes: readonly ReceivedWrite[]) => readonly ReceivedWrite[]): Plant {
  return { sink: (replica) => ({ receive: (writes, peer) => replica.receive(take(replica, writes), peer, 'repairs') }) };
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
