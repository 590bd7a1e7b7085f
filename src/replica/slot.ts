import { asBuffer, ByteReader, writeU64 } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { type ClusterFrontier } from '../core/frontier.ts';
import {
  compareStamps,
  logicalMax,
  logicalOf,
  parseStamp,
  physicalMsMax,
  physicalMsOf,
  stampBytes,
  stampZero,
  successorStamp,
  instanceBytes,
  parseInstance,
  type Stamp,
} from '../core/stamp.ts';
import { keyWithin, storeKey, tableRange, tables } from '../store/keyspace.ts';
import { type Snapshot, type Store, storeLimits, type Transaction } from '../store/store.ts';

/**
 * The record of a slot: who holds it, up to where its stamps are closed, and the results of its last batch. Every commit
 * of a slot reads and rewrites it, so two holders cannot both commit, and a batch cannot be applied twice.
 */
export interface SlotRecord {
  /** Rises by one with every take-over: the fencing number. */
  readonly lease: number;
  /** No commit of this slot will bring a stamp at or below this one any more. */
  readonly closed: Stamp;
  readonly batch: number;
  readonly results: readonly BatchResult[];
}

/** What became of one proposal. `stamp` is the version minted or, for a write that carried one, its accepted stamp. */
export interface BatchResult {
  readonly status: BatchStatus;
  readonly stamp: Stamp;
}

export const batchStatuses = [
  'applied',
  'duplicate',
  'dominated',
  'parked',
  'refused',
  'below_floor',
  'denied',
  'unproven',
  'forged',
] as const;
type BatchStatus = (typeof batchStatuses)[number];

const slotFormat = 1;
const headBytes = 1 + 8 + stampBytes + 8 + 2;
/** On the status byte: the stamp is the successor of the one before, and is left out. */
const successorBit = 0x80;

export function slotKey(slot: number): Uint8Array {
  return storeKey(tables.slot, Uint8Array.of(slot >> 8, slot & 0xff));
}

/**
 * format u8=1 | lease u64 | closed 16 | batch u64 | count u16 | results, each: status u8, with bit 7 where the stamp is the
 * successor of the one before | stamp 16 otherwise.
 */
export function encodeSlot(record: SlotRecord): Uint8Array {
  const bytes = Buffer.allocUnsafe(headBytes + record.results.length * (1 + stampBytes));
  let at = bytes.writeUInt8(slotFormat, 0);
  at = writeU64(bytes, record.lease, at);
  bytes.set(record.closed, at);
  at = writeU64(bytes, record.batch, at + stampBytes);
  at = bytes.writeUInt16BE(record.results.length, at);
  let before = stampZero;
  for (const { status, stamp } of record.results) {
    const follows = isFollower(before, stamp);
    at = bytes.writeUInt8(batchStatuses.indexOf(status) | (follows ? successorBit : 0), at);
    if (!follows) bytes.set(stamp, at);
    at += follows ? 0 : stampBytes;
    before = stamp;
  }
  return bytes.subarray(0, at);
}

export function decodeSlot(bytes: Uint8Array): SlotRecord {
  const { reader, lease, closed } = startOf(bytes);
  const batch = reader.u64();
  const count = reader.u16();
  const results: BatchResult[] = [];
  let before = stampZero;
  for (let i = 0; i < count; i += 1) {
    const bits = reader.u8();
    const status = batchStatuses[bits & ~successorBit];
    if (status === undefined) throw reader.fail(`status ${bits} is unknown`);
    const stamp = (bits & successorBit) === 0 ? parseStamp(reader.bytes(stampBytes)) : followerOf(before);
    if (stamp === undefined) throw reader.fail('a successor of the greatest stamp');
    if ((bits & successorBit) === 0 && isFollower(before, stamp)) throw reader.fail('a successor that is spelled out');
    results.push({ status, stamp });
    before = stamp;
  }
  reader.end();
  return { lease, closed, batch, results };
}

/** Each page of a feed and each request for one asks for this, and nobody then for the results, which are hundreds under load. */
function closedOf(bytes: Uint8Array): Stamp {
  return startOf(bytes).closed;
}

