import { type WriteSink } from '../aae/responder.ts';
import { type HostPort } from '../core/hostPort.ts';
import { type Log } from '../core/ports.ts';
import { type Scope } from '../core/scope.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type Ledger } from '../grant/ledger.ts';
import { answerIdentity } from '../mesh/identity.ts';
import { MemberKeys } from '../mesh/memberKeys.ts';
import { Members } from '../mesh/members.ts';
import { type FollowingObserver } from '../mesh/following.ts';
import { Mesh, meshTimes } from '../mesh/mesh.ts';
import { type FrameAnswering, type Links } from '../mesh/ports.ts';
import { ProvenLinks } from '../mesh/provenLinks.ts';
import { Prover, type ProverDeps } from '../mesh/prover.ts';
import { SessionServer } from '../mesh/sessionServer.ts';
import { type Replica } from '../replica/replica.ts';
import { type ClusterIdentity } from './identity.ts';
import { type OpenStore } from './openStore.ts';
import { realClock, realRandom } from './real.ts';

export interface OpenMeshDeps {
  readonly own: ClusterIdentity;
  readonly regionName: string;
  /** Where others reach us; undefined: nowhere that we know. */
  readonly advertised: () => HostPort | undefined;
  readonly digests: MeshDigests;
  readonly replica: Replica;
  readonly transport: Links;
  readonly metrics: FollowingObserver;
  readonly log: Log;
  /** The mesh's day. */
  readonly dayMs: number;
  /** Of a granted mesh. */
  readonly authority: (Pick<ProverDeps, 'signer' | 'signatures'> & { readonly ledger: Ledger }) | undefined;
  /** What the store is for. */
  readonly scope: Scope;
  readonly signal: AbortSignal;
}

export interface OpenedMesh {
  readonly mesh: Mesh;
  readonly members: Members;
  /** Where writes go that exchanges bring: members may repair what is below the floor. */
  readonly sink: WriteSink;
  /** Says who we are. */
  readonly identity: FrameAnswering;
  /** To peers; in a granted mesh, what goes over them is proved. */
  readonly links: Links;
  /** The answering side of that; undefined in an open mesh. */
  readonly sessions: SessionServer | undefined;
}

/** This instance's part in the mesh. */
export function openMesh(opened: OpenStore, deps: OpenMeshDeps): OpenedMesh {
  const { own, digests, replica, transport, metrics, log, dayMs, authority, scope, signal } = deps;
  const memberKeys = new MemberKeys(opened.store, (name) => mesh.isNamed(name));
  const prover = authority && new Prover({ ...authority, scope, own, digests, memberKeys, clock: realClock, random: realRandom });
  const proven = prover && new ProvenLinks(transport, prover);
  const links = proven ?? transport;
  const self = { clusterId: own.clusterId, regionName: deps.regionName };
  const mesh: Mesh = new Mesh({
    store: opened.store,
    isShared: opened.isShared,
    digests,
    own,
    replica,
    links,
    clock: realClock,
    random: realRandom,
    log,
    observer: metrics,
    times: { ...meshTimes, dayMs },
    ledger: authority?.ledger,
    signal,
  });
  const sink: WriteSink = { receive: (writes, peer, asOf) => replica.receive(writes, peer, mesh.standing(peer), asOf) };
  const members = new Members({
    replica,
    links,
    digests,
    random: realRandom,
    own: self,
    prove: proven && ((address, until) => proven.prove(address, until)),
    incarnationOf: (clusterId) => mesh.incarnationOf(clusterId),
    advertised: deps.advertised,
    changed: () => mesh.readMembers(),
  });
  const answer = (frame: Uint8Array): Promise<Uint8Array> => Promise.resolve().then(() => answerIdentity(frame, self, digests));
  return { mesh, members, sink, identity: { answer }, links, sessions: prover && new SessionServer(prover) };
}
