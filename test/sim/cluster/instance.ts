import { type PeerLink } from '../../../src/aae/checkedPeer.ts';
import { Tree } from '../../../src/aae/tree.ts';
import { type Clock, type Log } from '../../../src/core/ports.ts';
import { type Stamp } from '../../../src/core/stamp.ts';
import { instanceOf, type MeshDigests } from '../../../src/crypto/mesh.ts';
import { Leases } from '../../../src/replica/lease.ts';
import { Replica } from '../../../src/replica/replica.ts';
import { fenceSlot, LeasedSlots } from '../../../src/replica/slots.ts';
import { runJobs } from '../../../src/server/background.ts';
import { settleIdentity, type ClusterIdentity } from '../../../src/server/identity.ts';
import { type Store } from '../../../src/store/store.ts';
import { type Handler } from '../network/network.ts';
import { type Stream } from '../kernel/streams.ts';
import { type Plant } from '../plants/plant.ts';
import { answers } from './answers.ts';
import { clusterJobs, instanceJobs, type JobSettings } from './jobs.ts';

/** What a process has to work with; everything of the world that it touches. */
export interface InstanceDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Stream;
  readonly log: Log;
  readonly digests: MeshDigests;
  readonly link: (address: string, path: string) => PeerLink;
  /** Addresses of the instances of other clusters. */
  readonly peers: () => readonly string[];
  readonly settings: JobSettings;
  readonly plant: Plant;
}

/** What an instance is made of; what is built on it, such as the mesh layer, takes its parts from here. */
export interface Parts extends InstanceDeps {
  readonly own: ClusterIdentity;
  readonly tree: Tree;
  readonly leases: Leases;
  readonly replica: Replica;
}

/** What clients use of an instance. */
export type Front = Pick<Replica, 'write' | 'get' | 'list'>;

/** One process, running: as `server/instance.ts` puts it together, without HTTP. */
export interface Instance {
  readonly own: ClusterIdentity;
  readonly front: Front;
  readonly answer: Handler;
  /** While the store is away, once a second. */
  refuseWaiting(): void;
  /** Takes what is below the floor away; until members agree on floors, the run says when. */
  collect(floor: Stamp): Promise<number>;
  /** The clean stop. */
  close(): Promise<void>;
}

const holderBytes = 16;

export async function openInstance(deps: InstanceDeps): Promise<Instance> {
  const { clock, random, log, digests, plant } = deps;
  const store = plant.store?.(deps.store) ?? deps.store;
  const own = await settleIdentity(store, { meshId: digests.meshId, meshKey: undefined }, random);
  const tree = await Tree.open(store, digests);
  const leases = new Leases({ store, clock, log, holder: random.bytes(holderBytes), onExpired: fenceSlot });
  const replica = await Replica.open({
    store,
    digests,
    instanceOf: (slot) => instanceOf(own.clusterId, own.incarnation, slot),
    slots: new LeasedSlots(store, leases, clock),
    clock,
    log,
    followers: [plant.follower?.(tree) ?? tree],
    feedPartitions: 1,
    observer: { commit: () => undefined },
  });
  const parts: Parts = { ...deps, store, own, tree, leases, replica };
  const shared = runJobs(clusterJobs(parts), { store: plant.jobStore?.(store, leases) ?? store, leases, clock, log });
  const each = runJobs(instanceJobs(parts), { store, leases: undefined, clock, log });
  return {
    own,
    front: plant.front?.(replica) ?? replica,
    answer: answers(parts),
    refuseWaiting: () => {
      replica.refuseWaiting();
    },
    collect: (floor) => replica.collect(floor, new AbortController().signal),
    close: async () => {
      await shared[Symbol.asyncDispose]();
      await each[Symbol.asyncDispose]();
      await replica.close();
      await leases[Symbol.asyncDispose]();
    },
  };
}
