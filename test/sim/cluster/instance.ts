import { type PeerLink } from '../../../src/aae/checkedPeer.ts';
import { Tree } from '../../../src/aae/tree.ts';
import { GkvError, type ErrorCode } from '../../../src/core/errors.ts';
import { clusterPartOf } from '../../../src/core/frontier.ts';
import { type HostPort } from '../../../src/core/hostPort.ts';
import { type Clock, type Log } from '../../../src/core/ports.ts';
import { makeStamp, physicalMsOf, stampZero } from '../../../src/core/stamp.ts';
import { instanceOf, type MeshDigests } from '../../../src/crypto/mesh.ts';
import { Members } from '../../../src/mesh/members.ts';
import { Mesh, type MeshDeps } from '../../../src/mesh/mesh.ts';
import { peerKey } from '../../../src/mesh/peers.ts';
import { type Links } from '../../../src/mesh/ports.ts';
import { Leases } from '../../../src/replica/lease.ts';
import { noteOpening, openingIdBytes } from '../../../src/replica/lineage.ts';
import { type ReceivedWrite } from '../../../src/replica/proposal.ts';
import { Replica } from '../../../src/replica/replica.ts';
import { type BatchResult } from '../../../src/replica/slot.ts';
import { fenceSlot, LeasedSlots } from '../../../src/replica/slots.ts';
import { runJobs } from '../../../src/replica/jobs.ts';
import { settleIdentity, type ClusterIdentity } from '../../../src/server/identity.ts';
import { Joining, settleJoin } from '../../../src/server/joining.ts';
import { contentOf } from '../../../src/server/statusView.ts';
import { type Store } from '../../../src/store/store.ts';
import { type Handler } from '../network/network.ts';
import { type Stream } from '../kernel/streams.ts';
import { type Plant } from '../plants/plant.ts';
import { answers } from './answers.ts';
import { openAuthority, type GrantedInstance, type InstanceAuthority } from './authority.ts';
import { clusterJobs, sinkOf, type JobSettings } from './jobs.ts';
import { shortPages } from './pages.ts';
import { regionOf, type RegionScopes } from './scopes.ts';

/** What a process has to work with; everything of the world that it touches. */
export interface InstanceDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Stream;
  readonly log: Log;
  readonly digests: MeshDigests;
  readonly link: (address: string, path: string) => PeerLink;
  /** The instance that a cluster's address leads to at the moment. */
  readonly resolve: (cluster: string) => string;
  readonly settings: JobSettings;
  readonly plant: Plant;
  /** That all instances of this cluster are reached under. */
  readonly address: HostPort;
  /** From whom an empty cluster is to be filled. */
  readonly donor: HostPort | undefined;
  /** Of a granted mesh. */
  readonly granted: GrantedInstance | undefined;
  /** Where some clusters hold parts: who holds which, and whose this is. */
  readonly held: Held | undefined;
}

interface Held {
  readonly scopes: RegionScopes;
  readonly region: number;
}

/** What an instance is made of; what is built on it, such as the mesh layer, takes its parts from here. */
export interface Parts extends InstanceDeps {
  readonly own: ClusterIdentity;
  readonly tree: Tree;
  readonly leases: Leases;
  readonly replica: Replica;
  readonly mesh: Mesh;
}

/** The ways by which writes come from others. */
export interface Intake {
  readonly feed: (writes: readonly ReceivedWrite[], peer: string) => Promise<readonly BatchResult[]>;
  readonly exchange: (writes: readonly ReceivedWrite[], peer: string) => Promise<readonly BatchResult[]>;
  /** The ms of the last stamp. */
  readonly lastMs: () => number;
}

/** What clients use of an instance. */
export type Front = Pick<Replica, 'write' | 'get' | 'list'>;

/** One process, running: as `server/instance.ts` puts it together, without HTTP. */
export interface Instance {
  readonly own: ClusterIdentity;
  readonly front: Front;
  readonly intake: Intake;
  /** Undefined where nothing is missing; else resolves when everything is here. */
  readonly joining: Promise<void> | undefined;
  readonly answer: Handler;
  /** Why its cluster takes no part in the mesh. */
  fault(): GkvError | undefined;
  /** Why nothing comes from the donor, while it is being filled. */
  donorFault(): ErrorCode | undefined;
  /** While the store is away, once a second. */
  refuseWaiting(): void;
  /** The clean stop. */
  close(): Promise<void>;
}

const holderBytes = 16;

