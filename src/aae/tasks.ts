import { type Entry, type Head } from '../core/entry.ts';
import { type Key, type KeyRange } from '../core/key.ts';
import { type ReceivedWrite } from '../replica/proposal.ts';
import { compareParts, lackedIds, type ComparedPart } from './diff.ts';
import { joinIds, splitIds, type Fingerprints } from './fingerprint.ts';
import { frameBytesAim, protocolError } from './frame.ts';
import { type Parts, type RangeIds, type Reply } from './message.ts';
import { finenessFor, type Fineness, type RangeView } from './range.ts';

/** Something to send to the peer: all of a range, or one write. */
export type PushItem = { readonly kind: 'range'; readonly range: KeyRange } | WritePush;

export interface WritePush {
  readonly kind: 'write';
  readonly key: Key;
  readonly head: Head;
  /** All that the key had when it was listed. */
  readonly entry: Entry;
}

export interface Taken {
  readonly spans: readonly Parts[];
  readonly wants: readonly RangeIds[];
  readonly pushes: readonly PushItem[];
  /** Set where a whole range is to be fetched, and nothing else. */
  readonly fetch: KeyRange | undefined;
  /** Spans are left, or may follow from what the peer listed. */
  readonly isMore: boolean;
}

/** A range that differs, yet to be taken apart: its parts would take up to thirty times the memory. */
interface Differing extends Pick<ComparedPart, 'range' | 'sum'> {
  readonly fineness: Fineness;
}

/** Looks at our own content; each look may be at another snapshot. */
export type Looking = <T>(look: (view: RangeView) => Promise<T>) => Promise<T>;

/** Bytes of spans and wants in one request. */
const askBytesMax = frameBytesAim / 2;
const perFrameMax = 16_384;
/** Held writes of so few bytes are sent at once: a round trip is worth more. */
const heldBytesMin = 262_144;
/** From so many writes and ranges that wait to be sent, or ranges that wait to be fetched, nothing more is looked for until they are gone. */
const waitingMax = 8_192;
/** What ranges that differ take may grow with their depth, and with what one answer brings: five answers full of the longest keys come to this. */
const differingBytesMax = 256 * 2 ** 20;
/** Of a range or part: an object, and views of its keys. */
const objectBytes = 256;
/** Where the peer lists few writes, so many of ours are looked at; a range in which we hold more is taken apart first. */
const ownListedMax = 4_096;

/**
 * What an exchange still has to do. Spans are taken from the end, so that what a finer answer brought is done before the rest, and none while much waits
 * to be moved: memory is bounded by depth and by what one answer brings, not by the size of the difference.
 */
export class Tasks {
  readonly #prints: Fingerprints;
  readonly #direction: 'both' | 'pull';
  readonly #spans: (Parts | Differing)[] = [];
  #spanBytes = 0;
  /** Where the peer holds few writes: their ids, to be compared with ours. From the end. */
  readonly #listed: RangeIds[] = [];
  readonly #wants: RangeIds[] = [];
  #pushes: PushItem[] = [];
  /** Writes in ranges where the peer holds others: what comes may be greater, and then they need not be sent. */
  #held: WritePush[] = [];
  readonly #fetches: KeyRange[] = [];
  #keysCompared = 0;
  #branchesCompared = 0;

  constructor(prints: Fingerprints, direction: 'both' | 'pull') {
    this.#prints = prints;
    this.#direction = direction;
  }

  /** Spans, ids, writes and ranges that wait: what an exchange holds in memory. */
  get waiting(): number {
    return this.#spans.length + this.#listed.length + this.#wants.length + this.#toSend + this.#fetches.length;
  }

  addSpan(span: Parts | Differing): void {
    this.#spans.push(span);
    this.#spanBytes += bytesOfSpan(span);
    if (this.#spanBytes > differingBytesMax) throw protocolError(`${this.#spans.length} ranges that differ, and ever finer ones`);
  }

  addPush(push: PushItem): void {
    this.#pushes.push(push);
  }

  /** As much as one request takes. Errors: `peer_protocol`. */
  async take(looking: Looking): Promise<Taken> {
    const isQuiet = this.#spans.length + this.#listed.length + this.#wants.length + this.#pushes.length + this.#held.length === 0;
    if (isQuiet || this.#fetches.length > waitingMax)
      return { spans: [], wants: [], pushes: [], fetch: this.#fetches.shift(), isMore: this.#mayFindMore };
    // All that was wanted of their ranges has come, or a round trip is worth more.
    const isSettled = this.#wants.length === 0;
    const { spans, roomBytes } = this.#isFull ? { spans: [], roomBytes: askBytesMax } : await this.#takeSpans(looking);
    const wants = this.#takeWants(roomBytes);
    const release = isSettled || this.#heldBytes() <= heldBytesMin;
    const pushes = release ? [...this.#pushes, ...this.#held] : this.#pushes;
    if (release) this.#held = [];
    this.#pushes = [];
    return { spans, wants, pushes, fetch: undefined, isMore: this.#mayFindMore };
  }

  #takeWants(roomBytes: number): RangeIds[] {
    let room = roomBytes;
    let count = 0;
    for (const want of this.#wants) {
      if (room <= 0 || count === perFrameMax) break;
      room -= bytesOfWants([want]);
      count += 1;
    }
    return this.#wants.splice(0, count);
  }

  async #takeSpans(looking: Looking): Promise<{ spans: Parts[]; roomBytes: number }> {
    const spans: Parts[] = [];
    let room = askBytesMax;
    while (room > 0 && spans.length < perFrameMax) {
      const next = this.#spans.pop();
      if (next === undefined) break;
      this.#spanBytes -= bytesOfSpan(next);
      const span = 'parts' in next ? next : await looking((view) => view.parts(next.range, next.fineness, next.sum));
      spans.push(span);
      room -= span.parts.reduce((total, { end }) => total + 10 + (end?.length ?? 0), 8 + span.start.length);
    }
    return { spans, roomBytes: room };
  }

  get #toSend(): number {
    return this.#pushes.length + this.#held.length;
  }

  get #isFull(): boolean {
    return (
      this.#toSend > waitingMax || this.#fetches.length > waitingMax || this.#listed.length > 0 || bytesOfWants(this.#wants) > askBytesMax
    );
  }

  get #mayFindMore(): boolean {
    return this.#spans.length + this.#listed.length > 0;
  }

