import { compareBytes, emptyBytes, equalBytes, toHex } from '../core/bytes.ts';
import { GkvError, hasCode } from '../core/errors.ts';
import { stampZero } from '../core/stamp.ts';
import { inRange, type KeyRange } from '../core/key.ts';
import { type Clock, type Random } from '../core/ports.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type ReceivedWrite } from '../replica/proposal.ts';
import { decodeWrites } from '../replica/wire.ts';
import { type Store } from '../store/store.ts';
import { isOrdered } from './diff.ts';
import { Fingerprints, splitIds } from './fingerprint.ts';
import { decodeAnswer, encodeRequest, frameBytesAim, frameBytesMax, nonceBytes, protocolError } from './frame.ts';
import { decodeReply, encodeAsk, type Ask, type Parts, type Reply } from './message.ts';
import { fillFromRange, isHeld, WritesPage } from './outgoing.ts';
import { finenessFor, RangeView } from './range.ts';
import { takeIn, turnMsMax, type WriteSink } from './responder.ts';
import { Tasks, type PushItem } from './tasks.ts';

/** Carries one frame to the peer and its answer back. Errors: `peer_unreachable`, `peer_timeout`, `peer_protocol`, `mesh_mismatch`. */
export interface PeerLink {
  ask(frame: Uint8Array, signal: AbortSignal): Promise<Uint8Array>;
}

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
}

/** Requests in a row that bring no write either way; more is a peer that leads us in circles. */
const idleRequestsMax = 2_000;

