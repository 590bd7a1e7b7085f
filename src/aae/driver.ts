import { equalBytes } from '../core/bytes.ts';
import { type KeyRange } from '../core/key.ts';
import { type Clock, type Random } from '../core/ports.ts';
import { stampZero, type Stamp } from '../core/stamp.ts';
import { readFloor } from '../replica/floor.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type Store } from '../store/store.ts';
import { Breath } from './breath.ts';
import { CheckedPeer, type CheckedAnswer, type PeerLink } from './checkedPeer.ts';
import { Fingerprints } from './fingerprint.ts';
import { frameBytesAim, nonceBytes } from './frame.ts';
import { type Ask } from './message.ts';
import { fillFromRange, maySend, WritesPage } from './outgoing.ts';
import { finenessFor, RangeView } from './range.ts';
import { takeIn, type WriteSink } from './responder.ts';
import { Tasks, type PushItem } from './tasks.ts';

export interface PullReport {
  /** Writes here whose ids were compared one by one. */
  readonly keysCompared: number;
  /** Ranges whose fingerprints were compared here. */
  readonly branchesCompared: number;
  /** Writes that came, and that went. */
  readonly received: number;
  readonly sent: number;
  /** Of those received, how many changed something here. */
  readonly applied: number;
  /** Of those received, how many wait for the clock to reach them. */
  readonly parked: number;
  /** Writes that the peer had listed and no longer had when they were asked for: something greater may be there that did not come. */
  readonly missed: number;
  /** Bytes of message bodies; of these, writes. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly writeBytes: number;
  /** Requests. */
  readonly roundTrips: number;
  readonly durationMs: number;
  /** True when both held exactly the same in the range at the end. */
  readonly converged: boolean;
}

export interface DriverDeps {
  readonly store: Store;
  readonly digests: MeshDigests;
  readonly clusterId: Uint8Array;
  readonly sink: WriteSink;
  readonly clock: Clock;
  readonly random: Random;
}

export interface ExchangeOptions {
  readonly scope: KeyRange;
  /** 'pull' takes what the peer has and sends nothing. */
  readonly direction: 'both' | 'pull';
  readonly onProgress: (report: PullReport) => void;
  readonly signal: AbortSignal;
  /** The cluster id of who must answer, in hex; left out: anybody of the mesh. */
  readonly peer?: string;
}

/** Pushes that are looked up at a time: a page one by one, over a network, would take longer than a snapshot lasts. */
const heldAhead = 256;

