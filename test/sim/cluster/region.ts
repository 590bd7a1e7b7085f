import { equalBytes, toHex } from '../../../src/core/bytes.ts';
import { type HostPort } from '../../../src/core/hostPort.ts';
import { MemoryDatabase } from '../../../src/store/memory/database.ts';
import { type ClusterIdentity } from '../../../src/server/identity.ts';
import { openMemoryStore } from '../../../src/store/memory/store.ts';
import { type Store } from '../../../src/store/store.ts';
import { type Kernel } from '../kernel/kernel.ts';
import { epochMs } from '../kernel/clock.ts';
import { copyOf, ObservedDatabase, restore, type Committed, type DatabaseCopy } from './database.ts';
import { type Host } from './host.ts';

/** What is in the place of a disk that is gone: an earlier copy, or an empty one that is filled from a donor, or from nobody. */
export interface NewDisk {
  readonly copy?: RegionCopy;
  /** The copy is given a new incarnation before anything is started on it. */
  readonly isRenewedFirst?: boolean;
  readonly donor?: HostPort;
}

/** What a cluster's store held at some time. */
export interface RegionCopy extends DatabaseCopy {
  /** Who it was; undefined: nobody yet. */
  readonly who: ClusterIdentity | undefined;
  readonly donor: HostPort | undefined;
  /** It was not filled yet. */
  readonly isFilling: boolean;
}

/** One cluster: its database, and the machines that its instances run on. */
export class Region {
  readonly index: number;
  readonly hosts: Host[] = [];
  readonly #kernel: Kernel;
  readonly #observe: (region: Region, committed: Committed) => void;
  #database: ObservedDatabase;
  #own: ClusterIdentity | undefined;
  /** On the disk that it has now, ready or not. */
  #opened: ClusterIdentity | undefined;
  /** Whose store that disk has, also before any process was up on it. */
  #who: ClusterIdentity | undefined;
  readonly #lost: ClusterIdentity[] = [];
  readonly #leftBehind: ClusterIdentity[] = [];
  /** Cluster id in hex → the greatest incarnation that it had. */
  readonly #incarnations = new Map<string, number>();
  #disks = 1;
  #donor: HostPort | undefined;
  /** How far it was below the floors of others, in ms, at each look of the operator in a row that found it refused as too old. */
  refusals: number[] = [];
  /** The same as the peers saw it that refused it, by what it said to have then: the most, since it is refused. */
  refusedMs = -Infinity;
  /** It was being filled for so long that it must begin anew. */
  joinHasEnded = false;
  #isClosed = false;
  #isCopy = false;

  constructor(index: number, kernel: Kernel, observe: (region: Region, committed: Committed) => void) {
    this.index = index;
    this.#kernel = kernel;
    this.#observe = observe;
    this.#database = this.#newDatabase();
  }

  get database(): MemoryDatabase {
    return this.#database;
  }

  /** Undefined until an instance has opened the store. */
  get own(): ClusterIdentity | undefined {
    return this.#own;
  }

  settle(own: ClusterIdentity): void {
    this.#own = own;
  }

