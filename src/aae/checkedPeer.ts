import { compareBytes, emptyBytes, equalBytes, toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { inRange, type KeyRange } from '../core/key.ts';
import { type Scopes } from '../core/scope.ts';
import { type Stamp } from '../core/stamp.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type ReceivedWrite } from '../replica/proposal.ts';
import { decodeWrites } from '../replica/wire.ts';
import { isOrdered } from './diff.ts';
import { splitIds, type Fingerprints } from './fingerprint.ts';
import { decodeAnswer, encodeRequest, frameBytesMax, fromPeer, protocolError } from './frame.ts';
import { decodeReply, encodeAsk, type Ask, type Parts, type Reply } from './message.ts';

/** Carries one frame to the peer and its answer back. Errors: `peer_unreachable`, `peer_timeout`, `peer_protocol`, `mesh_mismatch`. */
export interface PeerLink {
  /** `under`: what `scopes` told; the answer of a peer that has proved another scope by now is `scope_mismatch`. */
  ask(frame: Uint8Array, signal: AbortSignal, under?: Scopes): Promise<Uint8Array>;
  /** Which keys either side may hold, as they have proved; undefined where that is everything. Left out: nobody proves anything. */
  scopes?(signal: AbortSignal): Promise<Scopes | undefined>;
}

/** An answer that fits what was asked. */
export interface CheckedAnswer {
  readonly reply: Reply;
  /** The reply's writes, all of which were asked for. */
  readonly writes: readonly ReceivedWrite[];
  /** The answering cluster's id. */
  readonly peer: string;
  /** Of both frames. */
  readonly bytesOut: number;
  readonly bytesIn: number;
}

export interface PeerDeps {
  readonly digests: MeshDigests;
  readonly clusterId: Uint8Array;
  readonly nonce: Uint8Array;
  readonly prints: Fingerprints;
  /** The cluster id of who must answer, in hex; undefined: anybody of the mesh. */
  readonly peer: string | undefined;
}

/** Requests in a row that bring no write either way; more is a peer that leads us in circles. */
const idleRequestsMax = 2_000;

/** The other side of one exchange: what is asked goes there, and what fits comes back. Decides nothing. */
export class CheckedPeer {
  readonly #link: PeerLink;
  readonly #deps: PeerDeps;
  #idleRequests = 0;

  constructor(link: PeerLink, deps: PeerDeps) {
    this.#link = link;
    this.#deps = deps;
  }

  /** `floor`: ours, from before the ask's writes were read. Errors: those of the link; `mesh_mismatch`; `wrong_peer`; `peer_protocol` for an answer that does not fit. */
  async ask(ask: Ask, floor: Stamp, signal: AbortSignal): Promise<CheckedAnswer> {
    const { digests, clusterId, nonce, prints, peer: expected } = this.#deps;
    const request = encodeRequest({ clusterId, nonce, floor }, encodeAsk(ask), digests);
    if (request.length > frameBytesMax) throw new GkvError('internal', `a request of ${request.length} bytes`);
    const frame = await this.#link.ask(request, signal);
    const { peer, reply, writes } = fromPeer(() => {
      const answer = decodeAnswer(frame, request, digests);
      const reply = decodeReply(answer.body);
      return { peer: toHex(answer.clusterId), reply, writes: decodeWrites(reply.writes, digests) };
    });
    if (expected !== undefined && peer !== expected)
      throw new GkvError('wrong_peer', `cluster ${peer} answers where ${expected} should be`);
    this.#countIdle(ask, reply);
    checkCounts(ask, reply);
    checkFindings(ask, reply);
    checkListed(ask, reply);
    if (ask.fetch === undefined) checkWanted(writes, ask, prints);
    else checkPage(writes, ask.fetch, reply.fetchNext);
    return { reply, writes, peer, bytesOut: request.length, bytesIn: frame.length };
  }

  #countIdle(ask: Ask, reply: Reply): void {
    this.#idleRequests = ask.writes.length + reply.writes.length > 0 ? 0 : this.#idleRequests + 1;
    if (this.#idleRequests > idleRequestsMax) throw protocolError(`${idleRequestsMax} requests in a row brought nothing`);
  }
}

/** What a peer sent that is not what it must be is the peer's fault, whatever is wrong with it. */
function checkCounts(ask: Ask, reply: Reply): void {
  if (reply.looked > ask.spans.length || (reply.looked === 0 && ask.spans.length > 0)) {
    throw protocolError(`${reply.looked} spans looked at, of ${ask.spans.length}`);
  }
  if (reply.wantsDone > ask.wants.length) throw protocolError(`${reply.wantsDone} wants done, of ${ask.wants.length}`);
  if (ask.spans.length + reply.wantsDone === 0 && ask.wants.length > 0 && reply.writes.length === 0)
    throw protocolError('no want was looked for');
}

/**
 * Each finding lies within one of the spans that were looked at, and no two overlap. So what is settled of the exchange's range is settled
 * once, and the exchange ends, whatever the peer answers.
 */
function checkFindings(ask: Ask, reply: Reply): void {
  if (!reply.spans.every(isOrdered)) throw protocolError('a span whose edges do not rise');
  const findings = [...reply.spans.map(rangeOf), ...reply.ids.map(({ range }) => range), ...reply.offers, ...reply.gaps];
  const spans = ask.spans.slice(0, reply.looked).map(rangeOf).sort(byStart).values();
  let span = spans.next().value;
  let settled: Uint8Array | null = emptyBytes;
  for (const range of findings.sort(byStart)) {
    while (span !== undefined && endsBefore(span, range)) span = spans.next().value;
    if (span === undefined || compareBytes(range.start, span.start) < 0) throw protocolError('a range that was not asked for');
    if (settled === null || compareBytes(range.start, settled) < 0) throw protocolError('ranges that overlap');
    settled = range.end;
  }
}

/** What is listed is one part of a span, so that one that we take apart does not come again as it was. */
function checkListed(ask: Ask, reply: Reply): void {
  const parts = ask.spans.slice(0, reply.looked).flatMap(partsOf).sort(byStart).values();
  let part = parts.next().value;
  for (const { range } of reply.ids.toSorted((a, b) => byStart(a.range, b.range))) {
    while (part !== undefined && compareBytes(part.start, range.start) < 0) part = parts.next().value;
    // Behind a part that is empty another one may start where it does.
    while (part !== undefined && !isSame(part, range) && equalBytes(part.start, range.start)) part = parts.next().value;
    if (part === undefined || !isSame(part, range)) throw protocolError('ids of a range that is no part of what was asked for');
  }
}

function partsOf({ start, parts }: Parts): KeyRange[] {
  return parts.map(({ end }, i) => ({ start: (i === 0 ? start : parts[i - 1]?.end) ?? start, end }));
}

function isSame(a: KeyRange, b: KeyRange): boolean {
  return equalBytes(a.start, b.start) && (a.end === null || b.end === null ? a.end === b.end : equalBytes(a.end, b.end));
}

function rangeOf(span: Parts): KeyRange {
  return { start: span.start, end: span.parts.at(-1)?.end ?? null };
}

function byStart(a: KeyRange, b: KeyRange): number {
  return compareBytes(a.start, b.start);
}

function endsBefore(span: KeyRange, range: KeyRange): boolean {
  return span.end !== null && (range.end === null || compareBytes(span.end, range.end) < 0);
}

/** Each write was asked for; they come in the order of the wants. */
function checkWanted(writes: readonly ReceivedWrite[], ask: Ask, prints: Fingerprints): void {
  const wants = ask.wants.values();
  let want = wants.next().value;
  let ids = new Set(splitIds(want?.ids ?? emptyBytes));
  for (const { write, id } of writes) {
    const name = prints.idOf(id);
    while (want !== undefined && !(ids.has(name) && inRange(write.key, want.range))) {
      want = wants.next().value;
      ids = new Set(splitIds(want?.ids ?? emptyBytes));
    }
    if (want === undefined) throw protocolError('a write that was not asked for');
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
