import { compareBytes, equalBytes } from '../core/bytes.ts';
import { decodeEntry, type Entry } from '../core/entry.ts';
import { type Key, type KeyRange } from '../core/key.ts';
import { parseKey } from '../core/key.ts';
import { addInto, countOf, zeroSum, type Sum } from '../core/sum.ts';
import { type Stamp } from '../core/stamp.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { unhidden } from '../replica/candidates.ts';
import { keyWithin, tableKeys, tables } from '../store/keyspace.ts';
import { scan } from '../store/scan.ts';
import { type Row, type Snapshot } from '../store/store.ts';
import { type Breath } from './breath.ts';
import { type Fingerprints } from './fingerprint.ts';
import { type Parts } from './message.ts';
import { readTreeState } from './records.ts';
import { entrySums, levelRows, partitionSums, rangeSum, type BranchRow } from './sums.ts';

/**
 * How finely a range that differs is taken apart. With few differences a wide step saves round trips; with many, narrow steps save
 * bytes, because most of what a wide step tells is equal (measured: 1,000 scattered of 1M keys, 0.82 MB wide, 0.4 MB narrow).
 */
export interface Fineness {
  /** A range is taken apart into at most so many parts. */
  readonly parts: number;
  /** A range that holds at most so many writes is told by their ids. */
  readonly idsMax: number;
  /** A range that holds at most so many writes is not taken apart. */
  readonly wholeMax: number;
  /** A range that holds at most so many writes is taken apart between any two keys, into parts of about equal size; a greater one along bounds. */
  readonly evenMax: number;
}

const wide: Fineness = { parts: 30, idsMax: 256, wholeMax: 32, evenMax: 3_072 };
const narrow: Fineness = { parts: 8, idsMax: 64, wholeMax: 16, evenMax: 768 };
/** A level serves for taking a range apart if it has at least this many bounds in it. */
const boundsMin = 8;
/** From so many ranges that differ at once, steps are narrow. */
const manyRanges = 64;

export function finenessFor(ranges: number): Fineness {
  return ranges > manyRanges ? narrow : wide;
}

/** What is told and sent of a key. */
export interface Listed {
  readonly key: Key;
  readonly entry: Entry;
}

/** One snapshot of the cluster's content, seen by ranges. */
export class RangeView {
  readonly #snapshot: Snapshot;
  readonly #digests: MeshDigests;
  readonly #prints: Fingerprints;
  readonly #floor: Stamp;
  readonly #breath: Breath | undefined;

  /** `floor`: the driver's. What a greater write below it hides is counted in sums, as it is stored, but neither told nor sent. `breath` is taken between the parts of a span. */
  constructor(snapshot: Snapshot, digests: MeshDigests, prints: Fingerprints, floor: Stamp, breath?: Breath) {
    this.#snapshot = snapshot;
    this.#digests = digests;
    this.#prints = prints;
    this.#floor = floor;
    this.#breath = breath;
  }

