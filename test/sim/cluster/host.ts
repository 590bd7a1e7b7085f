import { type PeerLink } from '../../../src/aae/checkedPeer.ts';
import { hasCode, type ErrorCode, type GkvError } from '../../../src/core/errors.ts';
import { type AnyRecord } from '../../../src/grant/anyRecord.ts';
import { type GrantedMesh } from '../grants/granted.ts';
import { clockOf, type MachineClock } from '../kernel/clock.ts';
import { type Counts } from '../kernel/counts.ts';
import { type Kernel } from '../kernel/kernel.ts';
import { Life } from '../kernel/life.ts';
import { type Network } from '../network/network.ts';
import { type Plant } from '../plants/plant.ts';
import { addressOf } from './operator.ts';
import { openInstance, type Front, type Instance, type InstanceDeps, type Intake } from './instance.ts';
import { asBug, simLog } from './log.ts';
import { noTrouble, openSimStore, type StoreTrouble } from './store.ts';
import { type Region } from './region.ts';
import { type RegionScopes } from './scopes.ts';

export interface HostDeps extends Pick<InstanceDeps, 'digests' | 'settings' | 'resolve'> {
  /** Of a granted mesh. */
  readonly granted: GrantedMesh | undefined;
  /** Where some clusters hold parts. */
  readonly scopes: RegionScopes | undefined;
  readonly kernel: Kernel;
  readonly network: Network;
  readonly counts: Counts;
  readonly region: Region;
  readonly address: string;
  readonly machine: MachineClock;
  readonly plant: Plant;
  /** A peer refused this question as of one that is too old. */
  readonly refused: (question: Uint8Array) => void;
}

const openRetryMs = 1_000;

/** A machine on which one process of a cluster runs, ends and is started again; its clock goes on meanwhile. */
export class Host {
  readonly trouble: StoreTrouble = noTrouble();
  /** Records of authority that an operator wrote down on this machine; no disk that is lost takes them along. */
  readonly directory: AnyRecord[] = [];
  readonly #deps: HostDeps;
  #generation = 0;
  #life: Life;
  #instance: Instance | undefined;
  #isReady = false;
  #fuse: { steps: number; readonly blow: () => void } | undefined;

  constructor(deps: HostDeps) {
    this.#deps = deps;
    this.#life = new Life(deps.kernel, deps.address);
    this.#life.end();
  }

  get address(): string {
    return this.#deps.address;
  }

  get region(): Region {
    return this.#deps.region;
  }

  get machine(): MachineClock {
    return this.#deps.machine;
  }

  get life(): Life {
    return this.#life;
  }

  /** What clients may use now; undefined while nobody listens. */
  get front(): Front | undefined {
    return this.#life.isEnded || !this.#isReady ? undefined : this.#instance?.front;
  }

  /** Where writes of others come in; undefined while nobody listens. */
  get intake(): Intake | undefined {
    return this.front === undefined ? undefined : this.#instance?.intake;
  }

  /** Why its cluster takes no part in the mesh, as far as its process knows. */
  get fault(): GkvError | undefined {
    return this.#life.isEnded ? undefined : this.#instance?.fault();
  }

  /** Why nothing comes from the donor of its cluster, while that is being filled. */
  get donorFault(): ErrorCode | undefined {
    return this.#life.isEnded ? undefined : this.#instance?.donorFault();
  }

  /** Starts a process, where none runs. */
  start(): void {
    const { kernel, region } = this.#deps;
    if (!this.#life.isEnded || region.isClosed) return;
    this.#generation += 1;
    this.#instance = undefined;
    this.#isReady = false;
    this.#fuse = undefined;
    const life = new Life(kernel, `${this.address}#${this.#generation}`);
    this.#life = life;
    life.after(1, 'starts', () => {
      this.#open(life).then(
        (instance) => {
          this.#opened(life, instance);
        },
        (error: unknown) => {
          this.#failedToOpen(life, error);
        },
      );
    });
  }