/** How many batches were committed under a slot. */
export function batchesOf(record: Uint8Array): number {
  return startOf(record).reader.u64();
}

function startOf(bytes: Uint8Array): { reader: ByteReader; lease: number; closed: Stamp } {
  const reader = new ByteReader(bytes, 'slot record');
  const format = reader.u8();
  if (format !== slotFormat) throw reader.fail(`format ${format} is unknown, 1 is known`);
  return { reader, lease: reader.u64(), closed: parseStamp(reader.bytes(stampBytes)) };
}

function isFollower(before: Stamp, stamp: Stamp): boolean {
  const follower = followerOf(before);
  return follower !== undefined && Buffer.compare(follower, stamp) === 0;
}

/** Undefined for the greatest stamp, which a peer may have sent. */
function followerOf(stamp: Stamp): Stamp | undefined {
  if (physicalMsOf(stamp) === physicalMsMax && logicalOf(stamp) === logicalMax) return undefined;
  return successorStamp(stamp, parseInstance(stamp.subarray(stampBytes - instanceBytes)));
}

/** Takes the slot over from whoever held it. What that holder still has under way can no longer commit. */
export async function acquireSlot(store: Store, slot: number): Promise<SlotRecord> {
  return store.transact((tx) => takeOverSlot(tx, slot));
}

export async function takeOverSlot(tx: Transaction, slot: number): Promise<SlotRecord> {
  const held = await readSlot(tx, slot);
  const closed = held?.closed ?? (await readSlotBase(tx));
  const record = { lease: (held?.lease ?? 0) + 1, closed, batch: held?.batch ?? 0, results: [] };
  tx.set(slotKey(slot), encodeSlot(record));
  return record;
}

const slotBaseKey = storeKey(tables.slotBase);

/** What a slot that was never used is closed up to: its first holder starts above. */
async function readSlotBase(snapshot: Snapshot): Promise<Stamp> {
  const bytes = await snapshot.get(slotBaseKey);
  return bytes === undefined ? stampZero : parseStamp(bytes);
}

/** Of this cluster: what its slots are closed up to. */
export async function readClosed(snapshot: Snapshot): Promise<ClusterFrontier> {
  const [base, rows] = await Promise.all([readSlotBase(snapshot), snapshot.range(tableRange(tables.slot), { limit: storeLimits.rowsMax })]);
  const slots = new Map<number, Stamp>();
  for (const { key, value } of rows) slots.set(asBuffer(keyWithin(key)).readUInt16BE(0), closedOf(value));
  return { base, slots };
}

/**
 * Closes the slots that nobody holds, and those that were never used: nothing at or below `stamp` will come from there. Conflicts with who
 * takes one of these, and with nobody who commits under another.
 */
export async function closeFreeSlots(tx: Transaction, stamp: Stamp, isFree: (slot: number) => Promise<boolean>): Promise<void> {
  // A snapshot: the commits of those who hold a slot must not make this one run again.
  for (const { key } of await tx.range(tableRange(tables.slot), { limit: storeLimits.rowsMax, isolation: 'snapshot' })) {
    const slot = asBuffer(keyWithin(key)).readUInt16BE(0);
    const record = (await isFree(slot)) ? await readSlot(tx, slot) : undefined;
    if (record !== undefined && compareStamps(record.closed, stamp) < 0) tx.set(key, encodeSlot({ ...record, closed: stamp }));
  }
  if (compareStamps(await readSlotBase(tx), stamp) < 0) tx.set(slotBaseKey, stamp);
}

async function readSlot(tx: Transaction, slot: number): Promise<SlotRecord | undefined> {
  const bytes = await tx.get(slotKey(slot));
  return bytes === undefined ? undefined : decodeSlot(bytes);
}

/** Reads the record within a commit of the holder of `lease`. Error: `lease_lost`. */
export async function fencedSlot(tx: Transaction, slot: number, lease: number): Promise<SlotRecord> {
  const record = await readSlot(tx, slot);
  if (record?.lease === lease) return record;
  throw new GkvError('lease_lost', `slot ${slot} is held under lease ${record?.lease ?? 0}, not ${lease}: another holder took over`);
}
