import { asBuffer, equalBytes, toHex, u64Bytes } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { type Signatures } from '../crypto/ed25519.ts';
import { feedTailKey, storeKey, tableKeys, tables } from '../store/keyspace.ts';
import { versionstampBytes, type Snapshot, type Store, type Transaction } from '../store/store.ts';
import { decodeAny, encodeAny, knownAs, take, type AnyRecord } from './anyRecord.ts';
import { Authority } from './authority.ts';
import { isFinal, refusal as refusalBy, shortId, type Known, type Refusal } from './known.ts';
import { grantLimits } from './limits.ts';
import { ledgerBounds, Places, type LedgerBounds, type Source } from './places.ts';

/** Rows that are read at a time, records that one transaction adds, and those of a page. */
export const recordsPageMax = 200;

const tailKey = storeKey(tables.recordTail);

/**
 * What a store holds of a mesh's authority, and in memory what that comes to: record/<number u64> → kind u8 | record, numbered from 1 in the order in
 * which they were taken in, and recordTail → u64, how many there are. Nothing is known in memory that is not durable, and nothing is ever taken away.
 */
export class Ledger {
  readonly #store: Store;
  readonly #authority: Authority;
  #number = 0;
  #lastEnding = 0;
  #turn: Promise<unknown> = Promise.resolve();
  readonly #bounds: LedgerBounds;
  readonly #places: Places;
  /** Ids, in hex, of grants that there was no room for, the latest; what rests on them is passed over too. */
  readonly #passedOver = new Set<string>();

  private constructor(store: Store, authority: Authority, bounds: LedgerBounds) {
    this.#store = store;
    this.#authority = authority;
    this.#bounds = bounds;
    this.#places = new Places(bounds);
  }

  /** Verifies all that is stored. Error: `corrupt` where something does not hold. */
  static async open(store: Store, meshId: Uint8Array, signatures: Signatures, bounds = ledgerBounds): Promise<Ledger> {
    const ledger = new Ledger(store, new Authority(meshId, signatures), bounds);
    await ledger.refresh();
    return ledger;
  }

  /** As of the last that was read. */
  get known(): Pick<
    Authority,
    'meshId' | 'grant' | 'refused' | 'rootsOf' | 'rootsAfter' | 'revocationsOf' | 'grants' | 'endings' | 'heldBy'
  > {
    return this.#authority;
  }

  /** Up to which record memory has all. */
  get number(): number {
    return this.#number;
  }

  /** The last record that may have ended a grant. */
  get lastEnding(): number {
    return this.#lastEnding;
  }

  /** How many grants there was no room for, as far as is remembered. */
  get passedOver(): number {
    return this.#passedOver.size;
  }

  /** Reads what others have added to the store: a page a transaction, as to check the signatures of many takes longer than one may. */
  async refresh(): Promise<void> {
    for (let isMore = true; isMore;) isMore = await this.#store.read((snapshot) => this.#loadPage(snapshot));
  }

