import { fromLatin1, toHex, toLatin1 } from '../../../src/core/bytes.ts';
import { decodeEntry, type Entry, type Head } from '../../../src/core/entry.ts';
import { parseKey } from '../../../src/core/key.ts';
import { parseStamp, stampZero, type Stamp } from '../../../src/core/stamp.ts';
import { decodeAny } from '../../../src/grant/anyRecord.ts';
import { headKey, valueKey } from '../../../src/replica/change.ts';
import { floorKey } from '../../../src/replica/floor.ts';
import { splitRecord } from '../../../src/replica/value.ts';
import { keyWithin, tableRange, tables } from '../../../src/store/keyspace.ts';
import { type Committed } from '../cluster/database.ts';
import { isSystemKey } from '../cluster/operator.ts';
import { type Region } from '../cluster/region.ts';
import { type GrantedMesh } from '../grants/granted.ts';
import { lineOf, type GivenGrant } from '../grants/law.ts';
import { Violation } from '../kernel/kernel.ts';
import { checkTaken } from './authority.ts';
import { isBack, whyGone } from './gone.ts';
import { where, type HeadOracle, type Minted } from './heads.ts';
import { rankOf, seenOf, type RegionHistory, type Seen } from './history.ts';
import { Holding } from './holding.ts';
import { type Ledger } from './ledger.ts';

type Read = Committed['before'];

/**
 * In a granted mesh: what a cluster takes in is signed, and allowed by what it knows in that very commit (I4); nothing goes but what lost its
 * authority, gave way or was collected (I6), and nothing that was collected comes back (I3). A key reads as the greatest of what stands.
 */
export class GrantedHeads implements HeadOracle {
  readonly #granted: GrantedMesh;
  readonly #ledger: () => Ledger;
  readonly #holdings = new Map<number, Holding>();
  /** Ids of writes that some cluster has held. */
  readonly #known = new Set<string>();
  /** key → version → the grant that it was written under. */
  readonly #leaves = new Map<string, Map<string, GivenGrant>>();
  readonly #collected = new Map<string, string>();

  constructor(granted: GrantedMesh, ledger: () => Ledger) {
    this.#granted = granted;
    this.#ledger = ledger;
  }

  holding(region: number): Holding {
    const known = this.#holdings.get(region);
    if (known !== undefined) return known;
    const holding = new Holding();
    this.#holdings.set(region, holding);
    return holding;
  }

  history(region: number): RegionHistory {
    return this.holding(region).history;
  }

