import { countOf } from '../core/sum.ts';
import { GkvError, hasCode } from '../core/errors.ts';
import { type KeyRange } from '../core/key.ts';
import { limits } from '../core/limits.ts';
import { type Clock } from '../core/ports.ts';
import { parseStamp, type Stamp } from '../core/stamp.ts';
import { toHex } from '../core/bytes.ts';
import { commonScope, type Scopes } from '../core/scope.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { byKey, type ReceivedWrite } from '../replica/proposal.ts';
import { type BatchResult } from '../replica/slot.ts';
import { decodeWrites } from '../replica/wire.ts';
import { type Snapshot, type Store } from '../store/store.ts';
import { Breath } from './breath.ts';
import { checkAsk, checkRanges } from './checkAsk.ts';
import { compareParts } from './diff.ts';
import { Fingerprints, joinIds, splitIds } from './fingerprint.ts';
import { assertAnother, decodeRequest, encodeAnswer, frameBytesAim, protocolError } from './frame.ts';
import { decodeAsk, encodeReply, type Ask, type Parts, type RangeIds } from './message.ts';
import { fillFromRange, WritesPage } from './outgoing.ts';
import { finenessFor, RangeView, type Fineness } from './range.ts';

/** Where received writes go; the replica. */
export interface WriteSink {
  /** `asOf`: see `Replica.receive`. */
  receive(writes: readonly ReceivedWrite[], peer: string, asOf: Stamp): Promise<readonly BatchResult[]>;
}

export interface ResponderDeps {
  readonly store: Store;
  readonly digests: MeshDigests;
  readonly clusterId: Uint8Array;
  readonly sink: WriteSink;
  readonly clock: Clock;
  /** Why a cluster, in hex, is not answered; undefined: it is. */
  readonly refusalOf?: (clusterId: string) => GkvError | undefined;
}

/** Looking at spans stops after this long, and so does taking apart the parts of one; the driver asks for the rest again. */
const lookMsMax = 3_000;
/** Spans and ids take so much of an answer; one span more may be begun below it. */
const findingsBytesAim = frameBytesAim / 2;
/** Bytes of an answer that are left for what stands beside spans and ids. */
const answerReserveBytes = 65_536;

/** The answering side of an exchange: keeps nothing between two requests. */
export class Responder {
  readonly #deps: ResponderDeps;

  constructor(deps: ResponderDeps) {
    this.#deps = deps;
  }

  /** Answers one frame. Errors: `mesh_mismatch`, `peer_protocol`, `wrong_peer` in our own name, `malformed`, `too_large`, `scope_mismatch` for what is not of both `scopes`, and what the store reports. */
  async answer(frame: Uint8Array, scopes?: Scopes): Promise<Uint8Array> {
    const { digests, clusterId } = this.#deps;
    const request = decodeRequest(frame, digests);
    assertAnother(request.header.clusterId, clusterId);
    const refusal = this.#deps.refusalOf?.(toHex(request.header.clusterId));
    if (refusal !== undefined) throw refusal;
    const ask = decodeAsk(request.body);
    const asOf = parseStamp(request.header.floor);
    const brought = decodeWrites(ask.writes, digests);
    if (scopes !== undefined) checkAsk(ask, brought, commonScope(scopes));
    checkRanges(ask);
    const taken = await takeIn(this.#deps.sink, brought, toHex(request.header.clusterId), asOf);
    const prints = new Fingerprints(digests, request.header.nonce);
    const view: Viewing = (snapshot, breath) => new RangeView(snapshot, digests, prints, asOf, breath);
    const found = await this.#look(ask, prints, view);
    const { writes, wantsDone, fetchNext } = await this.#send(ask, view, frameBytesAim - found.bytes);
    const scopeFingerprint = ask.closing === 'final' && fetchNext === null ? await this.#scope(ask.scope, prints, view) : new Uint8Array(0);
    const { looked, spans, ids, offers, gaps } = found;
    const { applied, parked } = taken;
    const reply = { looked, spans, ids, offers, gaps, writes, wantsDone, fetchNext, applied, parked, scopeFingerprint };
    return encodeAnswer({ clusterId, body: encodeReply(reply) }, request, digests);
  }

  /** Compares spans until all are done or the answer is full. */
  async #look(ask: Ask, prints: Fingerprints, view: Viewing): Promise<Findings> {
    const { store, clock } = this.#deps;
    const findings = new Findings();
    const started = clock.monotonic();
    const breath = new Breath(clock);
    const isLate = (): boolean => clock.monotonic() - started > lookMsMax;
    const terms = { prints, fineness: finenessFor(ask.spans.length), breath, isLate };
    for (const span of ask.spans) {
      if (findings.looked > 0 && (findings.bytes > findingsBytesAim || isLate())) break;
      await breath.take();
      await store.read((snapshot) => lookAtSpan(view(snapshot, breath), span, terms, findings));
      findings.looked += 1;
    }
    return findings;
  }

