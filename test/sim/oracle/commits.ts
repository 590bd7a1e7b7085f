import { fromLatin1, toHex, toLatin1 } from '../../../src/core/bytes.ts';
import { decodeEntry, type Entry } from '../../../src/core/entry.ts';
import { parseKey } from '../../../src/core/key.ts';
import { limits } from '../../../src/core/limits.ts';
import { parseStamp, physicalMsOf, stampToHex, type Stamp } from '../../../src/core/stamp.ts';
import { splitRecord } from '../../../src/replica/value.ts';
import { headKey, valueKey } from '../../../src/replica/change.ts';
import { floorKey } from '../../../src/replica/floor.ts';
import { keyWithin, tableRange, tables } from '../../../src/store/keyspace.ts';
import { type Committed } from '../cluster/database.ts';
import { isSystemKey } from '../cluster/operator.ts';
import { type Region } from '../cluster/region.ts';
import { Violation, type Kernel } from '../kernel/kernel.ts';
import { RegionHistory, seenOf, type Seen } from './history.ts';
import { type Ledger } from './ledger.ts';
import { SlotOracle } from './slots.ts';

/**
 * Looks at every commit of every cluster as it is made: what a key holds never goes back (I6), every write in it was asked for, and once (I1),
 * slots and leases are held by one process at a time (I8), and no clock was moved beyond its bound (I11): that of its cluster, for who overwrites
 * what another instance of its cluster wrote with a clock that is ahead must be greater, and so goes ahead too.
 */
export class CommitOracle {
  readonly #kernel: Kernel;
  readonly #ledger: Ledger;
  readonly #slots: SlotOracle;
  readonly #histories = new Map<number, RegionHistory>();
  /** Ranks that some cluster has held. */
  readonly #known = new Set<string>();
  /** key → the greatest rank that some cluster has taken away. */
  readonly #collected = new Map<string, string>();

  constructor(kernel: Kernel, ledger: Ledger) {
    this.#kernel = kernel;
    this.#ledger = ledger;
    this.#slots = new SlotOracle();
  }

  history(region: number): RegionHistory {
    const known = this.#histories.get(region);
    if (known !== undefined) return known;
    const history = new RegionHistory();
    this.#histories.set(region, history);
    return history;
  }

  /** A write of the key as great as this was taken away somewhere: by then every member had it, and who comes later gets it from nobody. */
  wasCollected(key: string, rank: string): boolean {
    return (this.#collected.get(key) ?? '') >= rank;
  }

  /** The disk of a cluster was replaced: what it holds now is all that it ever held. */
  diskReplaced(region: Region): void {
    const history = this.history(region.index);
    history.forget();
    this.#slots.forget(region.index);
    const view = region.database.view();
    for (const row of view.range(tableRange(tables.head).start, tableRange(tables.head).end, Infinity, 'forward')) {
      const key = toLatin1(keyWithin(row.key));
      if (isSystemKey(key)) continue;
      const seen = stateOf(key, (name) => view.get(name), 'before');
      if (seen !== undefined) history.add(key, seen);
    }
  }

  observe(region: Region, committed: Committed): void {
    try {
      const minted = this.#slots.observe(region, committed, this.#kernel.running);
      if (minted !== undefined) this.#checkClock(region, minted.closed, minted.before);
      for (const text of committed.keys) {
        if (text.charCodeAt(0) !== tables.head) continue;
        const key = toLatin1(keyWithin(fromLatin1(text)));
        if (!isSystemKey(key)) this.#observeHead(region, committed, key, minted);
      }
    } catch (error) {
      this.#kernel.fail(error);
    }
  }

  #observeHead(region: Region, committed: Committed, key: string, minted: ReturnType<SlotOracle['observe']>): void {
    const before = stateOf(key, committed.before, 'before');
    const after = stateOf(key, committed.after, 'after');
    const history = this.history(region.index);
    if (after === undefined) {
      if (before !== undefined) this.#checkCollected(region, key, before, committed);
      return;
    }
    if (before !== undefined && after.rank < before.rank) {
      throw new Violation('I6', `${where(region, key)} went back from version ${before.version} to ${after.version}`);
    }
    if (history.wasCollected(key, after.rank)) {
      throw new Violation('I3', `${where(region, key)}: ${after.version} came back after it was collected`);
    }
    if (before?.rank === after.rank) return;
    if (!this.#known.has(after.rank)) this.#checkMinted(region, key, after, minted);
    this.#known.add(after.rank);
    this.#ledger.stored(key, after);
    history.add(key, after);
  }

  /** A write that no cluster held before is made under the slot that this very commit closes. */
  #checkMinted(region: Region, key: string, seen: Seen, minted: ReturnType<SlotOracle['observe']>): void {
    const problem =
      minted === undefined
        ? 'was made outside of any slot'
        : seen.version <= stampToHex(minted.before)
          ? `is at or below ${stampToHex(minted.before)}, which its slot had closed`
          : seen.version > stampToHex(minted.closed)
            ? `is above ${stampToHex(minted.closed)}, which its commit closed`
            : undefined;
    if (problem !== undefined) throw new Violation('I8', `${where(region, key)}: version ${seen.version} ${problem}`);
  }

  #checkCollected(region: Region, key: string, before: Seen, committed: Committed): void {
    const row = committed.before(floorKey);
    const floor = row === undefined ? '' : stampToHex(parseStamp(row));
    const floorMs = row === undefined ? 0 : physicalMsOf(parseStamp(row));
    const isGone = before.tombstone || (before.expiresAt !== 0 && before.expiresAt < floorMs);
    if (!isGone || before.version >= floor) throw new Violation('I6', `${where(region, key)}: ${before.version} was taken away`);
    this.history(region.index).collected(key, before.rank);
    if (!this.wasCollected(key, before.rank)) this.#collected.set(key, before.rank);
  }

  #checkClock(region: Region, closed: Stamp, before: Stamp): void {
    const bound = Math.max(region.greatestWallMs, physicalMsOf(before)) + limits.futureMsMax + 1;
    if (physicalMsOf(closed) > bound) {
      throw new Violation(
        'I11',
        `region ${region.index}: a slot was closed at ${stampToHex(closed)}, ${physicalMsOf(closed) - bound} ms beyond its clocks`,
      );
    }
  }
}

function where(region: Region, key: string): string {
  return `region ${region.index}, key ${key}`;
}

/** What a cluster holds for a key in one state of it. In an open mesh an entry has one candidate. */
function stateOf(key: string, read: Committed['before'], when: string): Seen | undefined {
  const name = parseKey(fromLatin1(key));
  const bytes = read(headKey(name));
  if (bytes === undefined) return undefined;
  const entry: Entry = decodeEntry(bytes);
  const [head] = entry;
  if (head === undefined || entry.length > 1) throw new Violation('C9', `key ${key} has ${entry.length} candidates ${when} a commit`);
  const record = head.record ?? read(valueKey(name, head.leaf));
  if (record === undefined && !head.tombstone)
    throw new Violation('R11', `key ${key} has no value ${when} a commit, at ${toHex(head.version)}`);
  return seenOf(head, record === undefined ? '' : Buffer.from(splitRecord(record).value).toString());
}
