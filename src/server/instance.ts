import { keepTree } from '../aae/grow.ts';
import { Responder } from '../aae/responder.ts';
import { scrub } from '../aae/scrub.ts';
import { Tree } from '../aae/tree.ts';
import { toHex } from '../core/bytes.ts';
import { type Log } from '../core/ports.ts';
import { MeshDigests } from '../crypto/mesh.ts';
import { createApi } from '../http/api.ts';
import { type HostRule } from '../http/gate.ts';
import { createMeshApp } from '../http/mesh.ts';
import { Metrics } from '../http/metrics.ts';
import { Transport } from '../mesh/transport.ts';
import { type Replica } from '../replica/replica.ts';
import { runJobs, type Job } from '../replica/jobs.ts';
import { isLoopback, type HostPort, type ServerConfig } from './config.ts';
import { settleIdentity } from './identity.ts';
import { uuidText } from '../core/uuid.ts';
import { requestMsMax } from './listen.ts';
import { openMesh } from './openMesh.ts';
import { openReplica } from './openReplica.ts';
import { type OpenStore } from './openStore.ts';
import { createPuller } from './puller.ts';
import { realClock, realRandom } from './real.ts';
import { release } from './release.ts';
import { contentOf, peerStatus, peerView, statusView } from './statusView.ts';
import { type TlsPorts } from './tlsPorts.ts';
import { treeSummary } from './treeSummary.ts';

const parkedRetryMs = 2_000;
const treeKeepMs = 1_000;
const scrubPauseMs = 3_600_000;

/** One instance on an open store, not yet listening. */
export interface Instance {
  readonly apps: {
    readonly api: ReturnType<ReturnType<typeof createApi>['callback']>;
    readonly mesh: ReturnType<ReturnType<typeof createMeshApp>['callback']>;
  };
  readonly identity: { readonly clusterId: string; readonly meshId: string; readonly region: string };
  /** Aborting it makes the instance not ready and ends pulls. */
  readonly stopping: AbortController;
  close(): Promise<void>;
}

export async function openInstance(opened: OpenStore, config: ServerConfig, log: Log, tls: TlsPorts): Promise<Instance> {
  const { store } = opened;
  const own = await settleIdentity(store, config, realRandom);
  const digests = new MeshDigests({ id: own.meshId, key: own.meshKey });
  const tree = await Tree.open(store, digests);
  const stopping = new AbortController();
  const metrics: Metrics = new Metrics(
    {
      entries: () => contentOf(store, digests),
      parked: () => replica.parkedCount(),
      clockAheadMs: () => replica.hlc.aheadMs(),
      storeAvailable: () => opened.available(),
      storeRetries: () => opened.retries(),
      peers: async () => (await mesh.view()).members.map(peerStatus),
      tlsEndsInMs: () => tls.endsInMs(),
    },
    log,
  );
  const { leases, replica } = await openReplica(opened, { own, digests, tree, observer: metrics, log });
  const transport = new Transport(undefined, tls.mesh?.material);
  tls.mesh?.onChange((material) => {
    transport.renew(material);
  });
  const { mesh, sink } = openMesh(opened, { own, digests, replica, transport, metrics, log, signal: stopping.signal });
  const shared = { store, digests, clusterId: own.clusterId, sink, clock: realClock };
  const identity = { clusterId: uuidText(own.clusterId), meshId: toHex(own.meshId), region: config.region };
  const ready = (): boolean => !stopping.signal.aborted && opened.available();
  const common = {
    clock: realClock,
    log,
    requestIdPrefix: toHex(realRandom.bytes(4)),
    bodyArrivalMsMax: requestMsMax,
    signal: stopping.signal,
  };
  const api = createApi({
    ...common,
    store: replica,
    entries: replica,
    puller: createPuller({ ...shared, random: realRandom }, transport, metrics, log),
    tree: { root: () => store.read((snapshot) => treeSummary(snapshot, digests)) },
    identity,
    status: statusView({ opened, identity, digests, replica, mesh, ready }),
    peers: { peers: () => mesh.records().map(peerView) },
    health: { live: () => true, ready },
    metrics,
    hosts: hostRule(config.listen, config.hostNames),
    release,
  });
  const meshApp = createMeshApp({
    ...common,
    hosts: hostRule(config.meshListen, []),
    responder: new Responder(shared),
    feed: mesh.feedServer,
  });
  const jobs = runJobs([...jobsOf(digests, replica, log), ...mesh.jobs], { store, leases, clock: realClock, log });
  return {
    apps: { api: api.callback(), mesh: meshApp.callback() },
    identity,
    stopping,
    close: async () => {
      await jobs[Symbol.asyncDispose]();
      await replica.close();
      await leases?.[Symbol.asyncDispose]();
      await transport[Symbol.asyncDispose]();
    },
  };
}

function hostRule({ host }: HostPort, names: readonly string[]): HostRule {
  return { kind: isLoopback(host) ? 'loopback' : 'any-ip', names };
}

function jobsOf(digests: MeshDigests, replica: Replica, log: Log): Job[] {
  return [
    {
      name: 'parked writes',
      pauseMs: () => parkedRetryMs,
      runsOn: 'one',
      work: async () => {
        await replica.retryParked();
      },
    },
    { name: 'tree levels', pauseMs: () => treeKeepMs, runsOn: 'one', work: (store, signal) => keepTree(store, digests, signal) },
    {
      name: 'scrub',
      pauseMs: () => scrubPauseMs,
      runsOn: 'one',
      work: async (store, signal) => {
        await scrub(store, digests, log, signal);
      },
    },
  ];
}
