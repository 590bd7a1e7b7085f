import { protocolError } from '../aae/frame.ts';
import { equalBytes, toHex } from '../core/bytes.ts';
import { type Clock, type Log, type Random } from '../core/ports.ts';
import { type Frontier } from '../core/frontier.ts';
import { limits } from '../core/limits.ts';
import { Seldom } from '../core/seldom.ts';
import { physicalMsOf, type Stamp } from '../core/stamp.ts';
import { positionZero, type FeedCursor } from '../replica/cursor.ts';
import { type Reach } from '../replica/ended.ts';
import { type ReceivedWrite } from '../replica/proposal.ts';
import { type Replica } from '../replica/replica.ts';
import { Backoff } from './backoff.ts';
import { claimsFor } from './claims.ts';
import { epochNone } from './epoch.ts';
import { lagOf, noteBehind, noteFailure, type PeerHealth } from './health.ts';
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
  /** Rejects where nothing may be taken from the peer. */
  readonly hear: (from: Uint8Array, statement: Statement, has: Frontier | undefined) => Promise<Reach | undefined>;
  /** The greatest that is known. */
  readonly floor: () => Stamp;
  /** Told of each page that was taken in. */
  readonly onPage: (page: TakenPage) => void;
}

export interface TakenPage {
  readonly writes: number;
  /** Of the answer's frame. */
  readonly bytes: number;
  /** From being accepted anywhere to being here: of the last write that was not here before; undefined: all were. */
  readonly lagMs: number | undefined;
  /** Everything that the upstream had is here. */
  readonly isEnd: boolean;
}

/** Between two questions to an upstream that answers nothing, and too early. */
const pauseMsMax = 1_000;
/** How long after it was due an answer is late. */
const lateMs = 2_000;
/** Between two lines of the log about the clock of a peer, whatever that says. */
const clockToldMsMin = 60_000;

interface AskedPage extends UpstreamPage {
  /** When it was to be answered, had there been nothing. */
  readonly dueMs: number;
  /** When it came, by the wall clock. */
  readonly cameMs: number;
  /** The same by the monotonic clock. */
  readonly cameAtMs: number;
  /** What we had when we asked. */
  readonly ours: Frontier;
}

const nowhere: FeedCursor = { incarnation: 0, position: positionZero };

/** Follows one upstream's feed: asks, takes in, asks again. One request is under way at a time, so that nothing piles up. */
export class Follower {
  readonly #peerId: Uint8Array;
  readonly #upstream: Pick<Upstream, 'page'>;
  readonly #health: PeerHealth;
  readonly #deps: FollowerDeps;
  readonly #backoff: Backoff;
  /** Of the upstream, as it said last. */
  #epoch: Uint8Array = epochNone;
  /** When it was last asked again at once for that. */
  #hurriedMs = -Infinity;
  /** As was told last, and when. */
  #clock = { isApart: false, toldMs: -Infinity };
  readonly #seldom: Seldom;

