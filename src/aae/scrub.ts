import { compareBytes, equalBytes, toHex } from '../core/bytes.ts';
import { decodeEntry, type Entry } from '../core/entry.ts';
import { hasCode } from '../core/errors.ts';
import { parseKey, successorKey, type Key, type KeyRange } from '../core/key.ts';
import { type Log } from '../core/ports.ts';
import { addInto, zeroSum, type Sum } from '../core/sum.ts';
import { grantZero, signatureEmpty } from '../core/write.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { sha256 } from '../crypto/digest.ts';
import { readRecord } from '../replica/value.ts';
import { keyWithin, levelKey, storeKey, tableKeys, tables } from '../store/keyspace.ts';
import { type Snapshot, type Store, type Transaction } from '../store/store.ts';
import { appendLog } from './bounds.ts';
import { readTreeState, type BoundChange } from './records.ts';
import { entrySum, levelRows } from './sums.ts';

export interface ScrubReport {
  readonly keys: number;
  readonly branches: number;
  /** Branches whose stored sum or bound was not what the entries say; they were put right. */
  readonly repaired: number;
  /** How many keys hold something else than what was written. They cannot be put right here. */
  readonly damagedCount: number;
  /** The first of them, at most 100. */
  readonly damaged: readonly Key[];
}

/** Rows that one slice looks at. */
const sliceRows = 200;
/** Bytes of values that one transaction reads, and those of one key whatever they are. */
const lookBytesMax = 4_194_304;
/** Damaged keys that a report names. */
const damagedMax = 100;

interface Slice {
  readonly keys: number;
  readonly branches: number;
  readonly repaired: number;
  readonly damaged: readonly Key[];
  readonly next: Uint8Array | null;
}

/**
 * Looks at everything, a slice a transaction: that each value is the one that was written, and that at each level bounds and sums
 * are what lies below them says. Puts the tree right and reports what it found, to `onSlice` after each slice. Ends early when the signal aborts.
 */
export async function scrub(
  store: Store,
  digests: MeshDigests,
  log: Log,
  signal: AbortSignal,
  onSlice: (soFar: ScrubReport) => void = () => undefined,
): Promise<ScrubReport> {
  let report: ScrubReport = { keys: 0, branches: 0, repaired: 0, damagedCount: 0, damaged: [] };
  const state = await store.read(readTreeState);
  for (let level = 1; level <= state.active; level += 1) {
    for (let from: Uint8Array | null = new Uint8Array(0); from !== null && !signal.aborted;) {
      const start: Uint8Array = from;
      const looked = level === 1 ? await lookAtValues(store, start, digests) : undefined;
      const slice = await store.transact((tx) => scrubSlice(tx, level, start, looked, digests));
      report = {
        keys: report.keys + slice.keys,
        branches: report.branches + slice.branches,
        repaired: report.repaired + slice.repaired,
        damagedCount: report.damagedCount + slice.damaged.length,
        damaged: [...report.damaged, ...slice.damaged].slice(0, damagedMax),
      };
      onSlice(report);
      if (slice.repaired > 0)
        log.error({ level, from: toHex(start), repaired: slice.repaired }, 'anti-entropy tree was wrong and was put right');
      for (const key of slice.damaged) log.error({ key: toHex(key) }, 'stored value is not the one that was written');
      from = slice.next;
    }
  }
  return report;
}

/** What was read of a slice of level 1 ahead of it. */
interface Looked {
  readonly damaged: readonly Key[];
  /** The bound where it ended; null: past the last key. */
  readonly end: Uint8Array | null;
}

/** Looks at the values of a slice, in transactions of their own: large ones take longer than one may. */
async function lookAtValues(store: Store, start: Uint8Array, digests: MeshDigests): Promise<Looked> {
  const damaged: Key[] = [];
  let rows = 0;
  for (let from = start; ;) {
    const origin = from;
    const look = await store.read((snapshot) => lookAtSome(snapshot, { start, from: origin, rows }, digests));
    damaged.push(...look.damaged);
    rows += look.rows;
    if (look.next === null || look.isEnd) return { damaged, end: look.next };
    from = look.next;
  }
}

