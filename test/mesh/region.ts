/** Clusters in memory that follow one another in real time, each on a database that can be copied. */
import assert from 'node:assert/strict';
import { Responder } from '../../src/aae/responder.ts';
import { rootSum, Tree } from '../../src/aae/tree.ts';
import { toHex } from '../../src/core/bytes.ts';
import { GkvError } from '../../src/core/errors.ts';
import { silentLog, type Clock } from '../../src/core/ports.ts';
import { type Stamp } from '../../src/core/stamp.ts';
import { uuidText } from '../../src/core/uuid.ts';
import { instanceOf } from '../../src/crypto/mesh.ts';
import { Mesh, type MeshTimes } from '../../src/mesh/mesh.ts';
import { runJobs } from '../../src/replica/jobs.ts';
import { noteOpening } from '../../src/replica/lineage.ts';
import { Replica } from '../../src/replica/replica.ts';
import { fixedSlot } from '../../src/replica/slots.ts';
import { settleIdentity, type ClusterIdentity } from '../../src/server/identity.ts';
import { realClock, realRandom } from '../../src/server/real.ts';
import { renewStore } from '../../src/server/renew.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { type Store } from '../../src/store/store.ts';
import { DenseDigests, key, remove, set } from '../aae/world.ts';

const digests = new DenseDigests(8);
const wanted = { meshId: digests.meshId, meshKey: new Uint8Array(32).fill(2) };

const times: MeshTimes = { waitMs: 100, membersMs: 20, repairMs: 60_000, closingMs: { least: 20, most: 20 }, dayMs: 86_400_000 };

/** Where regions are found, by port. A port that is not there cannot be reached. */
export class Network {
  readonly #regions = new Map<number, Region>();

  put(port: number, region: Region): void {
    this.#regions.set(port, region);
  }

  cut(port: number): void {
    this.#regions.delete(port);
  }

  at(port: number): Region {
    const region = this.#regions.get(port);
    if (region === undefined) throw new GkvError('peer_unreachable', `nobody is at port ${port}`);
    return region;
  }
}

export function openStore(database: MemoryDatabase): Store {
  return openMemoryStore(database, { clock: realClock, random: realRandom });
}

/** Renews a database that nobody serves. */
export async function renew(database: MemoryDatabase): Promise<void> {
  await using store = openStore(database);
  await renewStore(store, realClock);
}

export interface RegionOptions {
  readonly network: Network;
  readonly port: number;
  readonly database?: MemoryDatabase;
  readonly clock?: Clock;
}

/** One running instance on a database. */
export class Region {
  readonly database: MemoryDatabase;
  readonly port: number;
  readonly own: ClusterIdentity;
  readonly clusterId: Uint8Array;
  readonly name: string;
  readonly mesh: Mesh;
  readonly replica: Replica;
  readonly store: Store;
  readonly responder: Responder;
  readonly #network: Network;
  readonly #stop: AbortController;
  readonly #jobs: AsyncDisposable;

  static async start({ network, port, database = new MemoryDatabase(), clock = realClock }: RegionOptions): Promise<Region> {
    const store = openStore(database);
    const own = await settleIdentity(store, wanted, realRandom);
    await noteOpening(store, realRandom.bytes(8));
    const tree = await Tree.open(store, digests);
    const replica = await Replica.open({
      store,
      digests,
      instanceOf: (slot) => instanceOf(own.clusterId, own.incarnation, slot),
      slots: fixedSlot(store, 0),
      clock,
      log: silentLog,
      followers: [tree],
      feedPartitions: 1,
      observer: { commit: () => undefined },
    });
    const stop = new AbortController();
    const mesh = new Mesh({
      store,
      isShared: false,
      digests,
      own,
      replica,
      links: { link: ({ port: to }, service) => ({ ask: (frame) => network.at(to).answer(service, frame) }) },
      clock,
      random: realRandom,
      log: silentLog,
      observer: { page: () => undefined },
      times,
      signal: stop.signal,
    });
    return new Region(database, port, own, mesh, replica, store, network, stop);
  }

  private constructor(
    database: MemoryDatabase,
    port: number,
    own: ClusterIdentity,
    mesh: Mesh,
    replica: Replica,
    store: Store,
    network: Network,
    stop: AbortController,
  ) {
    this.database = database;
    this.port = port;
    this.own = own;
    this.clusterId = own.clusterId;
    this.name = toHex(own.clusterId);
    this.mesh = mesh;
    this.replica = replica;
    this.store = store;
    this.#network = network;
    this.#stop = stop;
    const sink = { receive: replica.receive.bind(replica) };
    this.responder = new Responder({ store, digests, clusterId: own.clusterId, sink, clock: realClock });
    network.put(port, this);
    this.#jobs = runJobs(mesh.jobs, { store, leases: undefined, clock: realClock, log: silentLog });
  }

  answer(service: 'exchange' | 'feed', frame: Uint8Array): Promise<Uint8Array> {
    if (this.#stop.signal.aborted) throw new GkvError('peer_unreachable', 'it has stopped');
    return service === 'feed' ? this.mesh.feedServer.answer(frame) : this.responder.answer(frame);
  }

  /** Ends it; what it holds stays in its database. */
  async stop(): Promise<void> {
    this.#network.cut(this.port);
    this.#stop.abort();
    await this.#jobs[Symbol.asyncDispose]();
    await this.replica.close();
    await this.store[Symbol.asyncDispose]();
  }

  async know(...members: readonly Region[]): Promise<void> {
    for (const { clusterId, port } of members)
      await this.set(`@system/peers/${uuidText(clusterId)}`, JSON.stringify({ address: `127.0.0.1:${port}` }));
  }

  async set(name: string, value: string): Promise<Stamp> {
    const [outcome] = await this.replica.write([set(name, value)]);
    assert(outcome !== undefined);
    return outcome.accepted;
  }

  async remove(name: string): Promise<void> {
    await this.replica.write([remove(name)]);
  }

  /** Undefined where it is absent. */
  async read(name: string): Promise<string | undefined> {
    const { exists, value } = await this.replica.get(key(name));
    return exists ? Buffer.from(value).toString() : undefined;
  }

  async sum(): Promise<string> {
    return toHex(await this.store.read((snapshot) => rootSum(snapshot, digests)));
  }
}

/** Regions that all know one another. */
export async function startMesh(network: Network, count: number, clock: Clock = realClock): Promise<Region[]> {
  const regions: Region[] = [];
  for (let port = 1; port <= count; port += 1) regions.push(await Region.start({ network, port, clock }));
  for (const region of regions) await region.know(...regions);
  return regions;
}

export async function areLevel(regions: readonly Region[]): Promise<boolean> {
  return new Set(await Promise.all(regions.map((region) => region.sum()))).size === 1;
}
