import { type PeerLink } from '../aae/checkedPeer.ts';
import { decodeAnswer, encodeRequest, fromPeer, nonceBytes, protocolError } from '../aae/frame.ts';
import { compareBytes, equalBytes, toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { type Frontier } from '../core/frontier.ts';
import { limits } from '../core/limits.ts';
import { type Random } from '../core/ports.ts';
import { commonScope, isInScope, type Scope, type Scopes } from '../core/scope.ts';
import { stampZero } from '../core/stamp.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { positionPastAll, type FeedCursor } from '../replica/cursor.ts';
import { type ReceivedWrite } from '../replica/proposal.ts';
import { decodeWrites } from '../replica/wire.ts';
import { recordsPageMax, type RecordsPage } from '../grant/ledger.ts';
import { believedOf } from './claims.ts';
import { decodeFeedAnswer, encodeFeedAsk, type FeedAsk } from './feedMessage.ts';
import { type RecordIntake } from './records.ts';
import { type Statement } from './statement.ts';

/** A page of a peer's feed that fits what was asked. */
export interface UpstreamPage {
  readonly writes: readonly ReceivedWrite[];
  readonly cursor: FeedCursor;
  readonly end: Frontier | undefined;
  /** Rows of the feed behind it, up to 1,000, where it does not end the feed; undefined: not told. */
  readonly behind?: number | undefined;
  /** As far as it is believed. */
  readonly statement: Statement;
  /** Which keys we and the peer may hold; undefined: all. */
  readonly scopes: Scopes | undefined;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export interface UpstreamDeps {
  readonly digests: MeshDigests;
  /** Ours, a UUID's 16 bytes. */
  readonly clusterId: Uint8Array;
  readonly random: Random;
  /** Of a granted mesh: where the peer's ledger goes. */
  readonly records?: RecordIntake | undefined;
  /** What stands beside records of the peer's. Rejects where nothing may be taken from it. */
  readonly hear?: ((statement: Statement) => Promise<unknown>) | undefined;
}

/** For the peer's frontier alone, whatever its incarnation. */
export const cursorPastAll: FeedCursor = { incarnation: 0, position: positionPastAll };

/** The other side of a feed: what is asked goes there, and what fits comes back. Decides nothing. */
export class Upstream {
  readonly #link: PeerLink;
  readonly #peerId: Uint8Array;
  readonly #deps: UpstreamDeps;

  /** `peerId`: who must answer. */
  constructor(link: PeerLink, peerId: Uint8Array, deps: UpstreamDeps) {
    this.#link = link;
    this.#peerId = peerId;
    this.#deps = deps;
  }

  /**
   * In a granted mesh once all that the peer knew of authority, when it made the page, is here. Errors: those of the link, and of `hear`; `mesh_mismatch`;
   * `peer_protocol` for an answer that does not fit, or brings keys that one of us may not hold.
   */
  page(ask: FeedAsk, signal: AbortSignal): Promise<UpstreamPage> {
    const { records } = this.#deps;
    return records === undefined ? this.#page(ask, signal) : this.#pageBehind(records, ask, signal);
  }

  /** Behind all pages of records: each goes on where the one before ended, and there are only so many. */
  async #pageBehind(intake: RecordIntake, ask: FeedAsk, signal: AbortSignal): Promise<UpstreamPage> {
    for (const incarnations = new Set<number>(); ;) {
      const page = await this.#page({ ...ask, records: intake.cursorOf(this.#peerId) }, signal);
      if (page.records === undefined || page.records.records.length === 0) return page;
      incarnations.add(page.cursor.incarnation);
      if (incarnations.size > 2) throw protocolError('a ledger that begins anew again and again');
      await this.#deps.hear?.(page.statement);
      await intake.take(this.#peerId, page.cursor.incarnation, page.records);
    }
  }

  async #page(ask: FeedAsk, signal: AbortSignal): Promise<UpstreamPage & { readonly records?: RecordsPage | undefined }> {
    const { digests, clusterId, random } = this.#deps;
    const header = { clusterId, nonce: random.bytes(nonceBytes), floor: stampZero };
    const request = encodeRequest(header, encodeFeedAsk(ask), digests, 'feed');
    const scopes = await this.#link.scopes?.(signal);
    const frame = await this.#link.ask(request, signal, scopes);
    const page = fromPeer(() => {
      const answer = decodeAnswer(frame, request, digests, 'feed');
      if (!equalBytes(answer.clusterId, this.#peerId))
        throw new GkvError(
          'wrong_peer',
          `cluster ${toHex(answer.clusterId)} answers where ${toHex(this.#peerId)} should be: its record names another's address`,
        );
      const { writes, ...rest } = decodeFeedAnswer(answer.body, digests.kind);
      return { ...rest, writes: decodeWrites(writes, digests) };
    });
    check(ask, page);
    if (scopes !== undefined) checkScope(page.writes, commonScope(scopes));
    return {
      ...page,
      statement: believedOf(page.statement, scopes, this.#peerId),
      scopes,
      bytesIn: frame.length,
      bytesOut: request.length,
    };
  }
}

function check(
  ask: FeedAsk,
  {
    cursor,
    end,
    behind,
    writes,
    records,
  }: Omit<UpstreamPage, 'bytesIn' | 'bytesOut' | 'scopes'> & { readonly records?: RecordsPage | undefined },
): void {
  if (records !== undefined) checkRecords(ask, cursor, records);
  if (records !== undefined && records.records.length > 0) {
    if (writes.length > 0 || end !== undefined || behind !== undefined) throw protocolError('a page with records and more');
    return;
  }
  if (writes.length > limits.commitWritesMax) throw protocolError(`a page of ${writes.length} writes`);
  const bytes = writes.reduce((total, { write }) => total + write.key.length + write.value.length, 0);
  const [first] = writes;
  // A write comes with what hides it.
  const isOfOneKey = first !== undefined && writes.every(({ write }) => equalBytes(write.key, first.write.key));
  if (writes.length > 1 && bytes > (isOfOneKey ? limits.feedGroupBytesMax : limits.feedPageBytesMax))
    throw protocolError(`a page of ${bytes} bytes`);
  if (cursor.incarnation < ask.cursor.incarnation) throw protocolError('a feed of an incarnation that has ended');
  if (cursor.incarnation > ask.cursor.incarnation) return;
  const order = compareBytes(cursor.position, ask.cursor.position);
  if (order < 0 || (order === 0 && (writes.length > 0 || end === undefined))) throw protocolError('a page that does not go on');
}

function checkScope(writes: readonly ReceivedWrite[], common: Scope): void {
  const other = writes.find(({ write }) => !isInScope(write.key, common));
  if (other !== undefined) throw protocolError(`a page with key ${toHex(other.write.key)}, which is not in the scope of both`);
}

/** Each page of a ledger goes on where the one before ended, or from the start in another incarnation. */
function checkRecords(ask: FeedAsk, { incarnation }: FeedCursor, { number, records }: RecordsPage): void {
  if (records.length > recordsPageMax) throw protocolError(`a page of ${records.length} records`);
  const before = ask.records?.incarnation === incarnation ? ask.records.number : 0;
  if (number !== before + records.length) throw protocolError(`${records.length} records behind ${before} that end at ${number}`);
}
