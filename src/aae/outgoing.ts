import { successorKey, type Key, type KeyRange } from '../core/key.ts';
import { decodeEntry, type Head } from '../core/entry.ts';
import { emptyBytes, equalBytes } from '../core/bytes.ts';
import { compareStamps, type Stamp } from '../core/stamp.ts';
import { compareWrites, grantZero } from '../core/write.ts';
import { headKey } from '../replica/change.ts';
import { type ReceivedWrite } from '../replica/proposal.ts';
import { allRead, readWrite } from '../replica/read.ts';
import { encodeWrites, wireLength } from '../replica/wire.ts';
import { type Snapshot } from '../store/store.ts';
import { type RangeView } from './range.ts';
import { type WritePush } from './tasks.ts';

/** Gathers writes for one frame until it is full. */
export class WritesPage {
  readonly #snapshot: Snapshot;
  readonly #writes: (ReceivedWrite | Promise<ReceivedWrite>)[] = [];
  readonly #first: 'always fits' | 'must fit';
  #room: number;

  /** `first`: whether the first write is taken whatever its size, as it must be where nothing else fills the frame. */
  constructor(snapshot: Snapshot, roomBytes: number, first: 'always fits' | 'must fit') {
    this.#snapshot = snapshot;
    this.#room = roomBytes;
    this.#first = first;
  }

  get count(): number {
    return this.#writes.length;
  }

  /**
   * False, and nothing taken, when it does not fit. The write itself is read meanwhile: one after the other, over a network, a page would
   * take longer than a snapshot lasts.
   */
  add(key: Key, head: Head): boolean {
    const length = wireLength(key.length, head.length - key.length) - (equalBytes(head.leaf, grantZero) ? lengthSlack : 0);
    if (length > this.#room && (this.#writes.length > 0 || this.#first === 'must fit')) return false;
    this.#writes.push(readWrite(this.#snapshot, key, head));
    this.#room -= length;
    return true;
  }

  /** Once everything is read. */
  async encoded(): Promise<Uint8Array> {
    return this.#writes.length === 0 ? emptyBytes : encodeWrites(await allRead(this.#writes));
  }
}

/**
 * True where the write is still a candidate of its key. Below the floor not where something greater came since it was listed, which would not be sent: the peer may
 * have collected what had hidden it before (R23).
 */
export async function maySend(snapshot: Snapshot, { key, head, entry }: WritePush, floor: Stamp): Promise<boolean> {
  const bytes = await snapshot.get(headKey(key));
  const now = bytes === undefined ? [] : decodeEntry(bytes);
  if (!now.some((each) => isSame(each, head))) return false;
  const isBelow = compareStamps(head.version, floor) < 0;
  return !isBelow || now.every((each) => compareWrites(each, head) <= 0 || entry.some((listed) => isSame(listed, each)));
}

function isSame(a: Head, b: Head): boolean {
  return equalBytes(a.id, b.id);
}

/** What the greatest overhead counts that a write in an open mesh cannot have: signature path and leaf grant. */
const lengthSlack = 32 * 8 + 64 + 32 + 2;

/**
 * Fills the page with the writes of a range, in order. Returns where to go on; null when the range is done. Of a key whose candidates do not
 * fit one page those that do are sent; the next exchange finds the others.
 */
export async function fillFromRange(page: WritesPage, view: RangeView, range: KeyRange): Promise<Uint8Array | null> {
  for await (const found of view.writes(range)) {
    for (const { key, entry } of found) {
      const isAlone = page.count === 0;
      for (const [nth, head] of entry.entries()) if (!page.add(key, head)) return isAlone && nth > 0 ? successorKey(key) : key;
      if (page.count >= pageWritesMax) return successorKey(key);
    }
  }
  return null;
}

/** Writes in one page at the most. */
const pageWritesMax = 10_000;