  constructor(peerId: Uint8Array, upstream: Pick<Upstream, 'page'>, health: PeerHealth, deps: FollowerDeps) {
    this.#peerId = peerId;
    this.#upstream = upstream;
    this.#health = health;
    this.#deps = deps;
    this.#backoff = new Backoff(deps.clock, deps.random);
    this.#seldom = new Seldom(deps.clock);
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
    const { replica, waitMs } = this.#deps;
    let from = await replica.cursor(this.#peerId);
    let next: Promise<AskedPage> | undefined;
    // At first it is answered at once, so that both sides soon know how the other stands.
    let patienceMs = 0;
    while (!signal.aborted) {
      const page: AskedPage = await (next ?? this.#ask(from ?? nowhere, patienceMs, signal));
      this.#noteClock(page);
      const reached = await this.#deps.hear(this.#peerId, page.statement, page.end);
      noteAnswer(this.#health, page, this.#deps.clock);
      // Where there is more, it comes while this page is taken in; at least the end does.
      next = page.end === undefined ? this.#ask(page.cursor, 0, signal) : undefined;
      next?.catch(() => undefined); // it is awaited above, unless what comes now fails first, or we stop
      // A request on a connection that was used before leaves only when others had a turn, and taking in is long without one.
      if (next !== undefined) await this.#deps.clock.sleep(0, signal);
      const peer = { clusterId: this.#peerId, incarnation: page.cursor.incarnation };
      const claims = claimsFor({ joins: page.end, reached }, page.scopes, peer, this.#deps.floor(), page.ours);
      const move = { peerId: this.#peerId, cursor: { from, to: page.cursor }, ...claims };
      const { results, isMoved } = await replica.receivePage(page.writes, toHex(this.#peerId), move);
      const brought = page.writes.filter((_, i) => results[i]?.status === 'applied');
      this.#health.applied += brought.length;
      // Who took these in itself would have seen it. What else was in the page is here, and our place is behind it.
      if (results.some(({ status }) => status === 'forged')) throw protocolError('a page with writes whose signatures do not hold');
      this.#backoff.succeeded();
      notePage(this.#health, page, brought.at(-1), this.#deps);
      this.#tellDenied(results.filter(({ status }) => status === 'denied').length);
      if (!isMoved) return;
      from = page.cursor;
      if (next === undefined) await this.#pauseAfter(page, signal);
      patienceMs = waitMs;
    }
  }

  /** An upstream that has nothing waits before it says so, or until its members change; one that does not is stopping or has too many readers, and is not pressed. */
  async #pauseAfter(page: AskedPage, signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    const { epoch } = page.statement.reach;
    const isAnother = !equalBytes(epoch, this.#epoch);
    this.#epoch = epoch;
    const nowMs = clock.monotonic();
    // It had something to say: but not again and again.
    if (isAnother && nowMs - this.#hurriedMs >= pauseMsMax) {
      this.#hurriedMs = nowMs;
      return;
    }
    const leftMs = page.dueMs - nowMs;
    if (page.writes.length === 0 && leftMs > 0) await clock.sleep(Math.min(leftMs, pauseMsMax), signal);
  }

  async #ask(cursor: FeedCursor, waitMs: number, signal: AbortSignal): Promise<AskedPage> {
    const { replica, state, clock } = this.#deps;
    const dueMs = clock.monotonic() + waitMs;
    this.#health.lateAtMs = dueMs + lateMs;
    const [frontier, statement] = await Promise.all([replica.frontier(), state()]);
    const page = await this.#upstream.page({ waitMs, cursor, frontier, statement }, signal);
    return { ...page, dueMs, cameMs: clock.now(), cameAtMs: clock.monotonic(), ours: frontier };
  }

  /** Told where it changes: writes of the one that is ahead wait elsewhere until their time has come, and nothing else shows that. */
  #noteClock({ statement, cameMs }: AskedPage): void {
    const { clock, log } = this.#deps;
    const skewMs = statement.wallMs - cameMs;
    this.#health.skewMs = skewMs;
    const isApart = Math.abs(skewMs) > limits.futureMsMax;
    const nowMs = clock.monotonic();
    if (isApart === this.#clock.isApart || nowMs - this.#clock.toldMs < clockToldMsMin) return;
    this.#clock = { isApart, toldMs: nowMs };
    const message = isApart
      ? 'the clocks of a peer and of this region are far apart: set right the one that is wrong'
      : 'the clocks of a peer and of this region agree again';
    log.warn({ peer: toHex(this.#peerId), skewMs }, message);
  }

  /** Any page may have one, if its maker likes. */
  #tellDenied(count: number): void {
    const message = 'writes without authority came, and were not taken in';
    const denied = count === 0 ? undefined : this.#seldom.note(message, count);
    if (denied !== undefined) this.#deps.log.warn({ peer: toHex(this.#peerId), denied }, message);
  }

  #noteFailure(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    if (this.#health.lastError?.message !== message)
      this.#deps.log.warn({ peer: toHex(this.#peerId), err: error }, 'upstream cannot be followed; it is tried again');
    noteFailure(this.#health, error);
  }
}

function noteAnswer(health: PeerHealth, page: AskedPage, clock: Clock): void {
  health.connected = true;
  health.contactMs = clock.now();
  // It waited until there was something: up to now there was nothing.
  if (lagOf(health, page.cameAtMs) === 0) health.levelAtMs = page.cameAtMs;
  health.scope = page.scopes?.peer;
  health.pages += 1;
  health.writes += page.writes.length;
  health.bytesIn += page.bytesIn;
  health.bytesOut += page.bytesOut;
}

function notePage(health: PeerHealth, page: UpstreamPage, last: ReceivedWrite | undefined, { clock, onPage }: FollowerDeps): void {
  const nowMs = clock.now();
  health.lastError = undefined;
  health.isLevel = page.end !== undefined;
  noteBehind(health, page);
  if (page.end !== undefined) {
    health.levelMs = nowMs;
    health.levelAtMs = clock.monotonic();
  }
  const lagMs = last && Math.max(0, nowMs - physicalMsOf(last.accepted));
  onPage({ writes: page.writes.length, bytes: page.bytesIn, lagMs, isEnd: page.end !== undefined });
}
