import { type Tree } from '../aae/tree.ts';
import { type Log } from '../core/ports.ts';
import { everything, type Scope } from '../core/scope.ts';
import { instanceOf, type MeshDigests } from '../crypto/mesh.ts';
import { type Guard } from '../replica/guard.ts';
import { type CommitObserver } from '../replica/ingest.ts';
import { Leases } from '../replica/lease.ts';
import { LastRefusals } from '../replica/refused.ts';
import { Replica } from '../replica/replica.ts';
import { fenceSlot, fixedSlot, LeasedSlots } from '../replica/slots.ts';
import { type ClusterIdentity } from './identity.ts';
import { type OpenStore } from './openStore.ts';
import { realClock, realRandom } from './real.ts';
import { slotsWithin } from './scope.ts';

/** The only slot of the embedded store: one process holds it. */
const onlySlot = 0;
const holderBytes = 16;

export interface OpenReplicaDeps {
  readonly own: ClusterIdentity;
  readonly digests: MeshDigests;
  readonly tree: Tree;
  readonly observer: CommitObserver;
  readonly log: Log;
  /** Of a granted mesh. */
  readonly guard?: Guard | undefined;
  /** What the store is for, as it was read before; left out: everything. */
  readonly scope?: Scope;
}

/**
 * The replica under a slot of its own, what it refused last, and the leases that this process takes part in where it shares the store. `jobRank`: its
 * rank among those that do; see `LeasesDeps`.
 */
export async function openReplica(
  opened: OpenStore,
  { own, digests, tree, observer, log, guard, scope = everything }: OpenReplicaDeps,
  jobRank: number,
): Promise<{ leases: Leases | undefined; replica: Replica; refusals: LastRefusals }> {
  const { store, isShared, feedPartitions } = opened;
  const leases = isShared
    ? new Leases({ store, clock: realClock, log, holder: realRandom.bytes(holderBytes), rank: jobRank, onExpired: fenceSlot })
    : undefined;
  const refusals = new LastRefusals(realClock);
  const slots = leases === undefined ? fixedSlot(store, onlySlot) : new LeasedSlots(store, leases, realClock);
  try {
    const replica = await Replica.open({
      store,
      digests,
      instanceOf: (slot) => instanceOf(own.clusterId, own.incarnation, slot),
      slots: slotsWithin(slots, store, scope),
      clock: realClock,
      log,
      followers: [tree],
      feedPartitions,
      observer: {
        commit: (ms, writes, bytes) => {
          observer.commit(ms, writes, bytes);
        },
        refused: (writes) => {
          observer.refused(writes);
          refusals.refused(writes);
        },
      },
      guard,
    });
    opened.listen(() => {
      replica.refuseWaiting();
    });
    return { leases, replica, refusals };
  } catch (error) {
    await leases?.[Symbol.asyncDispose]();
    throw error;
  }
}