  async #send(
    ask: Ask,
    viewing: Viewing,
    roomBytes: number,
  ): Promise<{ writes: Uint8Array; wantsDone: number; fetchNext: Uint8Array | null }> {
    const { store, clock } = this.#deps;
    if (ask.wants.length === 0 && ask.fetch === undefined) return { writes: new Uint8Array(0), wantsDone: 0, fetchNext: null };
    return store.read(async (snapshot) => {
      const alone = ask.spans.length === 0;
      const page = new WritesPage(snapshot, roomBytes - answerReserveBytes, alone ? 'always fits' : 'must fit');
      const view = viewing(snapshot);
      const wantsDone = await fillFromWants(page, view, ask.wants, clock);
      const all = wantsDone === ask.wants.length;
      const fetchNext = ask.fetch === undefined ? null : all ? await fillFromRange(page, view, ask.fetch) : ask.fetch.start;
      return { writes: await page.encoded(), wantsDone, fetchNext };
    });
  }

  #scope(scope: KeyRange, prints: Fingerprints, view: Viewing): Promise<Uint8Array> {
    return this.#deps.store.read(async (snapshot) => prints.ofScope(await view(snapshot).sum(scope)));
  }
}

/** What this exchange sees of a snapshot. */
type Viewing = (snapshot: Snapshot, breath?: Breath) => RangeView;

/** How one answer looks at spans. */
interface LookTerms {
  readonly prints: Fingerprints;
  readonly fineness: Fineness;
  readonly breath: Breath;
  readonly isLate: () => boolean;
}

class Findings {
  looked = 0;
  bytes = 0;
  readonly spans: Parts[] = [];
  readonly ids: RangeIds[] = [];
  readonly offers: KeyRange[] = [];
  readonly gaps: KeyRange[] = [];
}

async function lookAtSpan(
  view: RangeView,
  span: Parts,
  { prints, fineness, breath, isLate }: LookTerms,
  findings: Findings,
): Promise<void> {
  for (const { range, sum, comparison } of compareParts(span, await view.sums(span), prints)) {
    if (comparison === 'equal') continue;
    if (breath.isDue) await breath.take();
    if (comparison === 'theirsEmpty') findings.offers.push(range);
    else if (comparison === 'oursEmpty') findings.gaps.push(range);
    else if (countOf(sum) <= fineness.idsMax) findings.ids.push({ range, ids: joinIds(await idsOf(view, range)) });
    else if (findings.bytes > findingsBytesAim || (findings.bytes > 0 && isLate()))
      findings.spans.push(undivided(range, prints.of(sum))); // the driver takes it apart; all of our parts might not fit
    else {
      const parts = await view.parts(range, fineness, sum);
      const isOneKey = parts.parts.length === 1 && countOf(sum) <= limits.candidatesKeptMax; // which nobody can take apart
      if (isOneKey) findings.ids.push({ range, ids: joinIds(await idsOf(view, range)) });
      else findings.spans.push(parts);
    }
    findings.bytes += rangeBytes(findings, range);
  }
}

