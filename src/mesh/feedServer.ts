import { assertAnother, decodeRequest, encodeAnswer, frameBytesMax, type Request } from '../aae/frame.ts';
import { equalBytes, toHex } from '../core/bytes.ts';
import { clusterPartOf, type ClusterPart, type Frontier } from '../core/frontier.ts';
import { limits } from '../core/limits.ts';
import { type Clock } from '../core/ports.ts';
import { commonScope, type Scopes } from '../core/scope.ts';
import { beginWait } from '../core/wait.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type Reach } from '../replica/ended.ts';
import { type FeedPage, type PageOptions } from '../replica/feedPage.ts';
import { type ReceivedWrite } from '../replica/proposal.ts';
import { positionPastAll, positionZero } from '../replica/cursor.ts';
import { encodeWrites } from '../replica/wire.ts';
import { believedOf } from './claims.ts';
import { decodeFeedAsk, encodeFeedAnswer } from './feedMessage.ts';
import { type OwnCluster } from './ports.ts';
import { type Statement } from './statement.ts';
import { partOf } from './words.ts';

/** A feed as it is served; the replica has one. */
interface Feed {
  feedPage(after: Uint8Array, covered: Frontier, options: PageOptions): Promise<FeedPage>;
  /** Resolves when there may be more. */
  feedChange(signal: AbortSignal): Promise<void>;
}

export interface FeedServerDeps {
  readonly feed: Feed;
  readonly digests: MeshDigests;
  readonly own: OwnCluster;
  readonly clock: Clock;
  /** Ends waiting. */
  readonly signal: AbortSignal;
  /** Errors: those that the reader is refused with. */
  readonly hear: (from: Uint8Array, statement: Statement, has: Frontier) => Promise<unknown>;
  /** True for a reader that pulls from every member, and so from whoever made what we have. */
  readonly pullsFromAll: (reader: Uint8Array) => boolean;
  /** False for one that is being filled: what it was sent may be collected before it comes to what hides that. */
  readonly isMember: (reader: Uint8Array) => boolean;
  readonly reach: () => Promise<Reach>;
  /** Aborts when the reach is of another epoch. */
  readonly epochEnds: () => AbortSignal;
  readonly state: (reach: Reach) => Promise<Statement>;
}

/** What a reader has. */
interface Place {
  readonly after: Uint8Array;
  readonly covered: Frontier;
  readonly options: PageOptions;
  /** It pulls from those whose writes we pass on. */
  readonly pullsFromAll: boolean;
  readonly reader: Readonly<Reader>;
}

/** How long a reader is not told of what others made whom it pulls from: most of it comes from there meanwhile, and one page tells of more. */
const relayMs = 100;
/** Readers that wait for changes at a time; one more is answered at once. */
const waitingMax = 256;
/** Who asked so lately follows us, and will ask again. */
const followsMs = 3_000;
/** Between two counts of what is behind the pages of one reader. */
const countMs = 1_000;
/** Who leaves waits no longer for its readers. */
const handOverMsMax = 1_500;
const handOverPollMs = 10;

/** What is known of a reader between two of its questions. */
interface Reader {
  readonly clusterId: Uint8Array;
  seenMs: number;
  /** Questions of it that are under way. */
  asking: number;
  /** It was given all that there was, since we hand over. */
  hasAll: boolean;
  /** When it was last told how much is behind a page, or asked for one with which it may be. */
  countedMs: number;
}

/** The answering side of feeds: keeps of its readers, between two requests, only when they came and when it counted for them. */
export class FeedServer {
  readonly #deps: FeedServerDeps;
  readonly #own: ClusterPart;
  #waiting = 0;
  /** By cluster id in hex: those that were members when they last asked, and the others, apart so that these push none of those out. */
  readonly #members = new Map<string, Reader>();
  readonly #others = new Map<string, Reader>();
  /** Aborts, and is another one from then on, where those that wait are to be answered. */
  #handsOver = new AbortController();
  #isLeaving = false;

  constructor(deps: FeedServerDeps) {
    this.#deps = deps;
    this.#own = partOf(deps.own);
  }

