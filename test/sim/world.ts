import { DenseDigests } from '../aae/world.ts';
import { noteRefusal } from './cluster/anew.ts';
import { Host } from './cluster/host.ts';
import { type JobSettings } from './cluster/jobs.ts';
import { readParkedCount } from '../../src/replica/park.ts';
import { addressOf } from './cluster/operator.ts';
import { Region, type NewDisk } from './cluster/region.ts';
import { RegionScopes } from './cluster/scopes.ts';
import { type Snapshot } from '../../src/store/store.ts';
import { type Stream } from './kernel/streams.ts';
import { epochMs, MachineClock } from './kernel/clock.ts';
import { Counts } from './kernel/counts.ts';
import { Kernel } from './kernel/kernel.ts';
import { heal } from './network/link.ts';
import { Network } from './network/network.ts';
import { GrantedMesh } from './grants/granted.ts';
import { hostilePeer } from './grants/writers.ts';
import { CommitOracle } from './oracle/commits.ts';
import { FrontierOracle } from './oracle/frontier.ts';
import { type GrantedWorld } from './oracle/grantedFinal.ts';
import { GrantedHeads } from './oracle/grantedHeads.ts';
import { Ledger } from './oracle/ledger.ts';
import { OpenHeads } from './oracle/openHeads.ts';
import { type SimOptions } from './options.ts';
import { noPlant, type Plant } from './plants/plant.ts';

/** Everything that one run consists of. */
export class World {
  readonly kernel: Kernel;
  readonly counts = new Counts();
  readonly network: Network;
  readonly ledger: Ledger;
  /** Where writes need authority. */
  readonly granted: GrantedWorld | undefined;
  /** Where some clusters hold parts. */
  readonly scopes: RegionScopes | undefined;
  readonly commits: CommitOracle;
  readonly frontiers: FrontierOracle;
  readonly regions: readonly Region[];
  readonly digests: DenseDigests;
  readonly settings: JobSettings;
  readonly #balancer: Stream;
  readonly #mayCollect: boolean;