function undivided({ start, end }: KeyRange, fingerprint: Uint8Array): Parts {
  return { start, parts: [{ end, fingerprint }] };
}

/** About what the last finding takes in the answer. */
function rangeBytes(findings: Findings, range: KeyRange): number {
  const edges = range.start.length + (range.end?.length ?? 0) + 8;
  const ids = findings.ids[findings.ids.length - 1]?.ids.length ?? 0;
  const parts = findings.spans[findings.spans.length - 1]?.parts.reduce((total, { end }) => total + 10 + (end?.length ?? 0), 0) ?? 0;
  return edges + Math.max(ids, parts);
}

async function idsOf(view: RangeView, range: KeyRange): Promise<string[]> {
  const ids: string[] = [];
  for await (const page of view.writes(range)) for (const listed of page) ids.push(...view.idsOf(listed));
  return ids;
}

/** Sends what was asked for by id, a whole range of ids at a time, for as long as spans are looked at. Returns how many of the wants are done. */
async function fillFromWants(page: WritesPage, view: RangeView, wants: readonly RangeIds[], clock: Clock): Promise<number> {
  const started = clock.monotonic();
  const breath = new Breath(clock);
  for (const [done, want] of wants.entries()) {
    if (done > 0 && clock.monotonic() - started > lookMsMax) return done;
    const wanted = new Set(splitIds(want.ids));
    await breath.take();
    for await (const found of view.writes(want.range)) {
      await breath.take();
      for (const listed of found) {
        const ids = view.idsOf(listed);
        for (const [i, head] of listed.entry.entries()) if (wanted.has(ids[i] ?? '') && !page.add(listed.key, head)) return done;
      }
    }
  }
  return wants.length;
}

export interface TakenIn {
  readonly applied: number;
  readonly parked: number;
}

/** Takes writes in, in commits of bounded size that queue one behind the other; those of one key together, where one commit takes them (`byKey`). */
export async function takeIn(sink: WriteSink, writes: readonly ReceivedWrite[], peer: string, asOf: Stamp): Promise<TakenIn> {
  const chunks: Promise<readonly BatchResult[]>[] = [];
  let chunk: ReceivedWrite[] = [];
  let bytes = 0;
  const send = (): void => {
    if (chunk.length > 0) chunks.push(sink.receive(chunk, peer, asOf));
    chunk = [];
    bytes = 0;
  };
  const fits = (count: number, more: number): boolean =>
    chunk.length + count <= limits.commitWritesMax && bytes + more <= limits.commitBytesMax;
  for (const ofKey of byKey(writes)) {
    if (!fits(ofKey.length, sum(ofKey))) send();
    for (const received of ofKey) {
      if (!fits(1, bytesOf(received))) send();
      chunk.push(received);
      bytes += bytesOf(received);
    }
  }
  send();
  const settled = await Promise.allSettled(chunks);
  const failed = settled.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw asError(failed.reason);
  const results = settled.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
  if (count(results, 'forged') > 0) throw protocolError('writes whose signatures do not hold');
  return { applied: count(results, 'applied'), parked: count(results, 'parked') + count(results, 'unproven') };
}

function bytesOf({ write }: ReceivedWrite): number {
  return write.key.length + write.value.length;
}

function sum(writes: readonly ReceivedWrite[]): number {
  return writes.reduce((total, received) => total + bytesOf(received), 0);
}

function count(results: readonly BatchResult[], status: BatchResult['status']): number {
  return results.reduce((total, result) => total + (result.status === status ? 1 : 0), 0);
}

function asError(reason: unknown): GkvError {
  return hasCode(reason, 'disk_full', 'unavailable', 'read_only')
    ? reason
    : new GkvError('unavailable', 'writes could not be taken in', { cause: reason });
}