  /** Answers one frame; what not both may hold is left out. Errors: `mesh_mismatch`, `peer_protocol`, `wrong_peer` in our own name, `malformed`, `too_large`, those of `hear`, and what the store reports. */
  async answer(frame: Uint8Array, scopes?: Scopes): Promise<Uint8Array> {
    const { digests, own, hear, state, clock } = this.#deps;
    const request = decodeRequest(frame, digests, 'feed');
    assertAnother(request.header.clusterId, own.clusterId);
    const { waitMs, cursor, frontier, statement, records } = decodeFeedAsk(request.body, digests.kind);
    await hear(request.header.clusterId, believedOf(statement, scopes, request.header.clusterId), frontier);
    const isPastAll = equalBytes(cursor.position, positionPastAll);
    const after = isPastAll || cursor.incarnation === own.incarnation ? cursor.position : positionZero;
    const recordsAfter = records === undefined ? undefined : records.incarnation === own.incarnation ? records.number : 0;
    const { clusterId } = request.header;
    const isMember = this.#deps.isMember(clusterId);
    const reader = this.#seen(clusterId, isMember);
    const { countedMs } = reader;
    const askedMs = clock.monotonic();
    const mayCount = isMember && askedMs - countedMs >= countMs;
    if (mayCount) reader.countedMs = askedMs; // at once: it may ask much at a time
    const options = {
      recordsAfter,
      scope: scopes && commonScope(scopes),
      withHidersTo: isMember ? undefined : limits.feedGroupBytesMax,
      behindMax: mayCount ? limits.feedBehindMax : undefined,
    };
    reader.asking += 1;
    try {
      const place = { after, covered: frontier, options, pullsFromAll: this.#deps.pullsFromAll(clusterId), reader };
      const { page, reach, wasLeaving } = await this.#page(place, waitMs);
      if (page.behind !== undefined) reader.countedMs = clock.monotonic();
      else if (mayCount && reader.countedMs === askedMs) reader.countedMs = countedMs; // there was nothing to count
      const said = { page, statement: await state(reach) };
      const answer = this.#encode(said, request);
      // Beside the greatest value there is no room for a large frontier: it comes with the next page. Nor may a count make it too long.
      const isTooLong = answer.length > frameBytesMax && page.writes.length > 0;
      // An exchange asks past all, and is given nothing of it.
      reader.hasAll ||= wasLeaving && page.end !== undefined && !isTooLong && !isPastAll;
      return isTooLong ? this.#encode({ ...said, page: { ...page, end: undefined, behind: undefined } }, request) : answer;
    } finally {
      reader.asking -= 1;
      reader.seenMs = clock.monotonic();
    }
  }

  /** Nothing is written here any more: resolves once the members that follow us were answered with all that there is, or after a while. */
  async handOver(): Promise<void> {
    const { clock, isMember } = this.#deps;
    const startedMs = clock.monotonic();
    this.#isLeaving = true;
    this.#handsOver.abort();
    this.#handsOver = new AbortController();
    // Who is a member is asked now: it may have become one since it asked.
    const lacks = ({ clusterId, seenMs, asking, hasAll }: Reader): boolean =>
      !hasAll && (asking > 0 || startedMs - seenMs < followsMs) && isMember(clusterId);
    const isAwaited = (): boolean => [...this.#members.values(), ...this.#others.values()].some(lacks);
    while (isAwaited() && clock.monotonic() - startedMs < handOverMsMax) await clock.sleep(handOverPollMs);
  }

  #seen(clusterId: Uint8Array, isMember: boolean): Reader {
    const name = toHex(clusterId);
    const reader = this.#members.get(name) ??
      this.#others.get(name) ?? { clusterId: clusterId.slice(), seenMs: 0, asking: 0, hasAll: false, countedMs: -Infinity };
    this.#members.delete(name);
    this.#others.delete(name);
    const kept = isMember ? this.#members : this.#others;
    kept.set(name, reader);
    const [oldest] = kept.keys();
    if (kept.size > limits.membersMax && oldest !== undefined) kept.delete(oldest);
    return reader;
  }

  #encode({ page, statement }: { readonly page: FeedPage; readonly statement: Statement }, request: Request): Uint8Array {
    const { own, digests } = this.#deps;
    const body = encodeFeedAnswer({
      cursor: { incarnation: own.incarnation, position: page.position },
      end: page.end,
      behind: page.behind,
      statement,
      records: page.records,
      writes: encodeWrites(page.writes),
    });
    return encodeAnswer({ clusterId: own.clusterId, body }, request, digests, 'feed');
  }

  /** Waits where there is nothing that the reader lacks, until who the members are changes; and a moment where we made nothing of it. */
  async #page(
    { after, covered, options, pullsFromAll, reader }: Place,
    waitMs: number,
  ): Promise<{ page: FeedPage; reach: Reach; wasLeaving: boolean }> {
    const { feed, clock, signal, reach: reachNow } = this.#deps;
    const endMs = clock.monotonic() + waitMs;
    const epochEnds = this.#deps.epochEnds();
    const handsOver = this.#handsOver.signal;
    let heldToMs: number | undefined;
    for (let [position, looked] = [after, after]; ;) {
      const wait = beginWait(signal, epochEnds, handsOver);
      const changed = feed.feedChange(wait.signal); // from before the page is read, so that nothing is missed
      changed.catch(() => undefined);
      try {
        const wasLeaving = this.#isLeaving; // from before the page is read
        const isLast = handsOver.aborted || (wasLeaving && !reader.hasAll);
        const isOver = epochEnds.aborted; // from before the reach is read, so that the reader hears of the next one
        const reach = await reachNow();
        const page = await feed.feedPage(looked, covered, options);
        const isEmpty = page.writes.length === 0;
        if (isEmpty && heldToMs === undefined) position = page.position;
        else heldToMs ??= clock.monotonic() + relayMs;
        const leftMs = Math.min(endMs, heldToMs ?? Infinity) - clock.monotonic();
        const mayWait = isEmpty || (pullsFromAll && !page.writes.some((write) => this.#isOwn(write)));
        if (!mayWait || page.end === undefined || leftMs <= 0 || isOver || signal.aborted || isLast || this.#waiting >= waitingMax)
          return {
            page: heldToMs === undefined || looked === position ? page : await feed.feedPage(position, covered, options),
            reach,
            wasLeaving,
          };
        looked = page.position;
        this.#waiting += 1;
        try {
          await Promise.race([changed, clock.sleep(leftMs, wait.signal)]);
        } finally {
          this.#waiting -= 1;
        }
      } finally {
        wait.end();
      }
    }
  }

  #isOwn({ accepted }: ReceivedWrite): boolean {
    return clusterPartOf(accepted) === this.#own;
  }
}