export async function openInstance(deps: InstanceDeps): Promise<Instance> {
  const { clock, random, log, digests, settings, plant, held } = deps;
  const store = plant.store?.(deps.store) ?? deps.store;
  const own = await settleIdentity(store, { kind: digests.kind, meshId: digests.meshId, meshKey: undefined }, random);
  held?.scopes.note(own.clusterId, held.region);
  await noteOpening(store, random.bytes(openingIdBytes));
  const authority =
    deps.granted === undefined ? undefined : await openAuthority(store, deps.granted, log, plant, held?.scopes.of(held.region));
  const tree = await Tree.open(store, digests);
  const leases = new Leases({ store, clock, log, holder: random.bytes(holderBytes), rank: 100, onExpired: fenceSlot });
  const replica = await Replica.open({
    store,
    digests,
    instanceOf: (slot) => instanceOf(own.clusterId, own.incarnation, slot),
    slots: new LeasedSlots(store, leases, clock),
    clock,
    log,
    followers: [plant.follower?.(tree) ?? tree],
    feedPartitions: settings.feedPartitions,
    observer: { commit: () => undefined, refused: () => undefined },
    guard: authority?.guard,
  });
  const stopping = new AbortController();
  const { mesh, peers } = openMesh({ ...deps, store }, own, { replica, authority }, stopping.signal);
  const parts: Parts = { ...deps, store, own, tree, leases, replica, mesh };
  const jobDeps = { store: plant.jobStore?.(store, leases) ?? store, leases, clock, log };
  const joining = await join(parts, stopping.signal);
  const authorityJobs = authority?.of.jobs(plant.settling?.(replica) ?? replica) ?? [];
  const jobs = [runJobs([...clusterJobs(parts), ...authorityJobs, ...mesh.jobs], jobDeps)];
  const follow = (): void => void jobs.push(runJobs(mesh.memberJobs, jobDeps));
  if (joining === undefined) follow();
  const joined = joining?.(follow);
  let isFilling = joined !== undefined;
  joined?.then(
    () => (isFilling = false),
    () => undefined, // it is told who waits for it
  );
  return {
    own,
    front: plant.front?.(replica) ?? replica,
    intake: {
      feed: (writes, peer) => peers.receive(writes, peer),
      exchange: (writes, peer) => sinkOf(parts).receive(writes, peer, stampZero),
      lastMs: () => physicalMsOf(replica.hlc.last),
    },
    joining: joined,
    answer: answers(parts),
    fault: () => mesh.fault() ?? (isFilling ? refusalOf(mesh.donorError()) : undefined),
    donorFault: () => (isFilling ? mesh.donorError()?.code : undefined),
    refuseWaiting: () => {
      replica.refuseWaiting();
    },
    close: async () => {
      stopping.abort();
      await joined?.catch(() => undefined);
      await Promise.all(jobs.map((running) => running[Symbol.asyncDispose]()));
      await replica.close();
      await leases[Symbol.asyncDispose]();
    },
  };
}

/** Whoever asks why a cluster is not ready is told with what its donor refuses it. */
function refusalOf(error: ReturnType<Mesh['donorError']>): GkvError | undefined {
  return error?.code === 'must_bootstrap' ? new GkvError(error.code, error.message) : undefined;
}

/** How it becomes a member where its cluster is to be filled first, as `server/instance.ts` does it. */
async function join(parts: Parts, signal: AbortSignal): Promise<((follow: () => void) => Promise<void>) | undefined> {
  const { store, own, replica, mesh, digests, random, address, clock } = parts;
  const [record, { entries }] = await Promise.all([replica.get(peerKey(own.clusterId)), contentOf(store, digests)]);
  const donor = await settleJoin(store, parts.donor, { isMember: record.version !== null, entries });
  if (donor === undefined) return undefined;
  const self = { clusterId: own.clusterId, regionName: '' };
  const changed = (): Promise<void> => mesh.readMembers();
  const members = new Members({
    ...{ replica, links: linksOf(parts), digests, random, own: self, changed },
    advertised: () => address,
    incarnationOf: (clusterId) => mesh.incarnationOf(clusterId),
  });
  const joining = new Joining(donor, { store, mesh, members, kind: digests.kind, clock, log: parts.log, signal });
  return async (follow) => {
    await mesh.readMembers().catch(() => undefined);
    await joining.run(() => undefined, follow);
    parts.settings.counts.add('joined');
  };
}

function linksOf({ link, resolve, held }: Pick<InstanceDeps, 'link' | 'resolve' | 'held'>): Links {
  return {
    link: ({ host }, service) => ({
      ask: (frame, until) => link(resolve(host), `/${service}`).ask(frame, until),
      ...(held && { scopes: () => Promise.resolve(held.scopes.between(held.region, regionOf(host))) }),
    }),
  };
}

/** Its part in the mesh, as `server/openMesh.ts` makes it. */
function openMesh(
  { store, digests, link, resolve, held, clock, random, log, settings, plant }: InstanceDeps,
  own: ClusterIdentity,
  { replica, authority }: { readonly replica: Replica; readonly authority: InstanceAuthority | undefined },
  signal: AbortSignal,
): { mesh: Mesh; peers: Replica } {
  const links = linksOf({ link, resolve, held });
  const observer = {
    page: ({ writes }: { writes: number }): void => {
      settings.counts.add('feed: pages');
      settings.counts.add('feed: writes', writes);
    },
    exchange: () => undefined,
  };
  const part = clusterPartOf(makeStamp(0, 0, instanceOf(own.clusterId, own.incarnation, 0)));
  const source = { own: part, partitions: settings.feedPartitions };
  const short = shortPages(replica, store, source, settings.pageWrites);
  const ledger = authority?.of.ledger;
  const made = { store, digests, own, replica: short, links, clock, random, log, observer, times: settings.mesh, isShared: true, signal };
  const deps = { ...made, ledger };
  const planted: MeshDeps = plant.mesh?.(deps) ?? deps;
  return { mesh: new Mesh(planted), peers: planted.replica };
}
