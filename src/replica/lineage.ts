import { ByteReader, equalBytes } from '../core/bytes.ts';
import { ByteWriter } from '../core/byteWriter.ts';
import { storeKey, tableRange, tables } from '../store/keyspace.ts';
import { type Snapshot, type Store, storeLimits } from '../store/store.ts';
import { batchesOf } from './slot.ts';

/** One start of an instance on a store. */
interface Opening {
  /** 8 random bytes. */
  readonly id: Uint8Array;
  /** What the store's progress was. */
  readonly began: number;
}

/** Where a store comes from and how far it is: two copies of one store that both go on have lineages that do not follow one another. */
export interface Lineage {
  /** The last of them, oldest first. */
  readonly openings: readonly Opening[];
  /** The batch numbers of all slots, added up: it rises with every commit, and is durable with it. */
  readonly progress: number;
}

export const openingIdBytes = 8;
/** More starts than this between two words that a peer hears of us look like another store. */
export const openingsMax = 64;

const lineageFormat = 1;
const openingKey = storeKey(tables.opening);

/** Notes the start of an instance, before it does anything else. `id` is 8 random bytes. */
export async function noteOpening(store: Store, id: Uint8Array): Promise<void> {
  await store.transact(async (tx) => {
    // Conflicting, so that whoever says that the store went on further says this opening too.
    const { openings, progress } = await lineageOf(tx);
    if (openings.some((opening) => equalBytes(opening.id, id))) return; // an earlier run was committed
    const out = new ByteWriter();
    out.u8(lineageFormat);
    writeOpenings(out, [...openings, { id, began: progress }].slice(-openingsMax));
    tx.set(openingKey, Uint8Array.from(out.done()));
  });
}

/** As of one snapshot. */
export async function lineageOf(snapshot: Snapshot): Promise<Lineage> {
  const [bytes, slots] = await Promise.all([
    snapshot.get(openingKey),
    snapshot.range(tableRange(tables.slot), { limit: storeLimits.rowsMax }),
  ]);
  const progress = slots.reduce((sum, { value }) => sum + batchesOf(value), 0);
  if (bytes === undefined) return { openings: [], progress };
  const reader = new ByteReader(bytes, 'openings');
  const format = reader.u8();
  if (format !== lineageFormat) throw reader.fail(`format ${format} is unknown, 1 is known`);
  const openings = readOpenings(reader);
  reader.end();
  return { openings, progress };
}

/** progress u64 | openings. */
export function writeLineage(out: ByteWriter, { openings, progress }: Lineage): void {
  out.u64(progress);
  writeOpenings(out, openings);
}

/** Errors: `malformed`. */
export function readLineage(reader: ByteReader): Lineage {
  const progress = reader.u64();
  const openings = readOpenings(reader);
  if ((openings.at(-1)?.began ?? 0) > progress) throw reader.fail('an opening that began later than now');
  return { openings, progress };
}

/** count u8 | openings, oldest first, each: id 8 | began u64. */
function writeOpenings(out: ByteWriter, openings: readonly Opening[]): void {
  out.u8(openings.length);
  for (const { id, began } of openings) {
    out.bytes(id);
    out.u64(began);
  }
}

function readOpenings(reader: ByteReader): Opening[] {
  const count = reader.u8();
  if (count > openingsMax) throw reader.fail(`${count} openings: at most ${openingsMax} are allowed`);
  const openings: Opening[] = [];
  for (let i = 0; i < count; i += 1) {
    const opening = { id: Uint8Array.from(reader.bytes(openingIdBytes)), began: reader.u64() };
    if (opening.began < (openings.at(-1)?.began ?? 0)) throw reader.fail('openings that do not rise');
    openings.push(opening);
  }
  return openings;
}
