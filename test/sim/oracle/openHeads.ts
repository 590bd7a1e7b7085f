import { fromLatin1, toHex, toLatin1 } from '../../../src/core/bytes.ts';
import { decodeEntry, type Entry } from '../../../src/core/entry.ts';
import { parseKey } from '../../../src/core/key.ts';
import { parseStamp, physicalMsOf, stampToHex } from '../../../src/core/stamp.ts';
import { headKey, valueKey } from '../../../src/replica/change.ts';
import { floorKey } from '../../../src/replica/floor.ts';
import { splitRecord } from '../../../src/replica/value.ts';
import { keyWithin, tableRange, tables } from '../../../src/store/keyspace.ts';
import { type Committed } from '../cluster/database.ts';
import { isSystemKey } from '../cluster/operator.ts';
import { type Region } from '../cluster/region.ts';
import { Violation } from '../kernel/kernel.ts';
import { checkMinted, where, type HeadOracle, type Minted } from './heads.ts';
import { RegionHistory, seenOf, type Seen } from './history.ts';
import { type Ledger } from './ledger.ts';

/** In an open mesh: what a key holds never goes back (I6), every write in it was asked for, and once (I1), and none comes back (I3). */
export class OpenHeads implements HeadOracle {
  readonly #ledger: () => Ledger;
  readonly #histories = new Map<number, RegionHistory>();
  /** Ranks that some cluster has held. */
  readonly #known = new Set<string>();
  /** key → the greatest rank that some cluster has taken away. */
  readonly #collected = new Map<string, string>();

  constructor(ledger: () => Ledger) {
    this.#ledger = ledger;
  }

  history(region: number): RegionHistory {
    const known = this.#histories.get(region);
    if (known !== undefined) return known;
    const history = new RegionHistory();
    this.#histories.set(region, history);
    return history;
  }

  wasCollected(key: string, rank: string): boolean {
    return (this.#collected.get(key) ?? '') >= rank;
  }

  hasHeld(region: number, key: string, version: string): boolean {
    return (this.history(region).greatest(key)?.version ?? '') >= version;
  }

  reading(): () => void {
    return () => undefined; // its history says all
  }

  diskReplaced(region: Region): void {
    const history = this.history(region.index);
    history.forget();
    const view = region.database.view();
    for (const row of view.range(tableRange(tables.head).start, tableRange(tables.head).end, Infinity, 'forward')) {
      const key = toLatin1(keyWithin(row.key));
      if (isSystemKey(key)) continue;
      const seen = stateOf(key, (name) => view.get(name), 'before');
      if (seen !== undefined) history.add(key, seen);
    }
  }

  observe(region: Region, committed: Committed, minted: Minted): void {
    for (const text of committed.keys) {
      if (text.charCodeAt(0) !== tables.head) continue;
      const key = toLatin1(keyWithin(fromLatin1(text)));
      if (!isSystemKey(key)) this.#observeHead(region, committed, key, minted);
    }
  }

  #observeHead(region: Region, committed: Committed, key: string, minted: Minted): void {
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
    if (!this.#known.has(after.rank)) checkMinted(where(region, key), after.version, minted);
    this.#known.add(after.rank);
    this.#ledger().stored(key, after);
    history.add(key, after);
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