  /**
   * Brings memory up to a transaction's read. What the transaction does then conflicts with whoever adds a record: it cannot be committed by what
   * was known before.
   */
  async catchUp(snapshot: Snapshot): Promise<void> {
    while (await this.#loadPage(snapshot));
  }

  /** Whether there is more. */
  async #loadPage(snapshot: Snapshot): Promise<boolean> {
    const tail = await readTail(snapshot);
    if (this.#number < tail) await this.#load(snapshot, this.#number);
    return this.#number < tail;
  }

  /**
   * Takes records in, each on those before it, and resolves once they are durable: for each why it was refused, or undefined. Those that are known
   * already, and further revocations of one grant, change nothing. What there is no room for is refused with `grant_limit`, and may be taken in later.
   */
  take(records: readonly AnyRecord[], source: Source = 'peer'): Promise<readonly (Refusal | undefined)[]> {
    const taking = this.#turn.then(() => this.#takeInParts(records, source));
    this.#turn = taking.catch(() => undefined);
    return taking;
  }

  /** As `take`, in whatever order they are given. Resolves with those that were refused. */
  async takeAll(records: readonly AnyRecord[], source: Source = 'peer'): Promise<{ readonly any: AnyRecord; readonly refusal: Refusal }[]> {
    const final: { any: AnyRecord; refusal: Refusal }[] = [];
    for (let waiting = records; ;) {
      const refusals = await this.take(waiting, source);
      const refused = waiting.flatMap((any, i) => (refusals[i] === undefined ? [] : [{ any, refusal: refusals[i] }]));
      final.push(...refused.filter(({ refusal }) => isFinal(refusal)));
      const open = refused.filter(({ refusal }) => !isFinal(refusal));
      if (open.length === 0 || open.length === waiting.length) return [...final, ...open];
      waiting = open.map(({ any }) => any);
    }
  }

  async #takeInParts(records: readonly AnyRecord[], source: Source): Promise<(Refusal | undefined)[]> {
    const refusals: (Refusal | undefined)[] = [];
    for (let at = 0; at < records.length; at += recordsPageMax)
      refusals.push(...(await this.#take(records.slice(at, at + recordsPageMax), source)));
    return refusals;
  }

  /** Judges on a copy, and adds what held; again where another instance has added something meanwhile. */
  async #take(records: readonly AnyRecord[], source: Source): Promise<(Refusal | undefined)[]> {
    for (;;) {
      await this.refresh();
      const number = this.#number;
      const { refusals, fresh } = await this.#judge(records, source);
      if (fresh.length > 0 && !(await this.#store.transact((tx) => append(tx, number, fresh, this.#bounds)))) continue;
      await this.refresh();
      return refusals;
    }
  }

  /** Each on those before it. `fresh`: what there is to add. */
  async #judge(records: readonly AnyRecord[], source: Source): Promise<{ refusals: (Refusal | undefined)[]; fresh: Uint8Array[] }> {
    const refusals: (Refusal | undefined)[] = [];
    const fresh: Uint8Array[] = [];
    let trial: { readonly authority: Authority; readonly places: Places } | undefined;
    for (const any of records) {
      const before = knownBytes(trial?.authority ?? this.#authority, any);
      if (before !== undefined && equalBytes(before, encodeAny(any))) {
        refusals.push(undefined); // as most that peers send again
        continue;
      }
      trial ??= { authority: this.#authority.copy(), places: this.#places.copy() };
      const { authority, places } = trial;
      const refusal = (before === undefined ? this.#noRoom(any, authority, places, source) : undefined) ?? (await take(authority, any));
      refusals.push(refusal);
      if (refusal?.code === 'grant_limit') this.#passOver(any);
      const after = refusal === undefined && before === undefined ? knownBytes(authority, any) : undefined;
      if (after === undefined) continue;
      fresh.push(after);
      places.take(authority, any);
    }
    if (trial !== undefined) this.#authority.rememberRefused(trial.authority);
    return { refusals, fresh };
  }

  /** What rests on a grant that was passed over is passed over. */
  #noRoom(any: AnyRecord, known: Known, places: Places, source: Source): Refusal | undefined {
    if (any.kind === 'root') return undefined;
    const rests = any.kind === 'grant' ? any.record.body.parent : any.record.body.target;
    if (known.grant(rests) === undefined && this.#passedOver.has(toHex(rests)))
      return refusalBy('grant_limit', `there was no room for grant ${shortId(rests)}, which it rests on`, { grantId: rests });
    return any.kind === 'grant' ? places.refusalOf(known, any.record, source) : undefined;
  }

  #passOver({ kind, record }: AnyRecord): void {
    if (kind !== 'grant') return;
    this.#passedOver.add(toHex(record.id));
    const [oldest] = this.#passedOver;
    if (this.#passedOver.size > grantLimits.passedOverMax && oldest !== undefined) this.#passedOver.delete(oldest);
  }

  async #load(snapshot: Snapshot, after: number): Promise<void> {
    const rows = await readRows(snapshot, after, recordsPageMax);
    if (rows.length === 0) throw new GkvError('corrupt', `record ${after + 1} of this mesh's authority is gone`);
    for (const [i, bytes] of rows.entries()) {
      const any = decodeStored(bytes, this.#authority.meshId);
      const refusal = await take(this.#authority, any);
      if (refusal !== undefined)
        throw new GkvError('corrupt', `record ${after + 1 + i} does not hold: ${refusal.code}: ${refusal.message}`);
      if (after + 1 + i <= this.#number) continue; // somebody else was faster
      this.#number = after + 1 + i;
      this.#places.take(this.#authority, any);
      this.#passedOver.delete(toHex(any.record.id));
      if (any.kind !== 'grant') this.#lastEnding = after + 1 + i;
    }
  }
}

/** With the signatures that are known. */
function knownBytes(authority: Authority, any: AnyRecord): Uint8Array | undefined {
  const known = knownAs(authority, any);
  return known === undefined ? undefined : encodeAny(known);
}

/** Records behind a number, in their order. */
export interface RecordsPage {
  readonly records: readonly Uint8Array[];
  /** Of the last of them, or the one asked from. */
  readonly number: number;
}

/** At most so many bytes and records, and one record whatever its size. */
export async function readRecordsPage(
  snapshot: Snapshot,
  after: number,
  bytesMax: number,
  recordsMax = recordsPageMax,
): Promise<RecordsPage> {
  const tail = await readTail(snapshot);
  const records: Uint8Array[] = [];
  if (tail <= after) return { records, number: after };
  let bytes = 0;
  for (const record of await readRows(snapshot, after, recordsMax)) {
    bytes += record.length;
    if (records.length > 0 && bytes > bytesMax) break;
    records.push(record);
  }
  return { records, number: after + records.length };
}

/** Error: `corrupt`. */
export function decodeStored(bytes: Uint8Array, meshId: Uint8Array): AnyRecord {
  try {
    return decodeAny(bytes, meshId);
  } catch (cause) {
    throw new GkvError('corrupt', 'a stored record of the mesh’s authority is damaged', { cause });
  }
}

async function readRows(snapshot: Snapshot, after: number, limit: number): Promise<Uint8Array[]> {
  const rows = await snapshot.range(tableKeys(tables.record, { start: u64Bytes(after + 1), end: null }), { limit });
  return rows.map(({ value }) => value);
}

/** How many records a store has. */
export async function readTail(snapshot: Snapshot): Promise<number> {
  const bytes = await snapshot.get(tailKey);
  return bytes === undefined ? 0 : Number(asBuffer(bytes).readBigUInt64BE(0));
}

/** False, and nothing added, where there are more than `number` by now. Who follows our feed is woken. */
async function append(tx: Transaction, number: number, records: readonly Uint8Array[], { rowsMax }: LedgerBounds): Promise<boolean> {
  if ((await readTail(tx)) !== number) return false;
  if (number + records.length > rowsMax) throw new GkvError('too_large', `more than ${rowsMax} records of one mesh's authority`);
  for (const [i, bytes] of records.entries()) tx.set(storeKey(tables.record, u64Bytes(number + 1 + i)), bytes);
  tx.set(tailKey, u64Bytes(number + records.length));
  tx.setVersionstampedValue(feedTailKey, new Uint8Array(versionstampBytes), 0);
  return true;
}