/** `start` is that of the slice, of which `rows` lie before `from`. */
async function lookAtSome(
  snapshot: Snapshot,
  { start, from, rows }: { readonly start: Uint8Array; readonly from: Uint8Array; readonly rows: number },
  digests: MeshDigests,
): Promise<{ damaged: readonly Key[]; rows: number; next: Uint8Array | null; isEnd: boolean }> {
  const page = await snapshot.range(tableKeys(tables.head, { start: from, end: null }), { limit: sliceRows });
  const damaged: Key[] = [];
  let bytes = 0;
  for (const [i, row] of page.entries()) {
    const key = parseKey(keyWithin(row.key));
    const isEnd = rows + i >= sliceRows && isBound(key, start, 1, digests);
    if (isEnd || bytes > lookBytesMax) return { damaged, rows: i, next: key, isEnd };
    const entry = readable(row.value);
    if (entry === undefined || !(await isIntact(snapshot, key, entry, digests))) damaged.push(key);
    for (const head of entry ?? []) bytes += head.length;
  }
  const last = page.at(-1);
  const next = page.length < sliceRows || last === undefined ? null : successorKey(keyWithin(last.key));
  return { damaged, rows: page.length, next, isEnd: false };
}

/** Where a slice may end that began at `start`. */
function isBound(key: Uint8Array, start: Uint8Array, level: number, digests: MeshDigests): boolean {
  return key.length > 0 && !equalBytes(key, start) && digests.boundLevel(key) >= level;
}

/** `start` is empty or bounds the level. The slice ends at a bound of the level, or past the last key. */
async function scrubSlice(
  tx: Transaction,
  level: number,
  start: Uint8Array,
  looked: Looked | undefined,
  digests: MeshDigests,
): Promise<Slice> {
  const state = await readTreeState(tx);
  if (level > state.active) return { keys: 0, branches: 0, repaired: 0, damaged: [], next: null };
  if (start.length > 0 && !(await stillBounds(tx, level, start))) {
    // The key that bounded here was collected since: go back to the branch that took its content.
    const [floor] = await tx.range(tableKeys(tables.sum, { start: new Uint8Array(0), end: start }, Uint8Array.of(level)), {
      limit: 1,
      order: 'reverse',
    });
    return { keys: 0, branches: 0, repaired: 0, damaged: [], next: floor === undefined ? new Uint8Array(0) : keyWithin(floor.key, 1) };
  }
  const end = looked?.end ?? null;
  const { expected, next, keys, allReadable } = await expectSlice(tx, level, { start, end }, digests);
  const damaged = looked?.damaged ?? [];
  // The key that bounded there was collected since: what lies behind it was not looked at. Or a head was damaged since.
  const isOther = (end !== null && (next === null || !equalBytes(next, end))) || (!allReadable && damaged.length === 0);
  if (isOther) return { keys: 0, branches: 0, repaired: 0, damaged: [], next: start };
  // Sums must not be made to agree with heads that are not what was written.
  const repaired = damaged.length > 0 ? 0 : await repair(tx, level, { start, end: next }, expected);
  return { keys, branches: expected.size, repaired, damaged, next };
}

/** True where the key is there on the level below, and so bounds this one. */
async function stillBounds(tx: Transaction, level: number, key: Uint8Array): Promise<boolean> {
  const row = level === 1 ? storeKey(tables.head, key) : levelKey(tables.sum, level - 1, key);
  return (await tx.get(row)) !== undefined;
}

interface Expectation {
  /** Bound in latin1 → sum of its branch. */
  readonly expected: ReadonlyMap<string, Sum>;
  readonly next: Uint8Array | null;
  readonly keys: number;
  /** False where a head was met that is no entry: the sums are without it. */
  readonly allReadable: boolean;
}

/** Adds up what lies below the level, from `start` to the first bound at or behind `end`; null: behind sliceRows rows. */
async function expectSlice(tx: Transaction, level: number, { start, end }: KeyRange, digests: MeshDigests): Promise<Expectation> {
  const expected = new Map<string, Sum>();
  let sum = zeroSum();
  expected.set(Buffer.from(start).toString('latin1'), sum);
  let rows = 0;
  let keys = 0;
  let allReadable = true;
  for (let from: Uint8Array | null = start; from !== null;) {
    const page: Below[] = await below(tx, level, { start: from, end: null }, digests);
    for (const { key, sum: part } of page) {
      const bounds = isBound(key, start, level, digests);
      if (bounds && (end === null ? rows >= sliceRows : compareBytes(key, end) >= 0)) return { expected, next: key, keys, allReadable };
      if (bounds) {
        sum = zeroSum();
        expected.set(Buffer.from(key).toString('latin1'), sum);
      }
      if (part === undefined) allReadable = false;
      else addInto(sum, part);
      rows += 1;
      if (level === 1) keys += 1;
    }
    const last: Below | undefined = page[page.length - 1];
    from = page.length < sliceRows || last === undefined ? null : successorKey(last.key);
  }
  return { expected, next: null, keys, allReadable };
}