/** The asking side of one exchange with one peer. Keeps nothing but its report; a new one finds what is left to do. */
export class Driver {
  readonly #deps: DriverDeps;
  readonly #link: PeerLink;
  readonly #options: ExchangeOptions;
  readonly #nonce: Uint8Array;
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
    bytesIn: 0,
    bytesOut: 0,
    writeBytes: 0,
    roundTrips: 0,
    converged: false,
  };
  #scopeFingerprint: Uint8Array = new Uint8Array(0);
  #idleRequests = 0;
  #breathed: number;

  constructor(deps: DriverDeps, link: PeerLink, options: ExchangeOptions) {
    this.#deps = deps;
    this.#link = link;
    this.#options = options;
    this.#nonce = deps.random.bytes(nonceBytes);
    this.#prints = new Fingerprints(deps.digests, this.#nonce);
    this.#tasks = new Tasks(this.#prints, options.direction);
    this.#started = deps.clock.monotonic();
    this.#breathed = this.#started;
  }

  /** Errors: those of the link; `peer_protocol` for answers that do not fit; what our own store reports. */
  async run(): Promise<PullReport> {
    const { scope } = this.#options;
    this.#tasks.addSpan(await this.#view((view) => view.parts(scope, finenessFor(1))));
    while (this.#tasks.pending()) {
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
    const reply = await this.#send(ask);
    this.#takeFindings(ask, reply);
    await this.#takeWrites(ask, reply, this.#wanted(ask, reply));
    await this.#tasks.plan(reply, (look) => this.#view(look));
    this.#note(this.#tasks.takeCounts());
    this.#options.onProgress(this.#current());
  }

  /** Pages of a range, the next one under way while one is taken in. */
  async #fetch(first: Ask, range: KeyRange): Promise<void> {
    let from = range.start;
    let under: Promise<Reply> = this.#send(first);
    for (;;) {
      const reply = await under;
      const writes = this.#decode(reply.writes);
      const next = reply.fetchNext;
      checkPage(writes, { start: from, end: range.end }, next);
      if (next !== null) {
        from = next;
        under = this.#send(this.#ask({ fetch: { start: next, end: range.end }, closing: 'final' }));
        under.catch(() => undefined); // it is awaited above, unless what comes now fails first
      }
      await this.#takeWrites({ ...first, fetch: range }, reply, writes);
      this.#options.onProgress(this.#current());
      if (next === null) return;
      this.#options.signal.throwIfAborted();
    }
  }

  /** Undefined when what was held back need not be sent any more. */
  async #nextAsk(): Promise<Ask | undefined> {
    const first = this.#report.roundTrips === 0;
    const { spans, wants, pushes } = this.#tasks.take();
    if (spans.length + wants.length + pushes.length === 0) {
      const fetch = this.#tasks.takeFetch();
      return this.#ask({ fetch, closing: 'final' });
    }
    const writes =
      pushes.length === 0 ? new Uint8Array(0) : await this.#page(pushes, spans.length + wants.length === 0 ? 'always fits' : 'must fit');
    if (spans.length + wants.length + writes.length === 0) return undefined;
    return this.#ask({ spans, wants, writes, closing: first || spans.length === 0 ? 'final' : 'more' });
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
      const view = new RangeView(snapshot, digests, this.#prints);
      let full = false;
      for (const push of pushes) {
        if (full) this.#tasks.addPush(push);
        else if (push.kind === 'range') {
          const next = await fillFromRange(page, view, push.range);
          if (next === null) continue;
          full = true;
          this.#tasks.addPush({ kind: 'range', range: { start: next, end: push.range.end } });
        } else if ((await isHeld(snapshot, push.key, push.head)) && !(await page.add(push.key, push.head))) {
          full = true;
          this.#tasks.addPush(push);
        }
      }
      this.#note({ sent: page.count });
      return page.encoded();
    });
  }

  async #send(ask: Ask): Promise<Reply> {
    const { digests, clusterId } = this.#deps;
    const request = encodeRequest({ clusterId, nonce: this.#nonce, floor: stampZero }, encodeAsk(ask), digests);
    this.#note({ roundTrips: 1, bytesOut: request.length, writeBytes: ask.writes.length });
    if (request.length > frameBytesMax) throw new GkvError('internal', `a request of ${request.length} bytes`);
    const frame = await this.#link.ask(request, this.#options.signal);
    const { clusterId: peer, reply } = fromPeer(() => {
      const answer = decodeAnswer(frame, request, digests);
      return { clusterId: answer.clusterId, reply: decodeReply(answer.body) };
    });
    this.#peer = toHex(peer);
    this.#note({ bytesIn: frame.length, writeBytes: reply.writes.length });
    this.#scopeFingerprint = reply.scopeFingerprint;
    this.#idleRequests = ask.writes.length + reply.writes.length > 0 ? 0 : this.#idleRequests + 1;
    if (this.#idleRequests > idleRequestsMax) throw protocolError(`${idleRequestsMax} requests in a row brought nothing`);
    return reply;
  }

  #peer = '';

  /** Checks the answer against what was asked, and puts back what the peer has not looked at. */
  #takeFindings(ask: Ask, reply: Reply): void {
    if (reply.looked > ask.spans.length || (reply.looked === 0 && ask.spans.length > 0)) {
      throw protocolError(`${reply.looked} spans looked at, of ${ask.spans.length}`);
    }
    if (reply.wantsDone > ask.wants.length) throw protocolError(`${reply.wantsDone} wants done, of ${ask.wants.length}`);
    if (ask.spans.length + reply.wantsDone === 0 && ask.wants.length > 0 && reply.writes.length === 0)
      throw protocolError('no want was looked for');
    for (const span of ask.spans.slice(reply.looked)) this.#tasks.addSpan(span);
    if (!reply.spans.every(isOrdered)) throw protocolError('a span whose edges do not rise');
    const findings = [...reply.spans.map(rangeOf), ...reply.ids.map(({ range }) => range), ...reply.offers, ...reply.gaps];
    checkFindings(findings, ask.spans.slice(0, reply.looked).map(rangeOf));
  }

  async #takeWrites(ask: Ask, reply: Reply, writes: readonly ReceivedWrite[]): Promise<void> {
    const { sink } = this.#deps;
    this.#tasks.settleWants(ask.wants, reply.wantsDone, writes);
    const { applied, parked } = await takeIn(sink, writes, this.#peer);
    this.#note({ received: writes.length, applied, parked });
  }

  #decode(writes: Uint8Array): ReceivedWrite[] {
    return fromPeer(() => decodeWrites(writes, this.#deps.digests));
  }

  /** The writes of an answer, each of which must have been asked for; they come in the order of the wants. */
  #wanted(ask: Ask, reply: Reply): ReceivedWrite[] {
    const writes = this.#decode(reply.writes);
    const wants = ask.wants.values();
    let want = wants.next().value;
    let ids = new Set(splitIds(want?.ids ?? emptyBytes));
    for (const { write, id } of writes) {
      const name = this.#prints.idOf(id);
      while (want !== undefined && !(ids.has(name) && inRange(write.key, want.range))) {
        want = wants.next().value;
        ids = new Set(splitIds(want?.ids ?? emptyBytes));
      }
      if (want === undefined) throw protocolError('a write that was not asked for');
    }
    return writes;
  }

  async #view<T>(look: (view: RangeView) => Promise<T>): Promise<T> {
    const { store, digests, clock } = this.#deps;
    if (clock.monotonic() - this.#breathed > turnMsMax) {
      await clock.sleep(0); // a long comparison lets others have a turn
      this.#breathed = clock.monotonic();
    }
    return store.read((snapshot) => look(new RangeView(snapshot, digests, this.#prints)));
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

/** What a peer sent that is not what it must be is the peer's fault, whatever is wrong with it. */
function fromPeer<T>(decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (hasCode(error, 'malformed', 'too_large')) throw protocolError(`the answer is wrong: ${error.message}`, error);
    throw error;
  }
}

/** A page holds writes of its range in order of keys, and goes on behind them. */
function checkPage(writes: readonly ReceivedWrite[], range: KeyRange, next: Uint8Array | null): void {
  let before = range.start;
  for (const { write } of writes) {
    if (compareBytes(write.key, before) < 0 || !inRange(write.key, range)) throw protocolError('a page of writes out of order');
    before = write.key;
  }
  if (next === null) return;
  const goesOn = writes.length > 0 && compareBytes(next, range.start) > 0 && compareBytes(next, before) >= 0;
  if (!goesOn || (range.end !== null && compareBytes(next, range.end) > 0))
    throw protocolError('a page of writes that does not go on behind its last');
}

function rangeOf(span: Parts): KeyRange {
  return { start: span.start, end: span.parts.at(-1)?.end ?? null };
}

/**
 * Each finding lies within one of the spans that were looked at, and no two overlap. So what is settled of the exchange's range is settled
 * once, and the exchange ends, whatever the peer answers.
 */
function checkFindings(findings: readonly KeyRange[], asked: readonly KeyRange[]): void {
  const spans = [...asked].sort(byStart).values();
  let span = spans.next().value;
  let settled: Uint8Array | null = emptyBytes;
  for (const range of [...findings].sort(byStart)) {
    while (span !== undefined && endsBefore(span, range)) span = spans.next().value;
    if (span === undefined || compareBytes(range.start, span.start) < 0) throw protocolError('a range that was not asked for');
    if (settled === null || compareBytes(range.start, settled) < 0) throw protocolError('ranges that overlap');
    settled = range.end;
  }
}

function byStart(a: KeyRange, b: KeyRange): number {
  return compareBytes(a.start, b.start);
}

function endsBefore(span: KeyRange, range: KeyRange): boolean {
  return span.end !== null && (range.end === null || compareBytes(span.end, range.end) < 0);
}