/** The asking side of one exchange with one peer. Keeps nothing but its report; a new one finds what is left to do. */
export class Driver {
  readonly #deps: DriverDeps;
  readonly #peer: CheckedPeer;
  readonly #options: ExchangeOptions;
  readonly #prints: Fingerprints;
  readonly #tasks: Tasks;
  readonly #started: number;
  #report: Omit<PullReport, 'durationMs'> = {
    keysCompared: 0,
    branchesCompared: 0,
    received: 0,
    sent: 0,
    applied: 0,
    parked: 0,
    missed: 0,
    bytesIn: 0,
    bytesOut: 0,
    writeBytes: 0,
    roundTrips: 0,
    converged: false,
  };
  #scopeFingerprint: Uint8Array = new Uint8Array(0);
  readonly #breath: Breath;
  /** The floor from before anything was read: what is sent is whole below it, and what is answered too. */
  #asOf: Stamp = stampZero;

  constructor(deps: DriverDeps, link: PeerLink, options: ExchangeOptions) {
    this.#deps = deps;
    this.#options = options;
    const { digests, clusterId } = deps;
    const nonce = deps.random.bytes(nonceBytes);
    this.#prints = new Fingerprints(digests, nonce);
    this.#peer = new CheckedPeer(link, { digests, clusterId, nonce, prints: this.#prints, peer: options.peer });
    this.#tasks = new Tasks(this.#prints, options.direction);
    this.#started = deps.clock.monotonic();
    this.#breath = new Breath(deps.clock);
  }

  /** Errors: those of the link; `peer_protocol` for answers that do not fit; what our own store reports. */
  async run(): Promise<PullReport> {
    const { scope } = this.#options;
    this.#asOf = await this.#deps.store.read(readFloor);
    this.#tasks.addSpan(await this.#view((view) => view.parts(scope, finenessFor(1))));
    while (this.#tasks.waiting > 0) {
      await this.#tasks.compareListed((look) => this.#view(look));
      this.#note(this.#tasks.takeCounts());
      const ask = await this.#nextAsk();
      if (ask === undefined) continue;
      if (ask.fetch === undefined) await this.#step(ask);
      else await this.#fetch(ask, ask.fetch);
      this.#options.signal.throwIfAborted();
    }
    if (this.#scopeFingerprint.length === 0) await this.#step(this.#ask({ closing: 'final' }));
    const own = this.#prints.ofScope(await this.#view((view) => view.sum(scope)));
    this.#note({ converged: equalBytes(own, this.#scopeFingerprint) });
    return this.#current();
  }

  /** One request and all that follows from its answer. */
  async #step(ask: Ask): Promise<void> {
    const answer = await this.#send(ask);
    const { reply } = answer;
    for (const span of ask.spans.slice(reply.looked)) this.#tasks.addSpan(span);
    await this.#takeWrites(ask, answer);
    await this.#tasks.plan(reply, (look) => this.#view(look));
    this.#note(this.#tasks.takeCounts());
    this.#options.onProgress(this.#current());
  }

  /** Pages of a range, the next one under way while one is taken in. */
  async #fetch(first: Ask, range: KeyRange): Promise<void> {
    let under = this.#send(first);
    for (;;) {
      const answer = await under;
      const next = answer.reply.fetchNext;
      if (next !== null) {
        under = this.#send(this.#ask({ fetch: { start: next, end: range.end }, closing: 'final' }));
        under.catch(() => undefined); // it is awaited above, unless what comes now fails first
      }
      await this.#takeWrites(first, answer);
      const last = answer.writes.at(-1)?.write.key;
      // Not all candidates of one key may have fitted: they are compared again.
      if (next !== null && last !== undefined && answer.writes.every(({ write }) => equalBytes(write.key, last)))
        this.#tasks.addSpan(await this.#view((view) => view.parts({ start: last, end: next }, finenessFor(1))));
      this.#options.onProgress(this.#current());
      if (next === null) return;
      this.#options.signal.throwIfAborted();
    }
  }

  /** Undefined when what was held back need not be sent any more. */
  async #nextAsk(): Promise<Ask | undefined> {
    const first = this.#report.roundTrips === 0;
    const { spans, wants, pushes, fetch, isMore } = await this.#tasks.take((look) => this.#view(look));
    if (fetch !== undefined) return this.#ask({ fetch, closing: 'final' });
    const writes =
      pushes.length === 0 ? new Uint8Array(0) : await this.#page(pushes, spans.length + wants.length === 0 ? 'always fits' : 'must fit');
    if (spans.length + wants.length + writes.length === 0) return undefined;
    return this.#ask({ spans, wants, writes, closing: first || (spans.length === 0 && !isMore) ? 'final' : 'more' });
  }

  #ask(parts: Partial<Ask>): Ask {
    const empty = { spans: [], wants: [], fetch: undefined, writes: new Uint8Array(0), closing: 'more' as const };
    return { ...empty, ...parts, scope: this.#options.scope };
  }

  /** Writes for the peer, as many as one frame takes; the rest waits for the next. */
  async #page(pushes: readonly PushItem[], first: 'always fits' | 'must fit'): Promise<Uint8Array> {
    const { store, digests } = this.#deps;
    return store.read(async (snapshot) => {
      const page = new WritesPage(snapshot, frameBytesAim / 2, first);
      const view = new RangeView(snapshot, digests, this.#prints, this.#asOf);
      const stands = (push: PushItem): Promise<boolean> =>
        push.kind === 'write' ? maySend(snapshot, push, this.#asOf) : Promise.resolve(true);
      let full = false;
      const held: boolean[] = [];
      for (const [index, push] of pushes.entries()) {
        if (!full && held.length === index)
          held.push(...(await Promise.all(pushes.slice(index, index + heldAhead).map((next) => stands(next)))));
        if (full) this.#tasks.addPush(push);
        else if (push.kind === 'range') {
          const next = await fillFromRange(page, view, push.range);
          if (next === null) continue;
          full = true;
          this.#tasks.addPush({ kind: 'range', range: { start: next, end: push.range.end } });
        } else if (held[index] === true && !page.add(push.key, push.head)) {
          full = true;
          this.#tasks.addPush(push);
        }
      }
      this.#note({ sent: page.count });
      return page.encoded();
    });
  }

  async #send(ask: Ask): Promise<CheckedAnswer> {
    const answer = await this.#peer.ask(ask, this.#asOf, this.#options.signal);
    const { reply, bytesIn, bytesOut } = answer;
    this.#note({ roundTrips: 1, bytesIn, bytesOut, writeBytes: ask.writes.length + reply.writes.length });
    this.#scopeFingerprint = reply.scopeFingerprint;
    return answer;
  }

  async #takeWrites(ask: Ask, { reply, writes, peer }: CheckedAnswer): Promise<void> {
    const missed = this.#tasks.settleWants(ask.wants, reply.wantsDone, writes);
    const { applied, parked } = await takeIn(this.#deps.sink, writes, peer, this.#asOf);
    this.#note({ received: writes.length, applied, parked, missed });
  }

  async #view<T>(look: (view: RangeView) => Promise<T>): Promise<T> {
    const { store, digests } = this.#deps;
    if (this.#breath.isDue) await this.#breath.take();
    return store.read((snapshot) => look(new RangeView(snapshot, digests, this.#prints, this.#asOf, this.#breath)));
  }

  /** Adds to the report; `converged` replaces. */
  #note(more: Partial<PullReport>): void {
    const before = this.#report;
    this.#report = {
      keysCompared: before.keysCompared + (more.keysCompared ?? 0),
      branchesCompared: before.branchesCompared + (more.branchesCompared ?? 0),
      received: before.received + (more.received ?? 0),
      sent: before.sent + (more.sent ?? 0),
      applied: before.applied + (more.applied ?? 0),
      parked: before.parked + (more.parked ?? 0),
      missed: before.missed + (more.missed ?? 0),
      bytesIn: before.bytesIn + (more.bytesIn ?? 0),
      bytesOut: before.bytesOut + (more.bytesOut ?? 0),
      writeBytes: before.writeBytes + (more.writeBytes ?? 0),
      roundTrips: before.roundTrips + (more.roundTrips ?? 0),
      converged: more.converged ?? before.converged,
    };
  }

  #current(): PullReport {
    return { ...this.#report, durationMs: Math.round(this.#deps.clock.monotonic() - this.#started) };
  }
}
