import { type PeerLink } from '../aae/checkedPeer.ts';
import { type DriverDeps } from '../aae/driver.ts';
import { type FrameService } from '../aae/frame.ts';
import { toHex } from '../core/bytes.ts';
import { type Frontier } from '../core/frontier.ts';
import { hostPortText } from '../core/hostPort.ts';
import { type Log } from '../core/ports.ts';
import { beginWait } from '../core/wait.ts';
import { type Standing } from '../replica/proposal.ts';
import { type Stamp } from '../core/stamp.ts';
import { type Reach } from '../replica/ended.ts';
import { type Replica } from '../replica/replica.ts';
import { Backoff } from './backoff.ts';
import { Follower, type TakenPage } from './follower.ts';
import { codeOf, newHealth, type PeerHealth } from './health.ts';
import { type PeerRecord } from './peers.ts';
import { type ExchangeOutcome, type OwnCluster } from './ports.ts';
import { type RecordIntake } from './records.ts';
import { repair } from './repair.ts';
import { type Statement } from './statement.ts';
import { Upstream } from './upstream.ts';

export interface FollowingDeps extends Omit<DriverDeps, 'sink' | 'clusterId'> {
  readonly own: OwnCluster;
  readonly replica: Replica;
  readonly links: PeerLinks;
  readonly log: Log;
  readonly times: { readonly waitMs: number; readonly membersMs: number; readonly repairMs: number };
  readonly observer: FollowingObserver;
  readonly state: () => Promise<Statement>;
  /** Rejects where nothing may be taken from the peer. */
  readonly hear: (from: Uint8Array, statement: Statement, has: Frontier | undefined) => Promise<Reach | undefined>;
  readonly standing: (peer: string) => Standing;
  /** The greatest that is known. */
  readonly floor: () => Stamp;
  /** Told of each peer, in hex, that is followed no more. */
  readonly left: (name: string) => void;
  /** Of a granted mesh. */
  readonly records?: RecordIntake | undefined;
  /** Whom to pull from now. */
  readonly upstreams: () => readonly PeerRecord[];
}

/** Told of what comes from members. */
export interface FollowingObserver {
  page(page: { readonly writes: number; readonly lagMs: number | undefined }): void;
  exchange(outcome: ExchangeOutcome): void;
}

/** Links to members. */
interface PeerLinks {
  link(record: PeerRecord, service: FrameService): PeerLink;
}

/** Between two looks at whether the feed has come to its end. */
const levelLookMs = 200;

interface Followed {
  readonly address: string;
  readonly stop: AbortController;
  readonly done: Promise<unknown>;
}

/** Follows each upstream, and repairs what that leaves out by exchanges: begins and ends with the list of upstreams. */
export class Following {
  readonly #deps: FollowingDeps;
  readonly #healths = new Map<string, PeerHealth>();

  constructor(deps: FollowingDeps) {
    this.#deps = deps;
  }

  /** By the cluster id in hex. */
  healthOf(name: string): PeerHealth | undefined {
    return this.#healths.get(name);
  }

  /** Until the signal aborts; then waits for what is under way. */
  async run(signal: AbortSignal): Promise<void> {
    const followed = new Map<string, Followed>();
    const { clock, times } = this.#deps;
    try {
      while (!signal.aborted) {
        await this.#reconcile(followed, signal);
        await clock.sleep(times.membersMs, signal);
      }
    } finally {
      for (const name of followed.keys()) await this.#end(followed, name);
    }
  }

  async #reconcile(followed: Map<string, Followed>, signal: AbortSignal): Promise<void> {
    const wanted = new Map(this.#deps.upstreams().map((record) => [toHex(record.clusterId), record]));
    for (const [name, { address }] of followed) {
      const record = wanted.get(name);
      if (record === undefined || hostPortText(record.address) !== address) await this.#end(followed, name);
    }
    for (const [name, record] of wanted) if (!followed.has(name)) followed.set(name, this.#begin(record, signal));
  }

  #begin(record: PeerRecord, signal: AbortSignal): Followed {
    const { log } = this.#deps;
    const stop = new AbortController();
    const either = beginWait(signal, stop.signal);
    const health = newHealth();
    this.#healths.set(toHex(record.clusterId), health);
    log.info({ peer: toHex(record.clusterId), address: hostPortText(record.address) }, 'following');
    const done = Promise.all([this.#follow(record, health, either.signal), this.#repairs(record, health, either.signal)]);
    done.then(either.end, (error: unknown) => {
      either.end();
      log.error({ peer: toHex(record.clusterId), err: error }, 'following ended');
    });
    return { address: hostPortText(record.address), stop, done };
  }

  async #end(followed: Map<string, Followed>, name: string): Promise<void> {
    const ended = followed.get(name);
    followed.delete(name);
    this.#healths.delete(name);
    ended?.stop.abort();
    await ended?.done.catch(() => undefined); // it was logged
    this.#deps.left(name);
    this.#deps.log.info({ peer: name }, 'not followed any more');
  }

  #upstream(record: PeerRecord): Upstream {
    const { links, digests, own, random, records } = this.#deps;
    const hear = (statement: Statement): Promise<unknown> => this.#deps.hear(record.clusterId, statement, undefined);
    return new Upstream(links.link(record, 'feed'), record.clusterId, { digests, clusterId: own.clusterId, random, records, hear });
  }

  #follow(record: PeerRecord, health: PeerHealth, signal: AbortSignal): Promise<void> {
    const { observer, times } = this.#deps;
    const onPage = (page: TakenPage): void => {
      if (page.writes > 0) observer.page(page);
    };
    const deps = { ...this.#deps, waitMs: times.waitMs, onPage };
    return new Follower(record.clusterId, this.#upstream(record), health, deps).run(signal);
  }

  /** Once the feed has come to its end, or soon at the latest, then every minute or so. */
  async #repairs(record: PeerRecord, health: PeerHealth, signal: AbortSignal): Promise<void> {
    const { links, own, clock, random, times, log, observer } = this.#deps;
    const link = links.link(record, 'exchange');
    const backoff = new Backoff(clock, random);
    const isOver = (): boolean => signal.aborted;
    await this.#untilLevel(health, signal);
    while (!isOver()) {
      try {
        const deps = { ...this.#deps, clusterId: own.clusterId };
        const report = await repair(record.clusterId, this.#upstream(record), link, health, deps, signal);
        observer.exchange({ kind: 'done', report });
        backoff.succeeded();
        await clock.sleep(times.repairMs * (0.75 + random.fraction() / 2), signal);
      } catch (error) {
        if (isOver()) return;
        observer.exchange({ kind: 'failed', code: codeOf(error) });
        log.debug({ peer: toHex(record.clusterId), err: error }, 'exchange failed; it is tried again');
        await backoff.failed(signal);
      }
    }
  }

  /** What the feed is about to bring an exchange need not bring too. Where the feed does not get there, the exchange is not kept from it. */
  async #untilLevel(health: PeerHealth, signal: AbortSignal): Promise<void> {
    const { clock, times } = this.#deps;
    const startedMs = clock.monotonic();
    while (health.levelMs === 0 && clock.monotonic() - startedMs < times.repairMs && !signal.aborted)
      await clock.sleep(levelLookMs, signal);
  }
}
