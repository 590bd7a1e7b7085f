import { toHex } from '../core/bytes.ts';
import { type Clock, type Log, type Random } from '../core/ports.ts';
import { physicalMsOf } from '../core/stamp.ts';
import { positionZero, type FeedCursor } from '../replica/cursor.ts';
import { type Replica } from '../replica/replica.ts';
import { Backoff } from './backoff.ts';
import { noteFailure, type PeerHealth } from './health.ts';
import { type Statement } from './statement.ts';
import { type Upstream, type UpstreamPage } from './upstream.ts';

export interface FollowerDeps {
  readonly replica: Pick<Replica, 'cursor' | 'frontier' | 'receivePage'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** How long the upstream may wait for changes before it answers. */
  readonly waitMs: number;
  readonly state: () => Promise<Statement>;
  readonly hear: (from: Uint8Array, statement: Statement) => void;
  /** Told of each page that was taken in. */
  readonly onPage: (page: { readonly writes: number; readonly lagMs: number }) => void;
}

const nowhere: FeedCursor = { incarnation: 0, position: positionZero };

/** Follows one upstream's feed: asks, takes in, asks again. One request is under way at a time, so that nothing piles up. */
export class Follower {
  readonly #peerId: Uint8Array;
  readonly #upstream: Upstream;
  readonly #health: PeerHealth;
  readonly #deps: FollowerDeps;
  readonly #backoff: Backoff;

  constructor(peerId: Uint8Array, upstream: Upstream, health: PeerHealth, deps: FollowerDeps) {
    this.#peerId = peerId;
    this.#upstream = upstream;
    this.#health = health;
    this.#deps = deps;
    this.#backoff = new Backoff(deps.clock, deps.random);
  }

  /** Until the signal aborts, whatever the peer does. */
  async run(signal: AbortSignal): Promise<void> {
    const isOver = (): boolean => signal.aborted;
    while (!isOver()) {
      try {
        await this.#whileItGoes(signal);
      } catch (error) {
        if (isOver()) return;
        this.#noteFailure(error);
        await this.#backoff.failed(signal);
      }
    }
  }

  /** From where the store says that we are, page by page. Returns when somebody else moved that place. */
  async #whileItGoes(signal: AbortSignal): Promise<void> {
    const { replica } = this.#deps;
    let from = await replica.cursor(this.#peerId);
    let next: Promise<UpstreamPage> | undefined;
    while (!signal.aborted) {
      const page = await (next ?? this.#ask(from ?? nowhere, signal));
      this.#backoff.succeeded();
      this.#deps.hear(this.#peerId, page.statement);
      noteAnswer(this.#health, page, this.#deps.clock.now());
      // Where there is more, it comes while this page is taken in.
      next = page.end === undefined ? this.#ask(page.cursor, signal) : undefined;
      next?.catch(() => undefined); // it is awaited above, unless what comes now fails first, or we stop
      const move = { peerId: this.#peerId, cursor: { from, to: page.cursor }, joins: page.end };
      const { results, isMoved } = await replica.receivePage(page.writes, toHex(this.#peerId), move);
      this.#health.applied += results.filter(({ status }) => status === 'applied').length;
      notePage(this.#health, page, this.#deps);
      if (!isMoved) return;
      from = page.cursor;
    }
  }

  async #ask(cursor: FeedCursor, signal: AbortSignal): Promise<UpstreamPage> {
    const { replica, state, waitMs } = this.#deps;
    const [frontier, statement] = await Promise.all([replica.frontier(), state()]);
    return this.#upstream.page({ waitMs, cursor, frontier, statement }, signal);
  }

  #noteFailure(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    if (this.#health.lastError?.message !== message)
      this.#deps.log.warn({ peer: toHex(this.#peerId), err: error }, 'upstream cannot be followed; it is tried again');
    noteFailure(this.#health, error);
  }
}

function noteAnswer(health: PeerHealth, page: UpstreamPage, nowMs: number): void {
  health.connected = true;
  health.lastError = undefined;
  health.contactMs = nowMs;
  health.skewMs = page.statement.wallMs - nowMs;
  health.pages += 1;
  health.writes += page.writes.length;
  health.bytesIn += page.bytesIn;
  health.bytesOut += page.bytesOut;
}

function notePage(health: PeerHealth, page: UpstreamPage, { clock, onPage }: FollowerDeps): void {
  const nowMs = clock.now();
  if (page.end !== undefined) health.levelMs = nowMs;
  const last = page.writes.at(-1);
  if (last === undefined) return;
  health.lagMs = Math.max(0, nowMs - physicalMsOf(last.accepted));
  onPage({ writes: page.writes.length, lagMs: health.lagMs });
}
