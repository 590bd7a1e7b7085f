import { decodeEntry, visibleHead, type Head } from '../core/entry.ts';
import { parseKey, successorKey, type Key, type KeyRange } from '../core/key.ts';
import { limits } from '../core/limits.ts';
import { type Clock } from '../core/ports.ts';
import { type Stamp } from '../core/stamp.ts';
import { type FilterLook, type KeyFilter } from '../grant/keyFilter.ts';
import { keyWithin, tableKeys, tables } from '../store/keyspace.ts';
import { type Snapshot, type Store } from '../store/store.ts';
import { headKey } from './change.ts';
import { type ReceivedWrite } from './proposal.ts';
import { standingOf, type Guard } from './guard.ts';
import { readRecord, splitRecord } from './value.ts';

export interface ReadResult {
  /** Empty where the key is absent. */
  readonly value: Uint8Array;
  readonly exists: boolean;
  readonly version: Stamp | null;
}

export interface ListQuery {
  readonly range: KeyRange;
  /** 1..1,000. */
  readonly limit: number;
  readonly order: 'forward' | 'reverse';
  readonly values: 'with' | 'without';
  /** Which keys of the range; left out: all. */
  readonly filter?: KeyFilter | undefined;
}

export interface ListedEntry {
  readonly key: Key;
  /** Empty when keys alone were asked for. */
  readonly value: Uint8Array;
  readonly version: Stamp;
}

export interface ListResult {
  readonly entries: readonly ListedEntry[];
  /** Where to go on: as start, or as end when reversed. Null when the range is done. */
  readonly next: Uint8Array | null;
}

const absent: ReadResult = { value: new Uint8Array(0), exists: false, version: null };

/** Reads what is visible: tombstones and expired writes are absent. Everything acknowledged before is seen. */
export class Reader {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #guard: Guard | undefined;

  /** In a granted mesh nothing is seen of what lost its authority; see `guard`. */
  constructor(store: Store, clock: Clock, guard?: Guard) {
    this.#store = store;
    this.#clock = clock;
    this.#guard = guard;
  }

  get(key: Key): Promise<ReadResult> {
    return this.#store.read(async (snapshot) => {
      const bytes = await snapshot.get(headKey(key));
      if (bytes === undefined) return absent;
      await this.#guard?.catchUp(snapshot); // another instance may have taken in the grant that it rests on
      const head = this.#visible(bytes);
      if (head === undefined) return absent;
      return { value: await readValue(snapshot, key, head), exists: true, version: head.version };
    });
  }

  /** Every candidate of the key, the visible one first; none where nothing is known of it. */
  candidates(key: Key): Promise<readonly Head[]> {
    return this.#store.read(async (snapshot) => {
      const bytes = await snapshot.get(headKey(key));
      if (this.#guard !== undefined) await this.#guard.catchUp(snapshot); // who asks what they rest on is told all that is known
      return bytes === undefined ? [] : decodeEntry(bytes);
    });
  }

  list(query: ListQuery): Promise<ListResult> {
    return this.#store.read((snapshot) => this.#list(snapshot, query));
  }

  #visible(bytes: Uint8Array): Head | undefined {
    return visibleHead(standingOf(decodeEntry(bytes), this.#guard), this.#clock.now());
  }

  /** Looks at heads in pages until the limit, the bytes or the heads of one answer are used up. */
  async #list(snapshot: Snapshot, query: ListQuery): Promise<ListResult> {
    await this.#guard?.catchUp(snapshot);
    const found: Promise<ListedEntry>[] = []; // values are read while heads are looked at
    const answer = async (next: Uint8Array | null): Promise<ListResult> => ({ entries: await Promise.all(found), next });
    let left: KeyRange = query.range;
    let looksLeft: number = limits.listHeadsMax;
    let bytesLeft: number = limits.listBytesMax;
    for (let rowsMin = listRowsMin; looksLeft > 0; rowsMin = Math.min(2 * rowsMin, listRowsMax)) {
      const pageRows = Math.min(looksLeft, Math.max(rowsMin, query.limit - found.length + 1));
      const rows = await snapshot.range(tableKeys(tables.head, left), { limit: pageRows, order: query.order });
      for (const row of rows) {
        if (looksLeft <= 0) return answer(onward(left, query.order));
        const key = parseKey(keyWithin(row.key));
        const { isKept, cost } = query.filter?.look(key) ?? unfiltered;
        looksLeft -= 1 + cost;
        const head = isKept ? this.#visible(row.value) : undefined;
        if (head !== undefined) {
          if (found.length === query.limit || (bytesLeft < lengthOf(key, head, query) && found.length > 0))
            return answer(resumeAt(key, query.order));
          const value = query.values === 'with' ? readValue(snapshot, key, head) : Promise.resolve(absent.value);
          const entry = value.then((read) => ({ key, value: read, version: head.version }));
          entry.catch(() => undefined); // the answer tells
          found.push(entry);
          bytesLeft -= lengthOf(key, head, query);
        }
        left = rest(left, key, query.order);
      }
      if (rows.length < pageRows) return answer(null);
    }
    return answer(onward(left, query.order));
  }
}

/** Rows that a list reads at a time: more and more where it finds little, as each read is a way to the store and back. */
const listRowsMin = 16;
const listRowsMax = 1_000;

const unfiltered: FilterLook = { isKept: true, cost: 0 };

/** Where to go on with what is left of a range. */
function onward(left: KeyRange, order: ListQuery['order']): Uint8Array | null {
  return order === 'forward' ? left.start : left.end;
}

/** Bytes that an entry takes in the answer. */
function lengthOf(key: Key, head: Head, query: ListQuery): number {
  return query.values === 'with' ? head.length : key.length;
}

/** The range that remains once `key` has been looked at. */
function rest(range: KeyRange, key: Key, order: ListQuery['order']): KeyRange {
  return order === 'forward' ? { start: successorKey(key), end: range.end } : { start: range.start, end: key };
}

/** The bound from which a list goes on so that `key` comes next. */
function resumeAt(key: Key, order: ListQuery['order']): Uint8Array {
  return order === 'forward' ? key : successorKey(key);
}

async function readValue(snapshot: Snapshot, key: Key, head: Head): Promise<Uint8Array> {
  const record = await readRecord(snapshot, key, head);
  return record.value;
}

/** The whole write of a candidate, as peers are sent it; at once where it lies in its head. That it cannot be read is told to who awaits it. */
export function readWrite(snapshot: Snapshot, key: Key, head: Head): ReceivedWrite | Promise<ReceivedWrite> {
  if (head.record !== undefined) return writeOf(key, head, splitRecord(head.record));
  const reading = readRecord(snapshot, key, head).then((record) => writeOf(key, head, record));
  reading.catch(() => undefined);
  return reading;
}

/** All of them, in order, once they are read. */
export async function allRead(writes: readonly (ReceivedWrite | Promise<ReceivedWrite>)[]): Promise<ReceivedWrite[]> {
  const read: ReceivedWrite[] = [];
  for (const write of writes) read.push(write instanceof Promise ? await write : write); // a promise for each would cost as much as the write
  return read;
}

function writeOf(key: Key, head: Head, { value, signature }: { value: Uint8Array; signature: Uint8Array }): ReceivedWrite {
  const { version, tombstone, expiresAt, leaf, id, accepted } = head;
  return { write: { key, version, tombstone, expiresAt, leaf, value, signature }, id, accepted };
}
