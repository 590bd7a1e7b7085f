import { ByteReader } from '../core/bytes.ts';
import { ByteWriter } from '../core/byteWriter.ts';
import { cappedFrontier, frontierZero, isBehind, latestOf, type ClusterPart, type Frontier } from '../core/frontier.ts';
import { limits } from '../core/limits.ts';
import { compareStamps, makeStamp, noInstance, parseStamp, physicalMsOf, stampBytes, stampZero, type Stamp } from '../core/stamp.ts';
import { readFloor } from '../replica/floor.ts';
import { storeKey, tables } from '../store/keyspace.ts';
import { type Store, type Transaction } from '../store/store.ts';
import { isTooOld } from './floor.ts';
import { type OwnCluster } from './ports.ts';
import { earlierPartsOf, partOf } from './words.ts';

/**
 * meta "renewed at" → stamp 16: the greatest of all that the store had, of anybody, when it was given a new incarnation and had not met the others yet;
 * behind it, cluster id 16 | incarnation u64: who it was then; and behind that, once others were met who lack nothing that it has, u8 = 1.
 */
const renewedAtKey = storeKey(tables.meta, Buffer.from('renewed at'));

interface Mark {
  readonly at: Stamp;
  /** Undefined in marks of earlier builds. */
  readonly before: OwnCluster | undefined;
  readonly hasMet: boolean;
}

/** `latest`: the greatest of all that the store has, which was that of `before`. What was noted earlier stays, unless somebody was met since. */
export async function noteRenewal(tx: Transaction, latest: Stamp, before: OwnCluster): Promise<void> {
  const row = await tx.get(renewedAtKey);
  const earlier = row === undefined ? undefined : decodeMark(row);
  if (earlier === undefined || earlier.hasMet)
    tx.set(renewedAtKey, encodeMark({ at: latest, before: earlier?.before ?? before, hasMet: false }));
}

/**
 * How old a copy is shows by what it has of others, unless these were given new incarnations too: then it has nothing of them as they are now, and
 * nothing of its own as it is now. So the copy's age is kept until somebody was met who had met it before, or a greater floor, and it was not too old.
 */
export class Renewal {
  readonly #store: Store;
  readonly #own: OwnCluster;
  #mark: Mark | undefined;
  #isOver = false;

  constructor(store: Store, own: OwnCluster) {
    this.#store = store;
    this.#own = own;
  }

  /** True where a floor, told by another, is above all that this store had when it was renewed. `has`: what that one has, where it tells; `frontier`: what we have. */
  async isOlderThan(floor: Stamp, has: Frontier | undefined, frontier: () => Promise<Frontier>): Promise<boolean> {
    if (this.#isOver) return false;
    this.#mark ??= await this.#read();
    if (this.#mark === undefined) {
      this.#isOver = true;
      return false;
    }
    const { at, hasMet } = this.#mark;
    const hadMetUs = has === undefined ? undefined : await hasMoreOf(this.#earlierParts(this.#mark), has, frontier);
    // A floor that is no greater than ours may be theirs by us: who had not met us then lacks nothing. Else we moved ours alone, as this copy knows of nobody.
    // Who has no floor has collected nothing: it says nothing of our age, and whoever has all that it has, has every delete.
    const isNone = compareStamps(floor, stampZero) === 0;
    const isTold = !isNone && (hadMetUs === true || (!hasMet && compareStamps(floor, await this.#store.read(readFloor)) > 0));
    if (isTold && isTooOld(at, floor)) return true;
    if (isTold) await this.#end();
    else if (hadMetUs === false && !hasMet && (!isNone || (await hasAllOf(has, frontier))))
      await this.#noteMet({ ...this.#mark, hasMet: true });
    return false;
  }

  /** The lives in which others may have met us, past where this copy was made. */
  #earlierParts({ before }: Mark): ClusterPart[] {
    const others = before === undefined ? [] : [partOf(before), ...earlierPartsOf(before)];
    const current = partOf(this.#own);
    return [...new Set([...earlierPartsOf(this.#own), ...others])].filter((part) => part !== current);
  }

  #read(): Promise<Mark | undefined> {
    return this.#store.read(async (snapshot) => {
      const row = await snapshot.get(renewedAtKey);
      return row === undefined ? undefined : decodeMark(row);
    });
  }

  async #noteMet(mark: Mark): Promise<void> {
    await this.#store.transact(async (tx) => {
      if ((await tx.get(renewedAtKey)) !== undefined) tx.set(renewedAtKey, encodeMark(mark));
    });
    this.#mark = mark;
  }

  async #end(): Promise<void> {
    await this.#store.transact((tx) => {
      tx.clear(renewedAtKey);
      return Promise.resolve();
    });
    this.#isOver = true;
  }
}

/** Whether somebody has more than we of one of these. */
async function hasMoreOf(parts: readonly ClusterPart[], has: Frontier, frontier: () => Promise<Frontier>): Promise<boolean> {
  const met = parts.filter((part) => has.has(part));
  if (met.length === 0) return false;
  const ours = await frontier();
  return met.some((part) => isBehind(ours.get(part), has.get(part)));
}

/** Whether we have all that somebody had, who has anything, up to 15 s before the latest of it: what is later than that is still on its way. */
async function hasAllOf(has: Frontier = frontierZero, frontier: () => Promise<Frontier>): Promise<boolean> {
  if (has.size === 0) return false;
  const ours = await frontier();
  const wantedMs = Math.max(0, physicalMsOf(latestOf(has)) - limits.staleMsMax);
  const wanted = cappedFrontier(has, makeStamp(wantedMs, 0, noInstance));
  return [...wanted].every(([part, at]) => !isBehind(ours.get(part), at));
}

function encodeMark({ at, before, hasMet }: Mark): Uint8Array {
  if (before === undefined && !hasMet) return at;
  const out = new ByteWriter();
  out.bytes(at);
  out.bytes(before?.clusterId ?? new Uint8Array(16));
  out.u64(before?.incarnation ?? 0);
  if (hasMet) out.u8(1);
  return out.done();
}

function decodeMark(row: Uint8Array): Mark {
  const at = parseStamp(row.subarray(0, stampBytes));
  if (row.length === stampBytes) return { at, before: undefined, hasMet: false };
  const reader = new ByteReader(row.subarray(stampBytes), 'the mark of a renewal');
  const before = { clusterId: reader.bytes(16), incarnation: reader.u64() };
  return { at, before: before.incarnation === 0 ? undefined : before, hasMet: row.length > stampBytes + 24 };
}
