/** Clusters with their mesh, over links in memory that a test cuts and heals. */
import { type PeerLink } from '../../src/aae/checkedPeer.ts';
import { type FrameService } from '../../src/aae/frame.ts';
import { Responder } from '../../src/aae/responder.ts';
import { rootSum } from '../../src/aae/tree.ts';
import { toHex } from '../../src/core/bytes.ts';
import { GkvError } from '../../src/core/errors.ts';
import { type HostPort } from '../../src/core/hostPort.ts';
import { silentLog, type Log } from '../../src/core/ports.ts';
import { uuidText } from '../../src/core/uuid.ts';
import { inlineSignatures } from '../../src/crypto/ed25519.ts';
import { answerIdentity } from '../../src/mesh/identity.ts';
import { MemberKeys } from '../../src/mesh/memberKeys.ts';
import { Members, type MembersDeps } from '../../src/mesh/members.ts';
import { Mesh, meshTimes, type MeshTimes } from '../../src/mesh/mesh.ts';
import { type Links } from '../../src/mesh/ports.ts';
import { ProvenLinks } from '../../src/mesh/provenLinks.ts';
import { Prover } from '../../src/mesh/prover.ts';
import { SessionServer } from '../../src/mesh/sessionServer.ts';
import { runJobs, type Job } from '../../src/replica/jobs.ts';
import { noteOpening, openingIdBytes } from '../../src/replica/lineage.ts';
import { type ReceivedWrite } from '../../src/replica/proposal.ts';
import { type Stamp } from '../../src/core/stamp.ts';
import { realRandom } from '../../src/server/real.ts';
import { openInstance, set, type Instance, type InstanceOptions } from '../aae/world.ts';
import { TestClock, until } from '../support.ts';

/** Quick, but for exchanges: those that begin with following, and none after. */
const quick: MeshTimes = {
  ...meshTimes,
  waitMs: 200,
  membersMs: 10,
  repairMs: 600_000,
  closingMs: { least: 10, most: 40 },
  dayMs: 2_400,
};

export interface Cluster extends Instance, AsyncDisposable {
  readonly mesh: Mesh;
  readonly name: string;
  readonly address: HostPort;
  readonly lines: { level: string; fields: object; message: string }[];
}

export interface ClusterOptions extends InstanceOptions {
  readonly times?: Partial<MeshTimes>;
  /** Left out: it serves and does not do anything of its own accord. */
  readonly jobs?: 'run';
}

type Answering = Partial<Record<FrameService, (frame: Uint8Array) => Promise<Uint8Array>>>;

/** Who answers where, and who reaches whom. */
export class Network {
  readonly #answering = new Map<string, Answering>();
  readonly #cut = new Set<string>();
  /** Services that nobody is answered on. */
  readonly closed = new Set<FrameService>();
  /** Of each request that was made: from, to and service. */
  readonly asked: string[] = [];

  serve(address: HostPort, answering: Answering): void {
    this.#answering.set(nameOf(address), answering);
  }

  leave(address: HostPort): void {
    this.#answering.delete(nameOf(address));
  }

  /** Neither reaches the other. */
  cut(a: Cluster, b: Cluster): void {
    this.cutWay(a, b);
    this.cutWay(b, a);
  }

  /** `from` does not reach `to` any more. */
  cutWay(from: Cluster, to: Cluster): void {
    this.#cut.add(`${nameOf(from.address)}>${nameOf(to.address)}`);
  }

  heal(): void {
    this.#cut.clear();
  }

  linksOf(from: HostPort): Links {
    return { link: (to, service) => this.#link(nameOf(from), nameOf(to), service) };
  }

  #link(from: string, to: string, service: FrameService): PeerLink {
    const check = (): void => {
      if (this.#cut.has(`${from}>${to}`) || this.closed.has(service)) throw new GkvError('peer_unreachable', 'cut by the test');
    };
    return {
      ask: async (frame, signal) => {
        check();
        const answering = this.#answering.get(to);
        if (answering === undefined) throw new GkvError('peer_unreachable', `nobody is at ${to}`);
        this.asked.push(`${from}>${to} ${service}`);
        const answers = answering[service];
        if (answers === undefined) throw new GkvError('peer_protocol', `${to} does not serve ${service}`);
        const answer = await orAborted(answers(frame), signal);
        check();
        return answer;
      },
    };
  }
}

function nameOf({ host, port }: HostPort): string {
  return `${host}:${port}`;
}

function orAborted<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
  answer.catch(() => undefined);
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      reject(new Error('aborted'));
    };
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort);
    answer.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', abort);
    });
  });
}

export function recordingLog(lines: Cluster['lines']): Log {
  const at = (level: string) => (fields: object, message: string) => void lines.push({ level, fields, message });
  return { ...silentLog, error: at('error'), warn: at('warn'), info: at('info') };
}

