import { pino } from 'pino';
import { Driver, type PullReport } from '../aae/driver.ts';
import { keepTree } from '../aae/grow.ts';
import { Responder } from '../aae/responder.ts';
import { readTreeState } from '../aae/records.ts';
import { scrub } from '../aae/scrub.ts';
import { levelRows } from '../aae/sums.ts';
import { rootSum, Tree } from '../aae/tree.ts';
import { toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { allKeys } from '../core/key.ts';
import { type Log } from '../core/ports.ts';
import { bytesOf, countOf } from '../core/sum.ts';
import { instanceOf, MeshDigests } from '../crypto/mesh.ts';
import { createApi } from '../http/api.ts';
import { type HostRule } from '../http/gate.ts';
import { createMeshApp } from '../http/mesh.ts';
import { Metrics } from '../http/metrics.ts';
import { type PullRequest, type TreeSummary } from '../http/ports.ts';
import { Transport } from '../mesh/transport.ts';
import { Replica } from '../replica/replica.ts';
import { openLmdbStore } from '../store/lmdb/store.ts';
import { type Store } from '../store/store.ts';
import { runJobs } from './background.ts';
import { isLoopback, type HostPort, type ServerConfig } from './config.ts';
import { settleIdentity, uuidText } from './identity.ts';
import { listen, requestMsMax, type Listener } from './listen.ts';
import { realClock, realRandom } from './real.ts';
import { release } from './release.ts';

export interface RunningServer extends AsyncDisposable {
  readonly apiUrl: string;
  readonly meshAddress: string;
  readonly clusterId: string;
  readonly meshId: string;
}

const parkedRetryMs = 2_000;
const treeKeepMs = 1_000;
const scrubPauseMs = 3_600_000;
/** The only slot of the embedded store: one process holds it. */
const embeddedSlot = 0;

/** The composition root: puts one instance together and serves until disposed of, which takes no more, finishes, commits and closes. */
export async function start(config: ServerConfig): Promise<RunningServer> {
  const log = pino({ level: config.logLevel }, pino.destination({ fd: 2, sync: true }));
  if (config.insecurePlaintext) log.warn({}, 'started with --insecure-plaintext: whoever reaches the ports may read and write everything');
  const store = await openLmdbStore({ dir: config.data, clock: realClock, random: realRandom, log });
  try {
    return await serveOn(store, config, log);
  } catch (error) {
    await store[Symbol.asyncDispose]();
    throw error;
  }
}

async function serveOn(store: Store, config: ServerConfig, log: Log): Promise<RunningServer> {
  const instance = await openInstance(store, config, log);
  const { api: apiListener, mesh: meshListener } = await listenOnBoth(instance, config).catch(async (error: unknown) => {
    await instance.close();
    throw error;
  });
  const { clusterId, meshId } = instance.identity;
  log.info({ api: apiListener.address, mesh: meshListener.address, clusterId, meshId, region: config.region }, 'ready');
  return {
    apiUrl: `http://${apiListener.address}`,
    meshAddress: meshListener.address,
    clusterId,
    meshId,
    [Symbol.asyncDispose]: async () => {
      instance.stopping.abort(new GkvError('unavailable', 'this instance is stopping'));
      await Promise.all([apiListener[Symbol.asyncDispose](), meshListener[Symbol.asyncDispose]()]);
      await instance.close();
      await store[Symbol.asyncDispose]();
      log.info({}, 'stopped');
    },
  };
}

async function listenOnBoth({ apps }: Instance, config: ServerConfig): Promise<{ api: Listener; mesh: Listener }> {
  const mesh = await listen(apps.mesh, config.meshListen);
  try {
    return { api: await listen(apps.api, config.listen), mesh };
  } catch (error) {
    await mesh[Symbol.asyncDispose]();
    throw error;
  }
}

interface Instance {
  readonly apps: { readonly api: ReturnType<ReturnType<typeof createApi>['callback']>; readonly mesh: ReturnType<ReturnType<typeof createMeshApp>['callback']> };
  readonly identity: { readonly clusterId: string; readonly meshId: string; readonly region: string };
  readonly stopping: AbortController;
  close(): Promise<void>;
}

async function openInstance(store: Store, config: ServerConfig, log: Log): Promise<Instance> {
  const own = await settleIdentity(store, config, realRandom);
  const digests = new MeshDigests({ id: own.meshId, key: own.meshKey });
  const tree = await Tree.open(store, digests);
  const stopping = new AbortController();
  const metrics: Metrics = new Metrics(
    {
      entries: () => store.read(async (snapshot) => counts(await rootSum(snapshot, digests))),
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
    puller: { pull },
    tree: { root: () => store.read((snapshot) => treeSummary(snapshot, digests)) },
    identity,
    health: { live: () => true, ready: () => !stopping.signal.aborted },
    metrics,
    hosts: hostRule(config.listen),
    release,
  });
  const mesh = createMeshApp({ ...common, hosts: hostRule(config.meshListen), responder: new Responder(shared) });
  const jobs = runJobs(
    [
      { name: 'parked writes', pauseMs: parkedRetryMs, work: async () => void (await replica.retryParked()) },
      { name: 'tree levels', pauseMs: treeKeepMs, work: (signal) => keepTree(store, digests, signal) },
      { name: 'scrub', pauseMs: scrubPauseMs, work: async (signal) => void (await scrub(store, digests, log, signal)) },
    ],
    realClock,
    log,
  );

  async function pull(request: PullRequest): Promise<PullReport> {
    const { range: scope, direction, onProgress, signal } = request;
    const options = { scope, direction, onProgress, signal };
    const driver = new Driver({ ...shared, random: realRandom }, transport.link(request.host, request.port), options);
    try {
      const report = await driver.run();
      metrics.exchange({ kind: 'done', report });
      log.info({ peer: `${request.host}:${request.port}`, ...report }, 'pulled');
      return report;
    } catch (error) {
      metrics.exchange({ kind: 'failed', code: error instanceof GkvError ? error.code : 'internal' });
      throw error;
    }
  }

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

function hostRule({ host }: HostPort): HostRule {
  return { kind: isLoopback(host) ? 'loopback' : 'any-ip', names: [] };
}

function counts(sum: Parameters<typeof countOf>[0]): { entries: number; bytes: number } {
  return { entries: countOf(sum), bytes: bytesOf(sum) };
}

async function treeSummary(snapshot: Parameters<typeof rootSum>[0], digests: MeshDigests): Promise<TreeSummary> {
  const { active } = await readTreeState(snapshot);
  const sum = await rootSum(snapshot, digests);
  const { length } = await levelRows(snapshot, allKeys, active);
  return { sum: toHex(sum), count: countOf(sum), bytes: bytesOf(sum), levels: active, topBranches: length };
}
