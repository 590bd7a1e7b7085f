import { decodeRequest, encodeAnswer } from '../aae/frame.ts';
import { equalBytes } from '../core/bytes.ts';
import { type Frontier } from '../core/frontier.ts';
import { type Clock } from '../core/ports.ts';
import { commonScope, type Scope, type Scopes } from '../core/scope.ts';
import { beginWait } from '../core/wait.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type Reach } from '../replica/ended.ts';
import { type FeedPage } from '../replica/feedPage.ts';
import { positionPastAll, positionZero } from '../replica/cursor.ts';
import { encodeWrites } from '../replica/wire.ts';
import { believedOf } from './claims.ts';
import { decodeFeedAsk, encodeFeedAnswer } from './feedMessage.ts';
import { type OwnCluster } from './ports.ts';
import { type Statement } from './statement.ts';

/** A feed as it is served; the replica has one. */
interface Feed {
  feedPage(after: Uint8Array, covered: Frontier, recordsAfter?: number, scope?: Scope): Promise<FeedPage>;
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
  readonly reach: () => Promise<Reach>;
  readonly state: (reach: Reach) => Promise<Statement>;
}

/** What a reader has. */
interface Place {
  readonly after: Uint8Array;
  readonly covered: Frontier;
  /** Undefined in an open mesh. */
  readonly recordsAfter: number | undefined;
  /** What both may hold; undefined: everything. */
  readonly scope: Scope | undefined;
}

/** Readers that wait for changes at a time; one more is answered at once. */
const waitingMax = 256;

/** The answering side of feeds: keeps nothing of its readers between two requests. */
export class FeedServer {
  readonly #deps: FeedServerDeps;
  #waiting = 0;

  constructor(deps: FeedServerDeps) {
    this.#deps = deps;
  }

  /** Answers one frame; what not both may hold is left out. Errors: `mesh_mismatch`, `peer_protocol`, `malformed`, `too_large`, those of `hear`, and what the store reports. */
  async answer(frame: Uint8Array, scopes?: Scopes): Promise<Uint8Array> {
    const { digests, own, hear, state } = this.#deps;
    const request = decodeRequest(frame, digests, 'feed');
    const { waitMs, cursor, frontier, statement, records } = decodeFeedAsk(request.body, digests.kind);
    await hear(request.header.clusterId, believedOf(statement, scopes, request.header.clusterId), frontier);
    const isPlaced = cursor.incarnation === own.incarnation || equalBytes(cursor.position, positionPastAll);
    const after = isPlaced ? cursor.position : positionZero;
    const recordsAfter = records === undefined ? undefined : records.incarnation === own.incarnation ? records.number : 0;
    const scope = scopes && commonScope(scopes);
    const { page, reach } = await this.#page({ after, covered: frontier, recordsAfter, scope }, waitMs);
    const body = encodeFeedAnswer({
      cursor: { incarnation: own.incarnation, position: page.position },
      end: page.end,
      statement: await state(reach),
      records: page.records,
      writes: encodeWrites(page.writes),
    });
    return encodeAnswer({ clusterId: own.clusterId, body }, request, digests, 'feed');
  }

  /** Waits where there is nothing that the reader lacks. */
  async #page({ after, covered, recordsAfter, scope }: Place, waitMs: number): Promise<{ page: FeedPage; reach: Reach }> {
    const { feed, clock, signal, reach: reachNow } = this.#deps;
    const startedMs = clock.monotonic();
    for (let position = after; ;) {
      const wait = beginWait(signal);
      const changed = feed.feedChange(wait.signal); // from before the page is read, so that nothing is missed
      changed.catch(() => undefined);
      try {
        const reach = await reachNow();
        const page = await feed.feedPage(position, covered, recordsAfter, scope);
        const leftMs = waitMs - (clock.monotonic() - startedMs);
        if (page.writes.length > 0 || page.end === undefined || leftMs <= 0 || signal.aborted) return { page, reach };
        if (this.#waiting >= waitingMax) return { page, reach };
        position = page.position;
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
}