export async function openCluster(network: Network, cluster: number, options: ClusterOptions = {}): Promise<Cluster> {
  const { clock = new TestClock(), incarnation = 1, jobs, times } = options;
  const instance = await openInstance({ seed: cluster * 10, ...options, clock, cluster });
  const { store, digests, replica, clusterId, random } = instance;
  await noteOpening(store, realRandom.bytes(openingIdBytes));
  const stop = new AbortController();
  const address = { host: 'cluster', port: cluster };
  const lines: Cluster['lines'] = [];
  const log = recordingLog(lines);
  const own = { clusterId, incarnation };
  const shared = { store, digests, own, replica, clock, random, log, isShared: false, ledger: instance.ledger };
  const { ledger } = instance;
  const memberKeys = new MemberKeys(store, (name) => mesh.isNamed(name));
  const prover =
    ledger &&
    options.granted &&
    new Prover({
      ...shared,
      ...(options.granted.scope && { scope: options.granted.scope }),
      ...{ ledger, memberKeys, signer: options.granted.signer, signatures: inlineSignatures() },
    });
  const sessions = prover && new SessionServer(prover);
  const links = network.linksOf(address);
  const mesh: Mesh = new Mesh({
    ...shared,
    links: prover === undefined ? links : new ProvenLinks(links, prover),
    observer: { page: () => undefined, exchange: () => undefined },
    times: { ...quick, ...times },
    signal: stop.signal,
  });
  const sink = {
    receive: (writes: readonly ReceivedWrite[], peer: string, asOf: Stamp) => replica.receive(writes, peer, mesh.standing(peer), asOf),
  };
  const responder = new Responder({ store, digests, clusterId, sink, clock, refusalOf: (peer) => mesh.refusalOf(peer) });
  const feed = sessions?.guarded('feed', mesh.feedServer) ?? mesh.feedServer;
  const exchange = sessions?.guarded('exchange', responder) ?? responder;
  network.serve(address, {
    feed: (frame) => feed.answer(frame),
    exchange: (frame) => exchange.answer(frame),
    identity: (frame) => Promise.resolve(answerIdentity(frame, { clusterId, regionName: '' }, digests)),
    ...(sessions && { session: (frame: Uint8Array) => sessions.answer(frame) }),
  });
  const parked = { name: 'parked', runsOn: 'one', pauseMs: () => 20, work: () => replica.retryParked().then(() => undefined) } as const;
  const settleAuthority: Job['work'] = (_store, signal) => replica.settleAuthority(signal).then(() => undefined);
  const authority: Job = { name: 'authority', runsOn: 'one', pauseMs: () => 20, work: settleAuthority };
  const kept = instance.ledger === undefined ? [parked] : [parked, authority];
  const running = runJobs(jobs === 'run' ? [...mesh.jobs, ...mesh.memberJobs, ...kept] : [], { store, leases: undefined, clock, log });
  return {
    ...instance,
    ...{ mesh, responder, name: toHex(clusterId), address, lines },
    [Symbol.asyncDispose]: async () => {
      network.leave(address);
      stop.abort();
      await running[Symbol.asyncDispose]();
      await replica.close();
    },
  };
}

/** What writes of this cluster that it joins, as its instance has it. `replica`: another way into its store. */
export function membersOf(of: Cluster, network: Network, replica: MembersDeps['replica'] = of.replica): Members {
  const { digests, random, clusterId, mesh, address } = of;
  const own = { clusterId, regionName: '' };
  const changed = (): Promise<void> => mesh.readMembers();
  const links = network.linksOf(address);
  return new Members({ replica, links, digests, random, own, changed, advertised: () => address, incarnationOf: () => 1 });
}

/** The record of a member, as an operator writes it. */
export function memberOp(of: Pick<Cluster, 'clusterId' | 'address'>, changes: object = {}): ReturnType<typeof set> {
  const record = { address: nameOf(of.address), regionName: `region ${of.address.port}`, ...changes };
  return set(`@system/peers/${uuidText(of.clusterId)}`, JSON.stringify(record));
}

export interface World extends AsyncDisposable {
  readonly network: Network;
  readonly clock: TestClock;
  readonly clusters: readonly Cluster[];
}

/** So many clusters that know of each other and run. */
export async function openWorld(count: number, options: ClusterOptions = {}): Promise<World> {
  const network = new Network();
  const clock = new TestClock();
  const clusters: Cluster[] = [];
  for (let n = 1; n <= count; n += 1) clusters.push(await openCluster(network, n, { clock, jobs: 'run', ...options }));
  for (const { replica } of clusters) await replica.write(clusters.map((each) => memberOp(each)));
  const close = async (): Promise<void> => {
    await Promise.all(clusters.map((cluster) => cluster[Symbol.asyncDispose]()));
  };
  return { network, clock, clusters, [Symbol.asyncDispose]: close };
}

export async function sumOf({ store, digests }: Instance): Promise<string> {
  return toHex(await store.read((snapshot) => rootSum(snapshot, digests)));
}

/** Waits until all hold the same. */
export async function untilEqual(clusters: readonly Instance[]): Promise<void> {
  await until(async () => new Set(await Promise.all(clusters.map(sumOf))).size === 1);
}