interface Below {
  readonly key: Uint8Array;
  /** Undefined for a head that is no entry. */
  readonly sum: Sum | undefined;
}

/** One page of what a level is made of: entries below level 1, branches below the others. */
async function below(tx: Transaction, level: number, range: KeyRange, digests: MeshDigests): Promise<Below[]> {
  if (level === 1) {
    const rows = await tx.range(tableKeys(tables.head, range), { limit: sliceRows });
    return rows.map((row) => {
      const entry = readable(row.value);
      return { key: keyWithin(row.key), sum: entry === undefined ? undefined : entrySum(entry, digests) };
    });
  }
  const page = await tx.range(tableKeys(tables.sum, range, Uint8Array.of(level - 1)), { limit: sliceRows });
  return page.map((row) => ({ key: keyWithin(row.key, 1), sum: row.value as Sum }));
}

/** Undefined for bytes that are no entry. */
function readable(bytes: Uint8Array): Entry | undefined {
  try {
    return decodeEntry(bytes);
  } catch (error) {
    if (hasCode(error, 'corrupt')) return undefined;
    throw error;
  }
}

/** Makes bounds and sums of the range what they should be. Returns how many branches were not. */
async function repair(tx: Transaction, level: number, range: KeyRange, expected: ReadonlyMap<string, Sum>): Promise<number> {
  const changes: BoundChange[] = [];
  const wrong = new Set<string>();
  const stored = new Map((await levelRows(tx, range, level)).map((row) => [Buffer.from(row.key).toString('latin1'), row.sum]));
  const bounds = new Set<string>();
  for (const row of await tx.range(tableKeys(tables.bound, range, Uint8Array.of(level)), { limit: 10_000 })) {
    bounds.add(Buffer.from(keyWithin(row.key, 1)).toString('latin1'));
  }
  for (const name of new Set([...stored.keys(), ...bounds])) {
    if (expected.has(name)) continue;
    wrong.add(name);
    const key = Buffer.from(name, 'latin1');
    tx.clear(levelKey(tables.sum, level, key));
    tx.clear(levelKey(tables.bound, level, key));
    changes.push({ kind: 'removed', level, key });
  }
  for (const [name, sum] of expected) {
    const key = Buffer.from(name, 'latin1');
    const is = stored.get(name);
    if (is === undefined || !equalBytes(is, sum)) {
      wrong.add(name);
      tx.set(levelKey(tables.sum, level, key), sum);
    }
    if (!bounds.has(name)) {
      wrong.add(name);
      tx.set(levelKey(tables.bound, level, key), new Uint8Array(0));
      changes.push({ kind: 'added', level, key });
    }
  }
  appendLog(tx, changes);
  return wrong.size;
}

/** True when every candidate's value is the one whose digest its id covers. */
async function isIntact(snapshot: Snapshot, key: Key, entry: Entry, digests: MeshDigests): Promise<boolean> {
  for (const head of entry) {
    const record = await storedRecord(snapshot, key, head);
    if (record === undefined || head.length !== key.length + record.value.length) return false;
    if (equalBytes(head.leaf, grantZero) && !equalBytes(record.signature, signatureEmpty)) return false;
    const { value } = record;
    const body = { ...head, key, valueLength: value.length, valueDigest: sha256(value) };
    if (!equalBytes(digests.writeId(body), head.id)) return false;
  }
  return true;
}

/** Undefined where the stored bytes cannot be taken apart. */
async function storedRecord(
  snapshot: Snapshot,
  key: Key,
  head: Entry[number],
): Promise<Awaited<ReturnType<typeof readRecord>> | undefined> {
  try {
    return await readRecord(snapshot, key, head);
  } catch (error) {
    if (hasCode(error, 'corrupt')) return undefined;
    throw error;
  }
}
