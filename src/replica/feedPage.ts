import { compareBytes, equalBytes, toHex } from '../core/bytes.ts';
import { decodeEntry, encodePosition, type Head } from '../core/entry.ts';
import { covers, type ClusterPart, type Frontier } from '../core/frontier.ts';
import { parseKey, successorKey, type Key } from '../core/key.ts';
import { limits } from '../core/limits.ts';
import { isInScope, type Scope } from '../core/scope.ts';
import { digestBytes } from '../core/write.ts';
import { readRecordsPage, type RecordsPage } from '../grant/ledger.ts';
import { keyWithin, tableKeys, tables } from '../store/keyspace.ts';
import { type Row, type Snapshot } from '../store/store.ts';
import { headKey } from './change.ts';
import { readFrontier } from './frontier.ts';
import { type ReceivedWrite } from './proposal.ts';
import { allRead, readWrite } from './read.ts';
import { wireLength } from './wire.ts';

/** Rows that one page looks at; those that the reader has already are passed over. */
const rowsMax = 4_000;

/** Changes of a cluster in the order of its commits, from a place on. */
export interface FeedPage {
  readonly writes: readonly ReceivedWrite[];
  /** The place behind what was looked at. */
  readonly position: Uint8Array;
  /** At the feed's end, and only there: what is here as of the same snapshot. */
  readonly end: Frontier | undefined;
  /** Where it does not end there, and that was asked for: how many rows come behind it, those that the reader has among them. */
  readonly behind?: number | undefined;
  /** In a granted mesh: what the reader lacks of the ledger. Where there is any, nothing else is in the page. */
  readonly records?: RecordsPage;
}

/** Whose feed it is. */
export interface FeedSource {
  readonly own: ClusterPart;
  readonly partitions: 1 | 16;
  /** Writes of one page; left out: 500. */
  readonly writesMax?: number;
}

/** What a reader is not sent. */
export interface LeftOut {
  /** Its frontier, and so all that is covered. */
  readonly covered: Frontier;
  /** What it may hold, and so all else; undefined: everything. */
  readonly scope?: Scope | undefined;
}

/** How a page is made; `LeftOut` but for the frontier. */
export interface PageOptions extends Omit<LeftOut, 'covered'> {
  /** In a granted mesh: how far the reader has the ledger. */
  readonly recordsAfter?: number | undefined;
  /** With each write, what hides it, as long as both are no more bytes than this: see `readFeedPage`. */
  readonly withHidersTo?: number | undefined;
  /** Counts the rows behind a page that does not end the feed, up to so many; left out: they are not counted. */
  readonly behindMax?: number | undefined;
}

/**
 * What comes behind `after` in the feed, without what the reader has or may not hold: at most 500 writes and 512 KiB, but one
 * write whatever its size. `withHidersTo`: where writes of a key are greater, and will read as absent, they come along with the lesser one, wherever they stand themselves, up to 512 KiB of
 * them, and to so many bytes in all: who reads page by page would have the lesser one alone, and see it, where all are collected in between.
 */
export async function readFeedPage(
  snapshot: Snapshot,
  source: FeedSource,
  after: Uint8Array,
  { withHidersTo, behindMax, ...leftOut }: LeftOut & Pick<PageOptions, 'withHidersTo' | 'behindMax'>,
): Promise<FeedPage> {
  const page = new Page(snapshot, leftOut, { withHidersTo, writesMax: source.writesMax ?? limits.commitWritesMax }, after);
  for (let looked = 0; looked < rowsMax;) {
    const { rows, isEnd } = await nextRows(snapshot, source.partitions, page.position);
    looked += rows.length;
    if (!(await page.takeAll(rows))) break;
    if (isEnd) return { writes: await page.writes(), position: page.position, end: await readFrontier(snapshot, source.own) };
  }
  const made = { writes: await page.writes(), position: page.position, end: undefined };
  return behindMax === undefined ? made : { ...made, behind: await countRows(snapshot, source.partitions, page.position, behindMax) };
}

/** Bytes of records in one page; a single one may be larger. */
const recordsBytesMax = 262_144;

/**
 * As `readFeedPage`, but what the reader lacks of the ledger behind `recordsAfter` comes first: who has read up to a page with writes knows of every
 * grant that they rest on.
 */
export async function readGrantedPage(
  snapshot: Snapshot,
  source: FeedSource,
  after: Uint8Array,
  { recordsAfter, ...leftOut }: LeftOut & PageOptions & { readonly recordsAfter: number },
): Promise<FeedPage> {
  const records = await readRecordsPage(snapshot, recordsAfter, recordsBytesMax);
  if (records.records.length > 0) return { writes: [], position: after, end: undefined, records };
  return { ...(await readFeedPage(snapshot, source, after, leftOut)), records };
}

interface FeedRow {
  readonly position: Uint8Array;
  readonly leaf: Uint8Array;
  readonly key: Key;
}

/** Rows of all partitions behind a place, in the order of commits, without a gap; `isEnd` where none is left behind them. */
async function nextRows(snapshot: Snapshot, partitions: number, after: Uint8Array): Promise<{ rows: FeedRow[]; isEnd: boolean }> {
  const limit = Math.ceil(limits.commitWritesMax / partitions);
  const lanes = await Promise.all(Array.from({ length: partitions }, (_, partition) => laneRows(snapshot, partition, after, limit)));
  const rows = lanes.flat().map(feedRow);
  // Of a partition that has more rows nothing is known behind its last one.
  const knownTo = lanes.filter((lane) => lane.length === limit).map((lane) => positionOf(lane[limit - 1]));
  const isEnd = knownTo.length === 0;
  const known = isEnd ? rows : rows.filter(({ position }) => knownTo.every((to) => compareBytes(position, to) <= 0));
  return { rows: known.sort((a, b) => compareBytes(a.position, b.position)), isEnd };
}