  /** What is held in each part of a span that the peer took apart. */
  async sums(span: Parts): Promise<Sum[]> {
    const edges = [span.start, ...span.parts.map(({ end }) => end)];
    return partitionSums(this.#snapshot, edges, await this.#top(), this.#digests, this.#breath);
  }

  async sum(range: KeyRange): Promise<Sum> {
    const [sum] = await partitionSums(this.#snapshot, [range.start, range.end], await this.#top(), this.#digests);
    if (sum === undefined) throw new Error('a range has one sum');
    return sum;
  }

  /** The range in parts along our own bounds, or keys; in one part where it holds few writes. `before`: what it held a moment ago, where that is known. */
  async parts(range: KeyRange, fineness: Fineness, before?: Sum): Promise<Parts> {
    const count = countOf(before ?? (await this.sum(range)));
    const { edges, sums } = await this.#apart(range, count, fineness);
    const ends = [...edges, range.end];
    return { start: range.start, parts: sums.map((part, i) => ({ end: ends[i] ?? null, fingerprint: this.#prints.of(part) })) };
  }

  /** All writes in the range but for what is hidden, in order of keys, in pages that are taken apart one by one: a damaged one stands in the way of none before it. */
  async *writes(range: KeyRange): AsyncGenerator<Iterable<Listed>> {
    for await (const page of scan(this.#snapshot, tableKeys(tables.head, range))) yield this.#listed(page);
  }

  *#listed(page: readonly Row[]): Generator<Listed> {
    for (const row of page) yield { key: parseKey(keyWithin(row.key)), entry: unhidden(decodeEntry(row.value), this.#floor) };
  }

  /** The salted ids of what is listed, in its order. */
  idsOf({ entry }: Listed): string[] {
    return entry.map((head) => this.#prints.idOf(head.id));
  }

  async #apart(range: KeyRange, count: number, { parts: partsMax, wholeMax, evenMax }: Fineness): Promise<Cut> {
    const parts = Math.min(partsMax, Math.ceil(count / wholeMax));
    if (parts <= 1) return { edges: [], sums: [await this.sum(range)] };
    return (count > evenMax ? await this.#alongBounds(range, parts) : undefined) ?? (await this.#betweenKeys(range, parts));
  }

  /** Along bounds of the highest level that has enough of them in there; undefined: there is none. */
  async #alongBounds(range: KeyRange, parts: number): Promise<Cut | undefined> {
    for (let level = await this.#top(); level >= 1; level -= 1) {
      const rows = await levelRows(this.#snapshot, range, level);
      const bounds = rows.map(({ key }) => key).filter((key) => !equalBytes(key, range.start));
      if (bounds.length < (level === 1 ? 1 : Math.min(boundsMin, parts - 1))) continue;
      const edges = evenly(bounds, parts);
      return { edges, sums: await this.#sumsBetween(range, level, rows, edges) };
    }
    return undefined;
  }

  /** From the rows where they lie between two edges; before the first edge and behind the last the range may end within a branch. */
  async #sumsBetween(range: KeyRange, level: number, rows: readonly BranchRow[], edges: readonly Uint8Array[]): Promise<Sum[]> {
    const within = (start: Uint8Array, end: Uint8Array | null): Promise<Sum> =>
      rangeSum(this.#snapshot, { start, end }, level, this.#digests);
    const [first = range.start] = edges;
    const last = edges[edges.length - 1] ?? range.start;
    const middle: Sum[] = [];
    for (const { key, sum } of rows) {
      if (compareBytes(key, first) < 0) continue;
      if (equalBytes(key, last)) break;
      if (equalBytes(key, edges[middle.length] ?? last)) middle.push(zeroSum());
      addInto(middle.at(-1) ?? zeroSum(), sum);
    }
    return [await within(range.start, first), ...middle, await within(last, range.end)];
  }

  async #betweenKeys(range: KeyRange, parts: number): Promise<Cut> {
    const found: { readonly key: Uint8Array; readonly sum: Sum }[] = [];
    for await (const page of entrySums(this.#snapshot, range, this.#digests)) found.push(...page);
    const keys = found.map(({ key }) => key).filter((key) => !equalBytes(key, range.start));
    const edges = evenly(keys, parts);
    const sums = [zeroSum()];
    for (const { key, sum } of found) {
      const next = edges[sums.length - 1];
      if (next !== undefined && equalBytes(key, next)) sums.push(zeroSum());
      addInto(sums.at(-1) ?? zeroSum(), sum);
    }
    return { edges, sums };
  }

  async #top(): Promise<number> {
    const state = await readTreeState(this.#snapshot);
    return state.active;
  }
}

/** A range taken apart: what lies before, between and behind the edges. */
interface Cut {
  readonly edges: readonly Uint8Array[];
  readonly sums: readonly Sum[];
}

/** At most parts − 1 of the edges, evenly spaced. */
function evenly(edges: readonly Uint8Array[], parts: number): Uint8Array[] {
  if (edges.length < parts) return [...edges];
  return Array.from({ length: parts - 1 }, (_, i) => edges[Math.floor(((i + 1) * edges.length) / parts)]).filter(
    (edge) => edge !== undefined,
  );
}