  takeCounts(): { keysCompared: number; branchesCompared: number } {
    const counts = { keysCompared: this.#keysCompared, branchesCompared: this.#branchesCompared };
    this.#keysCompared = 0;
    this.#branchesCompared = 0;
    return counts;
  }

  /** Works out what follows from an answer, whose spans have edges that rise. Errors: `peer_protocol`. */
  async plan(reply: Pick<Reply, 'spans' | 'ids' | 'offers' | 'gaps'>, looking: Looking): Promise<void> {
    const differing: ComparedPart[] = [];
    for (const span of reply.spans) await looking((view) => this.#planSpan(view, span, differing));
    const fineness = finenessFor(differing.length);
    for (const { range, sum } of differing) this.addSpan({ range, sum, fineness });
    this.#listed.push(...reply.ids.toReversed());
    this.#fetches.push(...reply.offers);
    for (const range of reply.gaps) this.#pushRange(range);
  }

  /** Compares what the peer has listed with what is here, until so much waits to be moved that it had better be moved first. */
  async compareListed(looking: Looking): Promise<void> {
    const fineness = finenessFor(this.#listed.length);
    let wantedBytes = bytesOfWants(this.#wants);
    while (this.#toSend <= waitingMax && wantedBytes <= askBytesMax) {
      const listed = this.#listed.pop();
      if (listed === undefined) return;
      const before = this.#wants.length;
      if (!(await looking((view) => this.#planIds(view, listed, ownListedMax)))) {
        const span = await looking((view) => view.parts(listed.range, fineness));
        if (span.parts.length > 1) this.addSpan(span);
        else await looking((view) => this.#planIds(view, listed, Infinity)); // the tree is wrong there, and says that there are few
      }
      wantedBytes += bytesOfWants(this.#wants.slice(before));
    }
  }

  async #planSpan(view: RangeView, span: Parts, differing: ComparedPart[]): Promise<void> {
    for (const part of compareParts(span, await view.sums(span), this.#prints)) {
      const { range, comparison } = part;
      this.#branchesCompared += 1;
      if (comparison === 'oursEmpty') this.#fetches.push(range);
      else if (comparison === 'theirsEmpty') this.#pushRange(range);
      else if (comparison === 'differs') differing.push(part);
    }
  }

  /** False, and nothing done, where we hold more than may be gone through. */
  async #planIds(view: RangeView, { range, ids }: RangeIds, ownMax: number): Promise<boolean> {
    const theirs = splitIds(ids);
    const known = new Set(theirs);
    const ours = new Set<string>();
    const extra: WritePush[] = [];
    for await (const page of view.writes(range)) {
      for (const listed of page) {
        const { key, entry } = listed;
        for (const [i, id] of view.idsOf(listed).entries()) {
          const head = entry[i];
          ours.add(id);
          if (head !== undefined && !known.has(id) && this.#direction === 'both') extra.push({ kind: 'write', key, head, entry });
        }
        if (ours.size > ownMax) return false;
      }
    }
    this.#keysCompared += ours.size;
    const lacked = lackedIds(theirs, ours);
    if (lacked.length > 0) this.#wants.push({ range, ids: joinIds(lacked) });
    for (const push of extra) (lacked.length > 0 ? this.#held : this.#pushes).push(push);
    return true;
  }

  #heldBytes(): number {
    return this.#held.reduce((total, { head }) => total + head.length, 0);
  }

  #pushRange(range: KeyRange): void {
    if (this.#direction === 'both') this.#pushes.push({ kind: 'range', range });
  }

  /**
   * Asks again for what was wanted and neither came nor was looked for. Returns how much was looked for and is there no more: something greater
   * has taken its place since it was listed, and this exchange may not bring that.
   */
  settleWants(asked: readonly RangeIds[], done: number, came: readonly ReceivedWrite[]): number {
    if (asked.length === 0) return 0;
    const here = new Set(came.map(({ id }) => this.#prints.idOf(id)));
    let missed = 0;
    for (const [index, { range, ids }] of asked.entries()) {
      const left = splitIds(ids).filter((id) => !here.has(id));
      if (index < done) missed += left.length;
      else if (left.length > 0) this.#wants.push({ range, ids: joinIds(left) });
    }
    return missed;
  }
}

function bytesOfWants(wants: readonly RangeIds[]): number {
  return wants.reduce((total, { range, ids }) => total + ids.length + range.start.length + (range.end?.length ?? 0) + 8, 0);
}

function bytesOfSpan(span: Parts | Differing): number {
  if (!('parts' in span)) return objectBytes + span.range.start.length + (span.range.end?.length ?? 0);
  return span.parts.reduce((total, { end }) => total + objectBytes + (end?.length ?? 0), span.start.length);
}
