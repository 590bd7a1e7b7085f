/** Clusters of `world.ts` on databases that can be copied, renewed and restored into. */
import assert from 'node:assert/strict';
import { type Clock } from '../../src/core/ports.ts';
import { type Stamp } from '../../src/core/stamp.ts';
import { sha256 } from '../../src/crypto/digest.ts';
import { readIdentity, setIdentity, type ClusterIdentity } from '../../src/server/identity.ts';
import { realClock, realRandom } from '../../src/server/real.ts';
import { renewStore } from '../../src/server/renew.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { type Store } from '../../src/store/store.ts';
import { key, remove, set, type InstanceOptions } from '../aae/world.ts';
import { memberOp, openCluster, sumOf, type Cluster, type Network } from './world.ts';

/** Of the clusters of `aae/world.ts`. */
export const mesh = { id: new Uint8Array(32).fill(1), key: new Uint8Array(32).fill(2) };

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
  /** Left out: an open mesh. */
  readonly granted?: InstanceOptions['granted'];
}

/** One running instance on a database. */
export class Region {
  readonly database: MemoryDatabase;
  readonly own: ClusterIdentity;
  readonly cluster: Cluster;

  static async start({ network, port, database = new MemoryDatabase(), clock = realClock, granted }: RegionOptions): Promise<Region> {
    const store = openStore(database);
    const own = await identityOf(store, port, granted?.meshId);
    const times = { waitMs: 100, membersMs: 20, closingMs: { least: 20, most: 20 }, dayMs: 86_400_000 };
    const cluster = await openCluster(network, port, { ...own, store, clock, times, fan: 8, jobs: 'run', ...(granted && { granted }) });
    return new Region(database, own, cluster);
  }

  private constructor(database: MemoryDatabase, own: ClusterIdentity, cluster: Cluster) {
    this.database = database;
    this.own = own;
    this.cluster = cluster;
  }

  get mesh(): Cluster['mesh'] {
    return this.cluster.mesh;
  }

  get replica(): Cluster['replica'] {
    return this.cluster.replica;
  }

  get store(): Store {
    return this.cluster.store;
  }

  /** The cluster id in hex. */
  get name(): string {
    return this.cluster.name;
  }

  /** Ends it; what it holds stays in its database. */
  async stop(): Promise<void> {
    await this.cluster[Symbol.asyncDispose]();
    await this.store[Symbol.asyncDispose]();
  }

  async know(...members: readonly Region[]): Promise<void> {
    await this.replica.write(members.map(({ cluster }) => memberOp(cluster)));
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

  sum(): Promise<string> {
    return sumOf(this.cluster);
  }
}

/** That of the store; made where there is none, from the port that the cluster is first started at. */
async function identityOf(store: Store, port: number, grantedId: Uint8Array | undefined): Promise<ClusterIdentity> {
  return store.transact(async (tx) => {
    const stored = await readIdentity(tx);
    if (stored !== undefined) return stored.identity;
    const identity = {
      clusterId: new Uint8Array(16).fill(port),
      incarnation: 1,
      meshId: grantedId ?? mesh.id,
      kind: grantedId === undefined ? 'open' : 'granted',
    } as const;
    setIdentity(tx, identity, sha256(mesh.key));
    return identity;
  });
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
