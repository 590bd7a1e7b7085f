import { keepTree } from '../aae/grow.ts';
import { Responder } from '../aae/responder.ts';
import { scrub } from '../aae/scrub.ts';
import { rootSum, Tree } from '../aae/tree.ts';
import { toHex } from '../core/bytes.ts';
import { type Log } from '../core/ports.ts';
import { bytesOf, countOf } from '../core/sum.ts';
import { instanceOf, MeshDigests } from '../crypto/mesh.ts';
import { createApi } from '../http/api.ts';
import { type HostRule } from '../http/gate.ts';
import { createMeshApp } from '../http/mesh.ts';
import { Metrics } from '../http/metrics.ts';
import { Transport } from '../mesh/transport.ts';
import { Replica } from '../replica/replica.ts';
import { type Store } from '../store/store.ts';
import { runJobs, type Job } from './background.ts';
import { isLoopback, type HostPort, type ServerConfig } from './config.ts';
import { settleIdentity, uuidText } from './identity.ts';
import { requestMsMax } from './listen.ts';
import { createPuller } from './puller.ts';
import { realClock, realRandom } from './real.ts';
import { release } from './release.ts';
import { treeSummary } from './treeSummary.ts';

const parkedRetryMs = 2_000;
const treeKeepMs = 1_000;
const scrubPauseMs = 3_600_000;
/** The only slot of the embedded store: one process holds it. */
const embeddedSlot = 0;

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

export async function openInstance(store: Store, config: ServerConfig, log: Log): Promise<Instance> {
  const own = await settleIdentity(store, config, realRandom);
  const digests = new MeshDigests({ id: own.meshId, key: own.meshKey });
  const tree = await Tree.open(store, digests);
  const stopping = new AbortController();
  const metrics: Metrics = new Metrics(
    {
      entries: () => contentOf(store, digests),
      parked: () => replica.parkedCount(),
      clockAheadMs: () => replica.hlc.aheadMs(),
    },
    log,
  );
  const replica: Replica = await Replica.open({
    store,
    digests,
    instance: instanceOf(own.clusterId, own.incarnation, embeddedSlot),
    slot: embeddedSlot,
    clock: realClock,
    log,
    followers: [tree],
    feedPartitions: 1,
    observer: metrics,
  });
  const shared = { store, digests, clusterId: own.clusterId, sink: replica, clock: realClock };
  const transport = new Transport();
  const identity = { clusterId: uuidText(own.clusterId), meshId: toHex(own.meshId), region: config.region };
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
    puller: createPuller({ ...shared, random: realRandom }, transport, metrics, log),
    tree: { root: () => store.read((snapshot) => treeSummary(snapshot, digests)) },
    identity,
    health: { live: () => true, ready: () => !stopping.signal.aborted },
    metrics,
    hosts: hostRule(config.listen, config.hostNames),
    release,
  });
  const mesh = createMeshApp({ ...common, hosts: hostRule(config.meshListen, []), responder: new Responder(shared) });
  const jobs = runJobs(jobsOf(store, digests, replica, log), realClock, log);
  return {
    apps: { api: api.callback(), mesh: mesh.callback() },
    identity,
    stopping,
    close: async () => {
      await jobs[Symbol.asyncDispose]();
      await replica.close();
      await transport[Symbol.asyncDispose]();
    },
  };
}

function hostRule({ host }: HostPort, names: readonly string[]): HostRule {
  return { kind: isLoopback(host) ? 'loopback' : 'any-ip', names };
}

function jobsOf(store: Store, digests: MeshDigests, replica: Replica, log: Log): Job[] {
  return [
    {
      name: 'parked writes',
      pauseMs: parkedRetryMs,
      work: async () => {
        await replica.retryParked();
      },
    },
    { name: 'tree levels', pauseMs: treeKeepMs, work: (signal) => keepTree(store, digests, signal) },
    {
      name: 'scrub',
      pauseMs: scrubPauseMs,
      work: async (signal) => {
        await scrub(store, digests, log, signal);
      },
    },
  ];
}

async function contentOf(store: Store, digests: MeshDigests): Promise<{ entries: number; bytes: number }> {
  const sum = await store.read((snapshot) => rootSum(snapshot, digests));
  return { entries: countOf(sum), bytes: bytesOf(sum) };
}
