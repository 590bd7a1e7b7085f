import { asBuffer, toHex } from '../core/bytes.ts';
import { successorKey } from '../core/key.ts';
import { limits } from '../core/limits.ts';
import { compareStamps, makeStamp, noInstance, stampBytes, type Stamp } from '../core/stamp.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { keyWithin, storeKey, tableRange, tables } from '../store/keyspace.ts';
import { storeLimits, type Snapshot, type Transaction } from '../store/store.ts';
import { type FromPeer, type ReceivedWrite } from './proposal.ts';
import { decodeWrites, encodeWrites } from './wire.ts';

/**
 * Writes that a peer sent and that are too far ahead of our wall clock: kept in the order in which they come due, with
 * the peer that sent them, and taken in when they are due. parked/<due 16><id 32><peer> → the
 * write, where due is the greater of version and accepted stamp.
 */
export interface ParkedWrite {
  readonly received: ReceivedWrite;
  readonly peer: string;
  readonly row: Uint8Array;
}

/** Of writes that wait, whatever for. */
export interface ParkedCount {
  readonly writes: number;
  readonly bytes: number;
  /** How many of them wait for their grants, and not for the clock; undefined: some have waited since before that was counted. */
  readonly unproven: number | undefined;
}

function countKey(peer: string): Uint8Array {
  return storeKey(tables.parkedCount, Buffer.from(peer));
}

/** Of one peer, or of all. */
export async function readParkedCount(snapshot: Snapshot, peer = ''): Promise<ParkedCount> {
  const bytes = await snapshot.get(countKey(peer));
  return bytes === undefined ? nothing : countOf(bytes);
}

/** Bytes of a row that says what its writes wait for; stores of before have rows without the last number, until nothing waits any more. */
const countBytes = 12;

/** writes u32 | bytes u32 | of the writes, those that wait for their grants: u32. */
function countOf(bytes: Uint8Array): ParkedCount {
  const view = asBuffer(bytes);
  return {
    writes: view.readUInt32BE(0),
    bytes: view.readUInt32BE(4),
    unproven: view.length < countBytes ? undefined : view.readUInt32BE(8),
  };
}

function encodeCount({ writes, bytes, unproven }: ParkedCount): Uint8Array {
  const row = Buffer.alloc(countBytes);
  row.writeUInt32BE(writes, 0);
  row.writeUInt32BE(bytes, 4);
  row.writeUInt32BE(unproven ?? 0, 8);
  return unproven === undefined ? row.subarray(0, 8) : row;
}

async function addToCount(tx: Transaction, peer: string, more: CountChange): Promise<void> {
  const before = await readParkedCount(tx, peer);
  if (before.writes + more.writes === 0) {
    tx.clear(countKey(peer)); // whoever can make up peers' names must not leave rows behind
    return;
  }
  const unproven = before.unproven === undefined ? undefined : before.unproven + more.unproven;
  tx.set(countKey(peer), encodeCount({ writes: before.writes + more.writes, bytes: before.bytes + more.bytes, unproven }));
}

interface CountChange {
  writes: number;
  bytes: number;
  unproven: number;
}

/** What was added to or taken from parking, by peer. */
class CountChanges {
  readonly #changes = new Map<string, CountChange>();

  /** `row`: whose table tells what the write waits for. */
  add(peer: string, row: Uint8Array, writes: 1 | -1, bytes: number): void {
    for (const name of ['', peer]) {
      const change = this.#changes.get(name) ?? { writes: 0, bytes: 0, unproven: 0 };
      change.writes += writes;
      change.bytes += bytes;
      if (row[0] === tables.unproven) change.unproven += writes;
      this.#changes.set(name, change);
    }
  }

