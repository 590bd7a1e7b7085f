import { compareBytes, equalBytes } from '../core/bytes.ts';
import { decodeEntry, type Entry } from '../core/entry.ts';
import { type KeyRange } from '../core/key.ts';
import { addInto, parseSum, zeroSum, type Sum } from '../core/sum.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { keyWithin, tableKeys, tables } from '../store/keyspace.ts';
import { scan } from '../store/scan.ts';
import { storeLimits, type Row, type Snapshot } from '../store/store.ts';
import { hasBound } from './bounds.ts';
import { type Breath } from './breath.ts';

/** What an entry adds to its branch: the elements of all of its candidates. */
export function entrySum(entry: Entry | undefined, digests: MeshDigests): Sum {
  const [first, ...others] = entry ?? [];
  if (first === undefined) return zeroSum();
  const sum = digests.element(first);
  for (const head of others) addInto(sum, digests.element(head));
  return sum;
}

/**
 * What everything in the range adds up to, from stored sums of levels `top` and below where branches lie wholly within,
 * and from heads at the edges. Exact for the snapshot; conflicting in a transaction.
 */
export async function rangeSum(snapshot: Snapshot, range: KeyRange, top: number, digests: MeshDigests): Promise<Sum> {
  if (range.end !== null && compareBytes(range.start, range.end) >= 0) return zeroSum();
  if (top === 0) return headsSum(snapshot, range, digests);
  const rows = await levelRows(snapshot, range, top);
  const [first] = rows;
  if (first === undefined) return rangeSum(snapshot, range, top - 1, digests);
  const total = zeroSum();
  if (!equalBytes(first.key, range.start)) {
    addInto(total, await rangeSum(snapshot, { start: range.start, end: first.key }, top - 1, digests));
  }
  const endsAtBound = range.end === null || (digests.boundLevel(range.end) >= top && (await hasBound(snapshot, top, range.end)));
  const cut = endsAtBound ? undefined : rows.pop();
  for (const row of rows) addInto(total, row.sum);
  if (cut !== undefined) addInto(total, await rangeSum(snapshot, { start: cut.key, end: range.end }, top - 1, digests));
  return total;
}

export interface BranchRow {
  /** Where the branch begins; empty for the first. */
  readonly key: Uint8Array;
  readonly sum: Sum;
}

/** The branches of a level that begin within the range, in order. */
export async function levelRows(snapshot: Snapshot, range: KeyRange, level: number): Promise<BranchRow[]> {
  const rows: BranchRow[] = [];
  for await (const page of scan(snapshot, tableKeys(tables.sum, range, Uint8Array.of(level)))) rows.push(...page.map(branchRow));
  return rows;
}

function branchRow(row: Row): BranchRow {
  return { key: keyWithin(row.key, 1), sum: parseSum(row.value) };
}

/** What each entry in the range adds, in order of keys, in pages. */
export async function* entrySums(snapshot: Snapshot, range: KeyRange, digests: MeshDigests): AsyncGenerator<readonly BranchRow[]> {
  for await (const page of scan(snapshot, tableKeys(tables.head, range)))
    yield page.map((row) => ({ key: keyWithin(row.key), sum: entrySum(decodeEntry(row.value), digests) }));
}

async function headsSum(snapshot: Snapshot, range: KeyRange, digests: MeshDigests): Promise<Sum> {
  const total = zeroSum();
  for await (const page of entrySums(snapshot, range, digests)) for (const { sum } of page) addInto(total, sum);
  return total;
}

/**
 * The sums of adjoining ranges: `edges` in order, the last may be null (past the last key). Where all edges bound one level, that
 * level's rows are read in one go.
 */
export async function partitionSums(
  snapshot: Snapshot,
  edges: readonly (Uint8Array | null)[],
  top: number,
  digests: MeshDigests,
  breath?: Breath,
): Promise<Sum[]> {
  const level = commonLevel(edges, top, digests);
  const aligned = level === 0 ? await headsPartition(snapshot, edges, digests) : await alignedSums(snapshot, edges, level);
  const sums: Sum[] = [];
  for (let i = 0; i + 1 < edges.length; i += 1) {
    const start = edges[i];
    const end = edges[i + 1];
    if (start === undefined || start === null || end === undefined) break;
    if (breath?.isDue === true) await breath.take();
    sums.push(aligned?.[i] ?? (await rangeSum(snapshot, { start, end }, top, digests)));
  }
  return sums;
}

/** Keys that are looked at one by one rather than by way of branches, when the edges are no bounds. */
const headsAtOnceMax = 4_096;

/** Sums from the heads alone, in one read; undefined where that is too many. */
async function headsPartition(snapshot: Snapshot, edges: readonly (Uint8Array | null)[], digests: MeshDigests): Promise<Sum[] | undefined> {
  const start = edges[0];
  const end = edges[edges.length - 1];
  if (start === undefined || start === null || end === undefined) return undefined;
  const rows = await snapshot.range(tableKeys(tables.head, { start, end }), { limit: headsAtOnceMax });
  if (rows.length === headsAtOnceMax) return undefined;
  const sums = edges.slice(1).map(() => zeroSum());
  let at = 0;
  for (const row of rows) {
    const key = keyWithin(row.key);
    for (let to = edges[at + 1]; to !== undefined && to !== null && compareBytes(key, to) >= 0; to = edges[at + 1]) at += 1;
    const sum = sums[at];
    if (sum !== undefined) addInto(sum, entrySum(decodeEntry(row.value), digests));
  }
  return sums;
}

/** The highest level that every edge bounds, by its digest; 0 where there is none. */
function commonLevel(edges: readonly (Uint8Array | null)[], top: number, digests: MeshDigests): number {
  let level = top;
  for (const edge of edges) if (level > 0 && edge !== null && edge.length > 0) level = Math.min(level, digests.boundLevel(edge));
  return level;
}

/** Sums from the rows of one level; undefined in place of those whose edges are no bounds here. */
async function alignedSums(
  snapshot: Snapshot,
  edges: readonly (Uint8Array | null)[],
  level: number,
): Promise<(Sum | undefined)[] | undefined> {
  const start = edges[0];
  const end = edges[edges.length - 1];
  if (level === 0 || start === undefined || start === null || end === undefined) return undefined;
  const range = tableKeys(tables.sum, { start, end }, Uint8Array.of(level));
  const rows = (await snapshot.range(range, { limit: storeLimits.rowsMax })).map(branchRow);
  if (rows.length === storeLimits.rowsMax) return undefined;
  const endsAtBound = end === null || (await hasBound(snapshot, level, end));
  const sums: (Sum | undefined)[] = [];
  let at = 0;
  for (let i = 0; i + 1 < edges.length; i += 1) {
    const from = edges[i] ?? start;
    const to = edges[i + 1] ?? null;
    const row = rows[at];
    const startsAtBound = row !== undefined && equalBytes(row.key, from);
    const sum = zeroSum();
    for (let next = rows[at]; next !== undefined && (to === null || compareBytes(next.key, to) < 0); next = rows[at]) {
      addInto(sum, next.sum);
      at += 1;
    }
    const following = rows[at];
    const stopsAtBound = i + 2 === edges.length ? endsAtBound : following !== undefined && to !== null && equalBytes(following.key, to);
    sums.push(startsAtBound && stopsAtBound ? sum : undefined);
  }
  return sums;
}