function laneRows(snapshot: Snapshot, partition: number, after: Uint8Array, limit: number): Promise<Row[]> {
  return snapshot.range(tableKeys(tables.feed, { start: successorKey(after), end: null }, Uint8Array.of(partition)), { limit });
}

/** Rows of all partitions behind a place: how many there are, or `max` where there are more. */
async function countRows(snapshot: Snapshot, partitions: number, after: Uint8Array, max: number): Promise<number> {
  const limit = Math.ceil(max / partitions);
  let lanes = Array.from({ length: partitions }, (_, partition) => ({ partition, from: after }));
  let count = 0;
  while (lanes.length > 0 && count < max) {
    const read = await Promise.all(
      lanes.map(async ({ partition, from }) => ({ partition, rows: await laneRows(snapshot, partition, from, limit) })),
    );
    count = read.reduce((sum, { rows }) => sum + rows.length, count);
    lanes = read.filter(({ rows }) => rows.length === limit).map(({ partition, rows }) => ({ partition, from: positionOf(rows.at(-1)) }));
  }
  return Math.min(count, max);
}

function positionOf(row: Row | undefined): Uint8Array {
  return row === undefined ? new Uint8Array(0) : keyWithin(row.key, 1);
}

function feedRow(row: Row): FeedRow {
  return { position: positionOf(row), leaf: row.value.subarray(0, digestBytes), key: parseKey(row.value.subarray(digestBytes)) };
}

/** See `readFeedPage`. */
interface PageMade {
  readonly withHidersTo: number | undefined;
  readonly writesMax: number;
}

class Page {
  position: Uint8Array;
  readonly #snapshot: Snapshot;
  readonly #leftOut: LeftOut;
  readonly #made: PageMade;
  readonly #writes: (ReceivedWrite | Promise<ReceivedWrite>)[] = [];
  /** Ids of what is in it, where some may come along with others. */
  readonly #sent = new Set<string>();
  #bytes = 0;

  constructor(snapshot: Snapshot, leftOut: LeftOut, made: PageMade, after: Uint8Array) {
    this.#snapshot = snapshot;
    this.#leftOut = leftOut;
    this.#made = made;
    this.position = after;
  }

  /** False when the page was full before all were taken. */
  async takeAll(rows: readonly FeedRow[]): Promise<boolean> {
    const { covered, scope } = this.#leftOut;
    const mayHold = ({ key }: FeedRow): boolean => scope === undefined || isInScope(key, scope);
    const found = await Promise.all(rows.map((row) => (mayHold(row) ? this.#heads(row) : Promise.resolve([]))));
    for (const [index, row] of rows.entries()) {
      const [head, ...hiders] = found[index] ?? [];
      const isLacked = head !== undefined && !covers(covered, head.accepted) && !this.#isSent(head);
      if (isLacked && !this.#add(row.key, head, hiders)) return false;
      this.position = row.position;
    }
    return true;
  }

  writes(): Promise<ReceivedWrite[]> {
    return allRead(this.#writes);
  }

  /** The candidate that stands at this place, and those that hide it; none where it is not there, which only a damaged store shows. */
  async #heads({ key, leaf, position }: FeedRow): Promise<readonly Head[]> {
    const bytes = await this.#snapshot.get(headKey(key));
    const entry = bytes === undefined ? [] : decodeEntry(bytes);
    const at = entry.findIndex(
      (head) => equalBytes(head.leaf, leaf) && head.position !== undefined && equalBytes(encodePosition(head.position), position),
    );
    const greater = this.#made.withHidersTo !== undefined ? entry.slice(0, Math.max(0, at)) : [];
    return [...entry.slice(at, at + 1), ...greater.filter(({ tombstone, expiresAt }) => tombstone || expiresAt !== 0)];
  }

  /** False, and nothing is added, where it finds no room. */
  #add(key: Key, head: Head, hiders: readonly Head[]): boolean {
    const lacked = hiders.filter((each) => !this.#isSent(each) && !covers(this.#leftOut.covered, each.accepted));
    const roomBytes = (this.#made.withHidersTo ?? 0) - wireBytes(key, head);
    const taken = [head, ...fitting(key, lacked, Math.min(limits.feedPageBytesMax, roomBytes))];
    const bytes = taken.reduce((sum, each) => sum + wireBytes(key, each), 0);
    if (!this.#hasRoom(bytes, taken.length)) return false;
    for (const each of taken) {
      this.#writes.push(readWrite(this.#snapshot, key, each));
      if (this.#made.withHidersTo !== undefined) this.#sent.add(toHex(each.id));
    }
    this.#bytes += bytes;
    return true;
  }

  #isSent({ id }: Head): boolean {
    return this.#sent.size > 0 && this.#sent.has(toHex(id));
  }

  #hasRoom(bytes: number, count: number): boolean {
    if (this.#writes.length === 0) return true;
    return this.#bytes + bytes <= limits.feedPageBytesMax && this.#writes.length + count <= this.#made.writesMax;
  }
}

function wireBytes(key: Key, { length }: Head): number {
  return wireLength(key.length, length - key.length);
}

/** As many as there is room for, the smallest first: deletes, and then what expires. */
function fitting(key: Key, hiders: readonly Head[], roomBytes: number): Head[] {
  let left = roomBytes;
  const smallest = [...hiders].sort((a, b) => a.length - b.length);
  return smallest.filter((each) => (left -= wireBytes(key, each)) >= 0);
}