  async apply(tx: Transaction): Promise<void> {
    for (const [peer, change] of this.#changes) await addToCount(tx, peer, change);
  }
}

/** How many more writes may be parked. */
export async function parkRoom(tx: Transaction): Promise<number> {
  const { writes, bytes } = await readParkedCount(tx);
  return bytes >= limits.parkedBytesMax ? 0 : limits.parkedWritesMax - writes;
}

/** How many more writes of each of these peers may be parked. */
export async function peerRooms(tx: Transaction, peers: Iterable<string>): Promise<ReadonlyMap<string, number>> {
  const names = [...new Set(peers)];
  const counts = await Promise.all(names.map((peer) => readParkedCount(tx, peer)));
  const roomBeside = ({ writes, bytes }: ParkedCount): number =>
    bytes >= limits.parkedOfPeerBytesMax ? 0 : limits.parkedOfPeerMax - writes;
  return new Map(names.map((peer, i) => [peer, roomBeside(counts[i] ?? nothing)]));
}

const nothing: ParkedCount = { writes: 0, bytes: 0, unproven: 0 };

/** The peer that takes the greatest part of what may wait; undefined where nothing does. */
export async function heaviestPeer(snapshot: Snapshot): Promise<string | undefined> {
  const partOf = ({ writes, bytes }: ParkedCount): number => Math.max(writes / limits.parkedWritesMax, bytes / limits.parkedBytesMax);
  const rows = await snapshot.range(tableRange(tables.parkedCount), { limit: storeLimits.rowsMax });
  const counts = rows.map(({ key, value }) => ({ peer: Buffer.from(keyWithin(key)).toString(), part: partOf(countOf(value)) }));
  return counts.filter(({ peer }) => peer !== '').sort((a, b) => b.part - a.part)[0]?.peer;
}

/** Parks the writes, for which there must be room. Those that are parked already are no change. */
export function parkWrites(tx: Transaction, parked: readonly FromPeer[]): Promise<void> {
  return addWaiting(tx, parked, ({ received, peer }) => storeKey(tables.parked, dueOf(received), received.id, Buffer.from(peer)));
}

/** Sets the row of each write that waits, and counts it. One that is there already is no change. */
export async function addWaiting(
  tx: Transaction,
  waiting: readonly FromPeer[],
  rowOf: (from: FromPeer) => Uint8Array,
  valueOf: (received: ReceivedWrite) => Uint8Array = (received) => encodeWrites([received]),
): Promise<void> {
  const rows = new Map<string, FromPeer & { readonly row: Uint8Array }>();
  for (const from of waiting) {
    const row = rowOf(from);
    rows.set(toHex(row), { row, ...from });
  }
  const changes = new CountChanges();
  await Promise.all(
    [...rows.values()].map(async ({ row, received, peer }) => {
      if ((await tx.get(row)) !== undefined) return;
      const value = valueOf(received);
      changes.add(peer, row, 1, value.length);
      tx.set(row, value);
    }),
  );
  await changes.apply(tx);
}

/** The stamp that the clock must come near before the write is taken in. */
function dueOf({ write, accepted }: ReceivedWrite): Stamp {
  return compareStamps(write.version, accepted) > 0 ? write.version : accepted;
}

/** Parked writes in the order in which they come due, from behind a row on; those alone that are due by `latestMs`, where that is given. */
export async function listParked(
  snapshot: Snapshot,
  digests: MeshDigests,
  after: Uint8Array | undefined,
  limit: number,
  latestMs?: number,
): Promise<ParkedWrite[]> {
  const { start, end: last } = tableRange(tables.parked);
  const end = latestMs === undefined ? last : storeKey(tables.parked, makeStamp(latestMs + 1, 0, noInstance));
  const rows = await snapshot.range({ start: after === undefined ? start : successorKey(after), end }, { limit });
  return rows.flatMap(({ key, value }) => {
    const peer = peerOf(key);
    return decodeWrites(value, digests).map((received) => ({ received, peer, row: key }));
  });
}

/** Takes rows of writes that waited, each named once, away, and counts them no more. A row that is gone already is no change. */
export async function clearWaiting(tx: Transaction, waiting: readonly ParkedWrite[]): Promise<void> {
  const changes = new CountChanges();
  await Promise.all(
    waiting.map(async ({ row, peer }) => {
      const value = await tx.get(row);
      if (value === undefined) return;
      changes.add(peer, row, -1, -value.length);
      tx.clear(row);
    }),
  );
  await changes.apply(tx);
}

function peerOf(row: Uint8Array): string {
  return Buffer.from(keyWithin(row, stampBytes + 32)).toString();
}
