import { equalBytes } from '../core/bytes.ts';
import { decodeEntry, type Entry } from '../core/entry.ts';
import { type Key, type KeyRange } from '../core/key.ts';
import { parseKey } from '../core/key.ts';
import { countOf, type Sum } from '../core/sum.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { keyWithin, tableKeys, tables } from '../store/keyspace.ts';
import { scan } from '../store/scan.ts';
import { type Snapshot } from '../store/store.ts';
import { type Fingerprints } from './fingerprint.ts';
import { type Parts } from './message.ts';
import { readTreeState } from './records.ts';
import { levelRows, partitionSums } from './sums.ts';

/** A range is taken apart into about this many parts. */
export const partsAim = 32;
/** A level serves for taking a range apart if it has at least this many bounds in it. */
const boundsMin = 8;
/** A range that holds at most so many writes is told by their ids. */
export const idsMax = 256;

/** One snapshot of the cluster's content, seen by ranges. */
export class RangeView {
  readonly #snapshot: Snapshot;
  readonly #digests: MeshDigests;
  readonly #prints: Fingerprints;

  constructor(snapshot: Snapshot, digests: MeshDigests, prints: Fingerprints) {
    this.#snapshot = snapshot;
    this.#digests = digests;
    this.#prints = prints;
  }

  /** What is held in each part of a span that the peer took apart. */
  async sums(span: Parts): Promise<Sum[]> {
    const edges = [span.start, ...span.parts.map(({ end }) => end)];
    return partitionSums(this.#snapshot, edges, await this.#top(), this.#digests);
  }

  async sum(range: KeyRange): Promise<Sum> {
    const [sum] = await partitionSums(this.#snapshot, [range.start, range.end], await this.#top(), this.#digests);
    if (sum === undefined) throw new Error('a range has one sum');
    return sum;
  }

  /** The range in about 32 parts along our own bounds; in one part where it holds few writes. */
  async parts(range: KeyRange): Promise<Parts> {
    const sum = await this.sum(range);
    const whole = { start: range.start, parts: [{ end: range.end, fingerprint: this.#prints.of(sum) }] };
    if (countOf(sum) <= idsMax) return whole;
    const inner = await this.#innerEdges(range);
    if (inner.length === 0) return whole;
    const ends = [...inner, range.end];
    const sums = await partitionSums(this.#snapshot, [range.start, ...ends], await this.#top(), this.#digests);
    return { start: range.start, parts: sums.map((part, i) => ({ end: ends[i] ?? null, fingerprint: this.#prints.of(part) })) };
  }

  /** The salted ids of all writes in the range, with what they stand for, in order of keys. */
  async *writes(range: KeyRange): AsyncGenerator<{ key: Key; entry: Entry; ids: readonly string[] }> {
    for await (const row of scan(this.#snapshot, tableKeys(tables.head, range))) {
      const entry = decodeEntry(row.value);
      yield { key: parseKey(keyWithin(row.key)), entry, ids: entry.map((head) => this.#prints.idOf(head.id)) };
    }
  }

  async #innerEdges(range: KeyRange): Promise<Uint8Array[]> {
    for (let level = await this.#top(); level >= 1; level -= 1) {
      const rows = await levelRows(this.#snapshot, range, level);
      const bounds = rows.map(({ key }) => key).filter((key) => !equalBytes(key, range.start));
      if (bounds.length >= boundsMin || (level === 1 && bounds.length > 0)) return evenly(bounds);
    }
    const keys: Uint8Array[] = [];
    for await (const { key } of this.writes(range)) if (!equalBytes(key, range.start)) keys.push(key);
    return evenly(keys);
  }

  async #top(): Promise<number> {
    const state = await readTreeState(this.#snapshot);
    return state.active;
  }
}

/** partsAim − 1 of the edges at the most, evenly spaced. */
function evenly(edges: readonly Uint8Array[]): Uint8Array[] {
  const most = partsAim - 1;
  if (edges.length <= most) return [...edges];
  return Array.from({ length: most }, (_, i) => edges[Math.floor(((i + 1) * edges.length) / partsAim)]).filter((edge) => edge !== undefined);
}
