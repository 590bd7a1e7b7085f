import { Responder } from '../aae/responder.ts';
import { toHex } from '../core/bytes.ts';
import { type Log } from '../core/ports.ts';
import { type Scope } from '../core/scope.ts';
import { uuidText } from '../core/uuid.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { openAccess, TokenAccess } from '../http/access.ts';
import { createApi } from '../http/api.ts';
import { type HostRule } from '../http/gate.ts';
import { createMeshApp } from '../http/mesh.ts';
import { type Metrics } from '../http/metrics.ts';
import { type Identity, type RecordsView, type RefusalsView } from '../http/ports.ts';
import { type Leases } from '../replica/lease.ts';
import { type Replica } from '../replica/replica.ts';
import { createBackups } from './backups.ts';
import { isLoopback, type HostPort, type ServerConfig } from './config.ts';
import { type ClusterIdentity } from './identity.ts';
import { requestMsMax } from './listen.ts';
import { type OpenedMesh } from './openMesh.ts';
import { type OpenStore } from './openStore.ts';
import { createPuller } from './puller.ts';
import { realClock, realRandom } from './real.ts';
import { release } from './release.ts';
import { type Scrubbing } from './scrubbing.ts';
import { peerView, statusView } from './statusView.ts';
import { type TokenFile } from './tokenFile.ts';
import { treeSummary } from './treeSummary.ts';

export interface AppsDeps extends OpenedMesh {
  readonly opened: OpenStore;
  readonly config: ServerConfig;
  readonly own: ClusterIdentity & { readonly meshKey: Uint8Array };
  /** What the store is for. */
  readonly scope: Scope;
  readonly digests: MeshDigests;
  readonly replica: Replica;
  readonly scrubbing: Scrubbing;
  /** Undefined: nobody shares the store. */
  readonly leases: Leases | undefined;
  readonly refusals: RefusalsView;
  /** Undefined in an open mesh. */
  readonly records: RecordsView | undefined;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Undefined: nobody needs one. */
  readonly tokens: TokenFile | undefined;
  /** Why the instance is not ready; undefined: it is. */
  readonly unready: () => string | undefined;
  /** Ends what goes on for long. */
  readonly signal: AbortSignal;
}

/** What answers on the two ports, and whom it speaks for. */
export interface Apps {
  readonly api: ReturnType<ReturnType<typeof createApi>['callback']>;
  readonly mesh: ReturnType<ReturnType<typeof createMeshApp>['callback']>;
  readonly identity: Identity;
}

export function createApps(deps: AppsDeps): Apps {
  const { opened, config, own, scope, digests, replica, links, metrics, log, unready, signal, mesh, members, sink, tokens, sessions } =
    deps;
  const { store } = opened;
  const shared = { store, digests, clusterId: own.clusterId, sink, clock: realClock };
  const identity = { clusterId: uuidText(own.clusterId), meshId: toHex(own.meshId), region: config.region };
  const common = {
    clock: realClock,
    log,
    requestIdPrefix: toHex(realRandom.bytes(4)),
    bodyArrivalMsMax: requestMsMax,
    signal,
  };
  const api = createApi({
    ...common,
    store: replica,
    entries: replica,
    refusals: deps.refusals,
    records: deps.records,
    puller: createPuller({ ...shared, random: realRandom }, links, metrics, log),
    tree: { root: () => store.read((snapshot) => treeSummary(snapshot, digests)) },
    identity,
    backups: createBackups({ ...own, scope }, store, replica, mesh),
    status: statusView({
      opened,
      identity,
      scope,
      digests,
      replica,
      mesh,
      scrubbing: deps.scrubbing,
      leases: deps.leases,
      clock: realClock,
      unready,
    }),
    peers: { peers: () => mesh.records().map(peerView) },
    members: {
      add: async (address, regionName, signal) => peerView(await members.add(address, regionName, signal)),
      remove: (clusterId) => members.remove(clusterId),
    },
    access: tokens === undefined ? openAccess : new TokenAccess(() => tokens.table),
    health: { live: () => true, unready, ended: () => mesh.ended() },
    metrics,
    hosts: hostRule(config.listen, config.hostNames),
    release,
  });
  const responder = new Responder({ ...shared, refusalOf: (peer) => mesh.refusalOf(peer) });
  const meshApp = createMeshApp({
    ...common,
    hosts: hostRule(config.meshListen, []),
    responder: sessions?.guarded('exchange', responder) ?? responder,
    feed: sessions?.guarded('feed', mesh.feedServer) ?? mesh.feedServer,
    identity: deps.identity,
    session: sessions,
    observe: (answer) => {
      metrics.frame(answer);
    },
  });
  return { api: api.callback(), mesh: meshApp.callback(), identity };
}

function hostRule({ host }: HostPort, names: readonly string[]): HostRule {
  return { kind: isLoopback(host) ? 'loopback' : 'any-ip', names };
}