  constructor(options: SimOptions, plant: Plant = noPlant) {
    this.kernel = new Kernel(options.seed, options.print);
    this.network = new Network(this.kernel, this.counts);
    const mesh = isGranted(this.kernel, options) ? new GrantedMesh(this.kernel, options.regions) : undefined;
    this.scopes = options.authority === 'narrow' ? new RegionScopes(this.kernel.streams.of('scopes'), options.regions) : undefined;
    const heads: OpenHeads | GrantedHeads =
      mesh === undefined ? new OpenHeads(() => this.ledger) : new GrantedHeads(mesh, () => this.ledger);
    this.granted = heads instanceof GrantedHeads && mesh !== undefined ? { mesh, heads } : undefined;
    this.ledger = new Ledger((key, version) => this.granted?.heads.hasEnded(key, version) ?? false);
    this.commits = new CommitOracle(this.kernel, heads);
    this.frontiers = new FrontierOracle(this.ledger, this.commits, this.scopes);
    const random = this.kernel.streams.of('world');
    this.#balancer = this.kernel.streams.of('balancer');
    // A cluster that begins anew takes writes at once here, and holds the floor back for ever under its old name: no floor moves in such runs.
    this.#mayCollect = options.without.includes('diskLost') || random.chance(0.5);
    this.digests = new DenseDigests(random.chance(0.5) ? 3 : 4, mesh?.office.meshId);
    const max = 2 + random.below(6);
    this.settings = {
      counts: this.counts,
      mesh: {
        waitMs: random.between(1_000, 10_000),
        membersMs: 1_000,
        repairMs: random.between(4_000, 60_000),
        closingMs: { least: random.between(300, 1_000), most: random.between(1_000, 8_000) },
        dayMs: this.#mayCollect ? random.between(6_000, 30_000) : 86_400_000,
      },
      topBranches: { max, min: 1 + random.below(2) },
      stepBranches: 1 + random.below(5),
      logRowsKept: 1 + random.below(20),
      pageWrites: 1 + random.below(20),
      feedPartitions: random.chance(0.5) ? 1 : 16,
    };
    this.regions = Array.from({ length: options.regions }, (_, index) => this.#region(index, options.instances, plant));
    mesh?.begin(this.hosts());
  }

  /** No fault is undone any more, for all are. */
  isHealing = false;
  besidesMs = 0;
  #operations = 0;

  hosts(): Host[] {
    return this.regions.flatMap(({ hosts }) => hosts);
  }

  /**
   * All harm is undone and everything runs. Where a wall clock was ahead, so much time has gone by besides on every one: what was written
   * with it is due.
   */
  heal(): void {
    this.isHealing = true;
    this.besidesMs = Math.max(0, ...this.hosts().map(({ machine }) => machine.greatestMs - epochMs - this.kernel.nowMs));
    const { besidesMs } = this;
    this.network.links().forEach(heal);
    this.granted?.mesh.settle();
    for (const host of this.hosts()) {
      host.machine.setRight(besidesMs);
      host.heal();
    }
  }

  /** A cluster's disk is gone, with all processes; another is in its place. Every process starts again in `downMs`. */
  loseDisk(region: Region, downMs: number, disk?: NewDisk): void {
    const before = { disk: region.disk, store: region.openQuietly() };
    region.replaceDisk(disk);
    this.commits.diskReplaced(region);
    this.frontiers.forks.diskReplaced(region, before, this.regions);
    const isSomewhere = (key: string, version: string): boolean =>
      this.regions.some(({ index }) => this.commits.heads.hasHeld(index, key, version));
    this.counts.add('acknowledged writes lost with a disk', this.ledger.diskLost(isSomewhere));
    for (const host of region.hosts) {
      this.kernel.after(downMs, '', () => {
        host.start();
      });
    }
  }

  /** An operation's id. */
  nextOperation(): number {
    this.#operations += 1;
    return this.#operations;
  }

  /** Floors move in this run; no disk may be lost then. */
  get collects(): boolean {
    return this.#mayCollect;
  }

  isAllUp(): boolean {
    return this.hosts().every(({ front }) => front !== undefined);
  }

  /** Writes that wait for a clock, in all clusters. */
  async parkedCount(): Promise<number> {
    const counts = await Promise.all(this.regions.map((region) => region.openQuietly().read(waitingFor)));
    return counts.reduce((sum, writes) => sum + writes, 0);
  }

  /** One of a cluster's instances, as a load balancer would: any, also one that is down. */
  #resolve(cluster: string): string {
    const region = this.regions.find((each) => addressOf(each) === cluster);
    return region === undefined ? cluster : this.#balancer.pick(region.hosts).address;
  }

  #region(index: number, instances: number, plant: Plant): Region {
    const region = new Region(index, this.kernel, (changed, committed) => {
      this.commits.observe(changed, committed);
    });
    for (let place = 0; place < instances; place += 1) {
      const address = `r${index}i${place}`;
      const rate = this.kernel.streams.of(`machine ${address}`).between(0.9, 1.1);
      const machine = new MachineClock(this.kernel, rate);
      const { kernel, network, counts, digests, settings, scopes } = this;
      const granted = this.granted?.mesh;
      const resolve = (cluster: string): string => this.#resolve(cluster);
      const refused = (question: Uint8Array): void => {
        noteRefusal(region, this, question).catch((error: unknown) => {
          kernel.fail(error);
        });
      };
      region.hosts.push(
        new Host({ kernel, network, counts, digests, settings, scopes, granted, resolve, region, address, machine, plant, refused }),
      );
    }
    return region;
  }
}

const grantedShare = 0.25;

/** By a stream of its own: all that open worlds draw stays as it is. */
function isGranted({ streams }: Kernel, { authority }: SimOptions): boolean {
  return authority === 'drawn' ? streams.of('authority').chance(grantedShare) : authority !== 'open';
}

/** What waits in a cluster's store, but for what comes from who lies: that may wait for ever. */
async function waitingFor(snapshot: Snapshot): Promise<number> {
  const [all, hostile] = await Promise.all([readParkedCount(snapshot), readParkedCount(snapshot, hostilePeer)]);
  return all.writes - hostile.writes;
}