  /** An instance is up, and perhaps fills the store first. */
  opened(own: ClusterIdentity): void {
    if (this.#opened !== undefined && !isSame(this.#opened, own)) this.#lost.push(this.#opened);
    this.#opened = own;
    this.#who = own;
    this.#noteIncarnation(own);
  }

  /** The same, but also while it is being filled. */
  get openedAs(): ClusterIdentity | undefined {
    return this.#opened;
  }

  isRefusedNoMore(): void {
    this.refusals = [];
    this.refusedMs = -Infinity;
  }

  /** What it was before it was filled anew from a donor, or a copy took its place that is of another cluster. */
  get lost(): readonly ClusterIdentity[] {
    return this.#lost;
  }

  /** What it was where it began anew from nothing: that stays a member, and holds the floor. */
  get leftBehind(): readonly ClusterIdentity[] {
    return this.#leftBehind;
  }

  /** It is what it was before it was filled anew, by a copy: it is removed from the mesh, or soon will be. */
  get isGone(): boolean {
    const opened = this.#opened;
    return opened !== undefined && [...this.#lost, ...this.#leftBehind].some((lost) => isSame(lost, opened));
  }

  /** True where this copy makes it another cluster than it is: then one of the two is removed. */
  isOfAnother({ who }: RegionCopy): boolean {
    return this.#opened !== undefined && (who === undefined || !isSame(who, this.#opened));
  }

  /** The cluster that this one is to be filled from, since it lost its disk; undefined: from nobody, it is one of the mesh from the beginning. */
  get donor(): HostPort | undefined {
    return this.#donor;
  }

  /** The greatest reading that a wall clock of this cluster has shown. */
  get greatestWallMs(): number {
    return Math.max(...this.hosts.map(({ machine }) => machine.greatestMs));
  }

  /** A handle that nothing happens to, for who looks on from outside. */
  openQuietly(): Store {
    return openAside(this.#database, this.#kernel);
  }

  /** The same for what it holds now, whatever becomes of it. */
  openClone(): Store {
    return openAside(new MemoryDatabase(this.#database), this.#kernel);
  }

  /** Names the disk that it has now. */
  get disk(): string {
    return `${this.index}.${this.#disks}`;
  }

  /** The name that all instances of it are reached under. */
  get name(): string {
    return `r${this.index}`;
  }

  /** Its store is a copy that was not renewed yet: what it claims to have may be what the original had. */
  get isCopy(): boolean {
    return this.#isCopy;
  }

  /** It has a new incarnation. */
  renewed(own: ClusterIdentity): void {
    this.#isCopy = false;
    this.#who = own;
    this.#noteIncarnation(own);
    if (this.#own !== undefined) this.#own = own;
  }

  /** Renewing this copy would give it an incarnation that there was already. */
  hasBeenRenewedSince({ who }: RegionCopy): boolean {
    return who !== undefined && (this.#incarnations.get(toHex(who.clusterId)) ?? 0) > who.incarnation;
  }

  /** No process may be started on its store at the moment. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Ends every process, and lets none be started. */
  closeToProcesses(): void {
    this.#isClosed = true;
    for (const host of this.hosts) host.end();
  }

  /** Starts every process. */
  openToProcesses(): void {
    this.#isClosed = false;
    for (const host of this.hosts) host.start();
  }

  copy(): RegionCopy {
    const isFilling = this.#donor !== undefined && this.#own === undefined;
    return { ...copyOf(this.#database), who: this.#who, donor: this.#donor, isFilling };
  }

  /** The disk is gone, and perhaps an earlier copy put in its place; every process ends. */
  replaceDisk({ copy, donor, isRenewedFirst = false }: NewDisk = {}): void {
    for (const host of this.hosts) host.crash();
    this.#isClosed = false;
    this.joinHasEnded = false;
    this.isRefusedNoMore();
    this.#isCopy = copy !== undefined && !isRenewedFirst;
    this.#database = this.#newDatabase();
    this.#disks += 1;
    this.#donor = copy === undefined ? donor : copy.donor;
    this.#own = undefined;
    this.#who = copy?.who;
    if (copy === undefined) {
      if (this.#opened !== undefined) (donor === undefined ? this.#leftBehind : this.#lost).push(this.#opened);
      this.#opened = undefined;
    } else restore(this.#database, copy);
  }

  #noteIncarnation({ clusterId, incarnation }: ClusterIdentity): void {
    const name = toHex(clusterId);
    this.#incarnations.set(name, Math.max(incarnation, this.#incarnations.get(name) ?? 0));
  }

  #newDatabase(): ObservedDatabase {
    const database: ObservedDatabase = new ObservedDatabase((committed) => {
      if (database === this.#database) this.#observe(this, committed);
    });
    return database;
  }
}

/** For who looks on from outside. */
export function openAside(database: MemoryDatabase, kernel: Kernel): Store {
  const nowMs = (): number => epochMs + kernel.nowMs;
  const clock = { now: nowMs, monotonic: nowMs, sleep: () => Promise.resolve() };
  return openMemoryStore(database, { clock, random: kernel.streams.of('onlooker') });
}

function isSame(a: ClusterIdentity, b: ClusterIdentity): boolean {
  return equalBytes(a.clusterId, b.clusterId);
}