  /** It listens, and clients may use it once nothing is missing. */
  #opened(life: Life, instance: Instance): void {
    const { region } = this.#deps;
    this.#instance = instance;
    region.opened(instance.own);
    this.#listen(life, instance);
    const ready = (): void => {
      region.settle(instance.own);
      this.#isReady = true;
    };
    if (instance.joining === undefined) ready();
    else
      instance.joining.then(ready, (error: unknown) => {
        this.#failedToOpen(life, error);
      });
  }

  /** The process ends where it stands. */
  crash(): void {
    if (this.#life.isEnded) return;
    this.#deps.counts.add('fault: crash');
    this.#deps.kernel.note(`${this.#life.name} crashes`);
    this.end();
  }

  /** As `kill -9` does it. */
  end(): void {
    this.#life.end();
  }

  /** The process crashes, or whatever `blow` does, when it has come past so many places in the middle of its transactions. */
  fuse(steps: number, blow: () => void): void {
    this.#fuse = { steps, blow };
  }

  /** The clean stop, then the end. */
  stop(): void {
    const life = this.#life;
    const instance = this.#instance;
    if (life.isEnded || instance === undefined) return;
    life.after(0, 'stops', () => {
      instance.close().then(
        () => {
          this.#ended(life);
        },
        (error: unknown) => {
          const bug = asBug(error);
          if (bug !== undefined) this.#deps.kernel.fail(bug);
          this.#ended(life);
        },
      );
    });
  }

  #ended(life: Life): void {
    this.#deps.kernel.note(`${life.name} has stopped`);
    life.end();
  }

  /** Nothing goes wrong in its store any more, and it runs: where it is about to stop, again after that. */
  heal(): void {
    Object.assign(this.trouble, noTrouble());
    this.#fuse = undefined;
    this.#life.resume();
    this.#life.whenEnded(() => {
      this.start();
    });
  }

  /** Once a second: what the server does where its store is known to be away. */
  refuseWaiting(): void {
    const instance = this.#instance;
    if (instance === undefined) return;
    this.#life.after(0, 'refuses what waits', () => {
      instance.refuseWaiting();
    });
  }

  #open(life: Life): Promise<Instance> {
    const { kernel, network, counts, region, machine, digests, settings, plant, resolve, scopes } = this.#deps;
    const address = { host: addressOf(region), port: 1 };
    const clock = clockOf(machine, life);
    const random = kernel.streams.of(`${life.name} own`);
    const store = openSimStore(region.database, {
      life,
      clock,
      random: kernel.streams.of(`${life.name} store`),
      trouble: this.trouble,
      atPausePoint: () => {
        this.#atPausePoint(life);
      },
    });
    const log = simLog(kernel, counts, life.name);
    const link = (address: string, path: string): PeerLink => {
      const made = network.linkTo({ life, region: region.index }, address, path);
      return path === '/feed' ? this.#refusalsNoted(made) : made;
    };
    const granted = this.#deps.granted?.startOf(region.index, this.directory);
    const held = scopes && { scopes, region: region.index };
    return openInstance({
      store,
      clock,
      random,
      log,
      digests,
      link,
      resolve,
      settings,
      plant,
      address,
      donor: region.donor,
      granted,
      held,
    });
  }

  /** Beside what the process does with the answer, and not before it: nothing comes later for that. */
  #refusalsNoted(link: PeerLink): PeerLink {
    return {
      ask: (frame, signal) => {
        const answer = link.ask(frame, signal);
        answer.catch((error: unknown) => {
          if (hasCode(error, 'must_bootstrap')) this.#deps.refused(frame);
        });
        return answer;
      },
    };
  }

  #listen(life: Life, instance: Instance): void {
    const { kernel, network, region } = this.#deps;
    network.listen(this.address, {
      life,
      region: region.index,
      handler: (path, frame, signal) =>
        instance.answer(path, frame, signal).catch((error: unknown) => {
          const bug = asBug(error);
          if (bug !== undefined) kernel.fail(bug);
          throw error;
        }),
    });
  }

  #failedToOpen(life: Life, error: unknown): void {
    const { kernel, counts, region } = this.#deps;
    const bug = asBug(error);
    if (bug !== undefined) kernel.fail(bug);
    if (hasCode(error, 'must_bootstrap')) region.joinHasEnded = true;
    counts.add(`start failed: ${hasCode(error) ? 'error' : String(error).slice(0, 60)}`);
    life.end();
    kernel.after(openRetryMs, '', () => {
      this.start();
    });
  }

  #atPausePoint(life: Life): void {
    if (this.#fuse === undefined || life !== this.#life) return;
    this.#fuse.steps -= 1;
    if (this.#fuse.steps > 0) return;
    const { blow } = this.#fuse;
    this.#fuse = undefined;
    blow();
  }
}
