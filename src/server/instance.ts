import { Tree } from '../aae/tree.ts';
import { type Log } from '../core/ports.ts';
import { everything, type Scope } from '../core/scope.ts';
import { MeshDigests } from '../crypto/mesh.ts';
import { Metrics } from '../http/metrics.ts';
import { type JoinProgress } from '../mesh/bootstrap.ts';
import { peerKey } from '../mesh/peers.ts';
import { Transport } from '../mesh/transport.ts';
import { runJobs } from '../replica/jobs.ts';
import { noteOpening, openingIdBytes } from '../replica/lineage.ts';
import { Reader } from '../replica/read.ts';
import { type Store } from '../store/store.ts';
import { createApps, type Apps } from './apps.ts';
import { StoreAuthority } from './authority.ts';
import { isWildcard, type GrantedStart, type HostPort, type ServerConfig } from './config.ts';
import { settleIdentity } from './identity.ts';
import { jobsOf } from './jobs.ts';
import { joinAndFollow, Joining, settleJoin, type Holdings } from './joining.ts';
import { openMesh } from './openMesh.ts';
import { openReplica } from './openReplica.ts';
import { type OpenStore } from './openStore.ts';
import { type PortFiles } from './portFiles.ts';
import { readingsOf, type ReadingsDeps } from './readings.ts';
import { realClock, realRandom } from './real.ts';
import { recordsView } from './recordsView.ts';
import { settleScope } from './scope.ts';
import { Scrubbing } from './scrubbing.ts';
import { contentOf } from './statusView.ts';

/** One instance on an open store, not yet listening. */
export interface Instance {
  readonly apps: Apps;
  /** From whom it must be filled before it is ready; undefined: from nobody. */
  readonly donor: HostPort | undefined;
  /** Aborting it makes the instance not ready and ends pulls. */
  readonly stopping: AbortController;
  /** Makes a ready instance say that it is not, and goes on for so long, in ms. */
  drain(ms: number): Promise<void>;
  /** After the last write was acknowledged: resolves once the peers that follow have it, or after a while. */
  handOver(): Promise<void>;
  /** Aborting it answers the peers that wait for changes. */
  readonly leaving: AbortController;
  /** Takes part in the mesh, once its mesh port listens there. Resolves when everything is here. Errors: those of `Joining.run`. */
  begin(meshAddress: HostPort, onProgress: (progress: JoinProgress) => void): Promise<void>;
  close(): Promise<void>;
}

export interface InstanceConfig extends ServerConfig {
  /** Undefined: an open mesh. */
  readonly granted: GrantedStart | undefined;
}

export async function openInstance(opened: OpenStore, config: InstanceConfig, log: Log, { tls, tokens }: PortFiles): Promise<Instance> {
  const { store } = opened;
  const own = await settleOwn(store, config);
  const digests = new MeshDigests({ id: own.meshId, key: own.meshKey, kind: own.kind });
  const { authority, scope } = await openAuthority(opened, config.granted, log);
  const tree = await Tree.open(store, digests);
  const donor = await settleJoin(store, config.join, await holdingsOf(store, own.clusterId, digests));
  const [stopping, leaving] = [new AbortController(), new AbortController()];
  const made = (): ReturnType<ReadingsDeps['made']> => ({ replica, mesh, scrubbing });
  const metrics: Metrics = new Metrics(readingsOf({ opened, digests, tls, clock: realClock, region: config.region, made }), log);
  const deps = { own, digests, tree, observer: metrics, log, guard: authority?.guard, scope };
  const { leases, replica, refusals } = await openReplica(opened, deps, config.jobRank);
  const scrubbing = new Scrubbing({ digests, clock: realClock, random: realRandom, log, leases });
  const transport = new Transport(undefined, tls.mesh?.material);
  tls.mesh?.onChange((material) => {
    transport.renew(material);
  });
  let listensAt = config.meshListen;
  const advertised = (): HostPort | undefined => config.advertise ?? (isWildcard(listensAt.host) ? undefined : listensAt);
  const inMesh = openMesh(opened, {
    ...{ own, digests, replica, transport, metrics, log, advertised },
    regionName: config.region,
    dayMs: config.dayMs,
    ...{ authority, scope },
    signal: leaving.signal,
  });
  const { mesh } = inMesh;
  const joining = donor && new Joining(donor, { store, ...inMesh, kind: own.kind, clock: realClock, log, signal: stopping.signal });
  let isDraining = false;
  const unready = (): string | undefined => {
    if (isDraining || stopping.signal.aborted) return 'it is stopping';
    if (opened.available()) return mesh.unready() ?? joining?.unready();
    return opened.isLocked() ? 'its store is locked' : 'its store does not answer';
  };
  const records = config.granted && recordsView(store, own.meshId);
  const shared = { opened, records, config, own, scope, digests, replica, scrubbing, leases, refusals, metrics, log, tokens, unready };
  const apps = createApps({ ...shared, ...inMesh, signal: stopping.signal });
  const jobDeps = { store, leases, clock: realClock, log };
  const jobs = [runJobs([...jobsOf(digests, replica, scrubbing), ...(authority?.jobs(replica) ?? []), ...mesh.jobs], jobDeps)];
  let beginning: Promise<void> = Promise.resolve();
  const begin = async (onProgress: (progress: JoinProgress) => void): Promise<void> => {
    await mesh.readMembers().catch(() => undefined); // a job of the mesh does it again
    await joinAndFollow(joining, onProgress, () => void jobs.push(runJobs(mesh.memberJobs, jobDeps)));
  };
  return {
    ...{ apps, donor, stopping, leaving },
    drain: async (ms) => {
      if (ms === 0 || unready() !== undefined) return;
      isDraining = true;
      await realClock.sleep(ms);
    },
    handOver: () => mesh.feedServer.handOver(),
    begin: (meshAddress, onProgress) => {
      listensAt = meshAddress;
      beginning = begin(onProgress);
      return beginning;
    },
    close: async () => {
      await beginning.catch(() => undefined); // who began was told
      await Promise.all(jobs.map((running) => running[Symbol.asyncDispose]()));
      await replica.close();
      await leases?.[Symbol.asyncDispose]();
      await transport[Symbol.asyncDispose]();
    },
  };
}

/** What is known of a granted mesh's authority, and what the store is for. */
async function openAuthority(
  opened: OpenStore,
  granted: GrantedStart | undefined,
  log: Log,
): Promise<{ authority: StoreAuthority | undefined; scope: Scope }> {
  if (granted === undefined) return { authority: undefined, scope: everything };
  const authority = await StoreAuthority.open(opened.store, granted, log);
  const { ledger, signer, guard } = authority;
  const scope = await settleScope({ opened, ledger, signer, clock: realClock, log });
  guard.confine(scope);
  return { authority, scope };
}

/** Who this cluster is, once this start of an instance is noted. */
async function settleOwn(store: Store, config: InstanceConfig): ReturnType<typeof settleIdentity> {
  const { granted } = config;
  const wanted = granted === undefined ? { ...config, kind: 'open' as const } : { ...granted, kind: 'granted' as const };
  const own = await settleIdentity(store, wanted, realRandom, config.join);
  await noteOpening(store, realRandom.bytes(openingIdBytes));
  return own;
}

async function holdingsOf(store: Store, clusterId: Uint8Array, digests: MeshDigests): Promise<Holdings> {
  const [record, { entries }] = await Promise.all([new Reader(store, realClock).get(peerKey(clusterId)), contentOf(store, digests)]);
  return { isMember: record.version !== null, entries };
}
