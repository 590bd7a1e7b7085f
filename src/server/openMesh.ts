import { type WriteSink } from '../aae/responder.ts';
import { type Log } from '../core/ports.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { Mesh, type MeshObserver, meshTimes } from '../mesh/mesh.ts';
import { type Links } from '../mesh/ports.ts';
import { type Replica } from '../replica/replica.ts';
import { type ClusterIdentity } from './identity.ts';
import { type OpenStore } from './openStore.ts';
import { realClock, realRandom } from './real.ts';

export interface OpenMeshDeps {
  readonly own: ClusterIdentity;
  readonly digests: MeshDigests;
  readonly replica: Replica;
  readonly transport: Links;
  readonly metrics: MeshObserver;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** This instance's part in the mesh, and where writes go that exchanges bring: members may repair what is below the floor. */
export function openMesh(opened: OpenStore, deps: OpenMeshDeps): { mesh: Mesh; sink: WriteSink } {
  const { own, digests, replica, transport, metrics, log, signal } = deps;
  const mesh = new Mesh({
    store: opened.store,
    isShared: opened.isShared,
    digests,
    own,
    replica,
    links: transport,
    clock: realClock,
    random: realRandom,
    log,
    observer: metrics,
    times: meshTimes,
    signal,
  });
  const sink: WriteSink = { receive: (writes, peer) => replica.receive(writes, peer, mesh.isMember(peer) ? 'repairs' : 'plain') };
  return { mesh, sink };
}