  wasCollected(key: string, rank: string): boolean {
    return (this.#collected.get(key) ?? '') >= rank;
  }

  /** What stands for a write is a greater one whose grants are among its own. */
  hasHeld(region: number, key: string, version: string): boolean {
    const line = new Set(idsOf(this.#leafOf(key, version)));
    return this.holding(region)
      .ever(key)
      .some((head) => rankOf(head) >= version && (line.size === 0 || idsOf(this.#grantOf(head)).every((id) => line.has(id))));
  }

  /** By all records there are. */
  hasEnded(key: string, version: string): boolean {
    const grant = this.#leafOf(key, version);
    return grant !== undefined && this.#granted.office.law.verdict(grant) === 'ended';
  }

  /** I4: a read that begins now tells nothing that has ended by what is known now. */
  reading(region: number): (key: string, version: string) => void {
    const known = this.holding(region).records.length;
    return (key, version) => {
      const grant = this.#leafOf(key, version);
      const { records } = this.holding(region);
      if (grant !== undefined && this.#granted.office.law.verdict(grant, new Set(records.slice(0, known))) === 'ended')
        throw new Violation('I4', `region ${region}, key ${key}: ${version} is read, though its grant had ended there before`);
    };
  }

  diskReplaced(region: Region): void {
    const holding = this.holding(region.index);
    holding.forget();
    const view = region.database.view();
    const read = (key: Uint8Array): Uint8Array | undefined => view.get(key);
    const { start, end } = tableRange(tables.record);
    for (const { value } of view.range(start, end, Infinity, 'forward')) this.#learn(holding, value);
    const heads = tableRange(tables.head);
    for (const row of view.range(heads.start, heads.end, Infinity, 'forward')) {
      const key = toLatin1(keyWithin(row.key));
      if (isSystemKey(key)) continue;
      holding.put(key, decodeEntry(row.value));
      this.#see(holding, key, read);
    }
  }

  observe(region: Region, committed: Committed, minted: Minted): void {
    const holding = this.holding(region.index);
    let mayHaveEnded = false;
    for (const text of committed.keys) {
      const table = text.charCodeAt(0);
      if (table === tables.record) mayHaveEnded = this.#learn(holding, committed.after(fromLatin1(text))) || mayHaveEnded;
      if (table !== tables.head) continue;
      const key = toLatin1(keyWithin(fromLatin1(text)));
      if (!isSystemKey(key)) this.#observeHead(region, committed, key, minted);
    }
    if (mayHaveEnded) for (const key of holding.keys()) this.#see(holding, key, committed.after);
  }

  /** True where the record may have ended a grant. */
  #learn(holding: Holding, bytes: Uint8Array | undefined): boolean {
    if (bytes === undefined) throw new Violation('T17', 'a record of authority was taken away');
    const { kind, record } = decodeAny(bytes, this.#granted.office.meshId);
    holding.learn(toHex(record.id));
    return kind !== 'grant';
  }

  #observeHead(region: Region, committed: Committed, key: string, minted: Minted): void {
    const holding = this.holding(region.index);
    const bytes = committed.after(headKey(parseKey(fromLatin1(key))));
    const after: Entry = bytes === undefined ? [] : decodeEntry(bytes);
    const before = holding.entry(key);
    const deps = {
      law: this.#granted.office.law,
      known: holding,
      floor: floorOf(committed),
      grantOf: (head: Head): GivenGrant => this.#grantOf(head),
    };
    for (const head of without(after, before)) {
      if (isBack(head, after, holding.collected(key), deps))
        throw new Violation('I3', `${where(region, key)}: ${toHex(head.version)} came back after it was collected`);
      this.#taken(region, key, head, committed, minted);
    }
    for (const head of without(before, after)) {
      const why = whyGone(head, before, after, deps);
      if (why === undefined) throw new Violation('I6', `${where(region, key)}: ${toHex(head.version)} was taken away`);
      if (why === 'below the floor') this.#lose(key, head);
      if (why === 'collected') this.#noteCollected(holding, key, head);
    }
    holding.put(key, after);
    this.#see(holding, key, committed.after);
  }

  /** With it goes what it had taken the place of. */
  #lose(key: string, head: Head): void {
    const line = idsOf(this.#grantOf(head));
    const version = toHex(head.version);
    this.#ledger().lose((write) => {
      if (write.key !== key || write.version > version) return false;
      const own = new Set(idsOf(this.#leafOf(key, write.version)));
      return line.every((id) => own.has(id));
    });
  }

  #taken(region: Region, key: string, head: Head, committed: Committed, minted: Minted): void {
    const grant = this.#grantOf(head);
    const { signature, value } = recordOf(key, head, committed.after);
    const isNew = !this.#known.has(toHex(head.id));
    const taken = { region: region.index, name: where(region, key), key, head, grant, signature, isNew, minted };
    checkTaken(taken, this.#granted, this.holding(region.index));
    const leaves = this.#leaves.get(key) ?? new Map<string, GivenGrant>();
    this.#leaves.set(key, leaves.set(toHex(head.version), grant));
    if (!isNew) return;
    this.#known.add(toHex(head.id));
    if (this.#granted.writes.of(toHex(head.id)) === undefined) this.#ledger().stored(key, seenOf(head, value));
  }

  /** What the key reads as from here on. */
  #see(holding: Holding, key: string, read: Read): void {
    const standing = holding.entry(key).filter((head) => this.#granted.office.law.verdict(this.#grantOf(head), holding) === 'stands');
    const [visible, ...lesser] = standing;
    const last = holding.history.of(key).at(-1);
    if ((last?.rank ?? '') === (visible === undefined ? '' : rankOf(visible))) return;
    const seen = (head: Head): Seen => seenOf(head, recordOf(key, head, read).value);
    const beside = lesser.filter((head) => rankOf(head) > (last?.rank ?? '')).map(seen);
    if (visible === undefined) holding.history.addAbsent(key);
    else holding.history.add(key, { ...seen(visible), beside });
  }

  #noteCollected(holding: Holding, key: string, head: Head): void {
    holding.collect(key, head);
    if (!this.wasCollected(key, rankOf(head))) this.#collected.set(key, rankOf(head));
  }

  /** What was never stored was replaced in its own commit, by the next write of the same slot: under that one's grant. */
  #leafOf(key: string, version: string): GivenGrant | undefined {
    const leaves = this.#leaves.get(key);
    const own = leaves?.get(version);
    if (own !== undefined) return own;
    const isNext = (other: string): boolean => other > version && other.slice(16) === version.slice(16);
    const [next] = [...(leaves?.keys() ?? [])].filter(isNext).sort();
    return leaves?.get(next ?? '');
  }

  #grantOf({ leaf }: Head): GivenGrant {
    const grant = this.#granted.office.law.grants.get(toHex(leaf));
    if (grant === undefined) throw new Violation('I4', `a write is stored under grant ${toHex(leaf)}, which nobody gave`);
    return grant;
  }
}

function without(entry: Entry, other: Entry): Entry {
  return entry.filter((head) => !other.some((each) => rankOf(each) === rankOf(head)));
}

function floorOf({ before }: Committed): Stamp {
  const row = before(floorKey);
  return row === undefined ? stampZero : parseStamp(row);
}

function recordOf(key: string, head: Head, read: Read): { signature: Uint8Array; value: string } {
  const record = head.record ?? read(valueKey(parseKey(fromLatin1(key)), head.leaf));
  if (record === undefined) throw new Violation('R11', `key ${key} has no value at ${toHex(head.version)}`);
  const { signature, value } = splitRecord(record);
  return { signature, value: Buffer.from(value).toString() };
}

function idsOf(grant: GivenGrant | undefined): string[] {
  return grant === undefined ? [] : lineOf(grant).map(({ id }) => id);
}
