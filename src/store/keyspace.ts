import { asBuffer, emptyBytes } from '../core/bytes.ts';
import { type KeyRange } from '../core/key.ts';
import { type Range } from './store.ts';

/**
 * Where everything lies in the store: the first byte of a store key names the table. Numbers are big-endian, so that byte order
 * is numeric order. A number is never used for another table, even after its table is gone.
 */
export const tables = {
  meta: 0x01,
  slot: 0x02,
  lease: 0x03,
  leaseBeat: 0x04,
  /** Up to where slots that have no record are closed. */
  slotBase: 0x05,
  /** The last starts of the store. */
  opening: 0x06,
  head: 0x10,
  /** Values of writes under the zero leaf grant, where they are no part of their heads: key. */
  value: 0x11,
  /** Such values of all other writes: leaf grant 32 ‖ key. */
  leafValue: 0x12,
  feed: 0x20,
  tombstone: 0x21,
  expiry: 0x22,
  feedTail: 0x23,
  /** Candidates that have lesser ones beside them. */
  rival: 0x24,
  bound: 0x30,
  sum: 0x31,
  treeState: 0x32,
  treeLog: 0x33,
  parked: 0x40,
  /** Of all peers and, behind the peer's name, of one. */
  parkedCount: 0x41,
  /** Writes whose authority is not known yet: who sent it, and id 32. */
  unproven: 0x42,
  /** Peers of whose waiting writes some were given up. */
  lapsed: 0x43,
  frontier: 0x50,
  cursor: 0x51,
  floor: 0x52,
  /** What each peer said of its store, directly. */
  member: 0x53,
  /** Clusters from which nothing is taken in any more. */
  ended: 0x54,
  /** Of each member the epoch at which all that it had is here. */
  reached: 0x55,
  /** The public key that each member of a granted mesh has proved. */
  memberKey: 0x56,
  /** Root documents, grants and revocations, in the order in which they were taken in. */
  record: 0x60,
  /** How many of them there are. */
  recordTail: 0x61,
  /** Up to which of them writes that lost their authority were taken away. */
  swept: 0x62,
} as const;

export type Table = (typeof tables)[keyof typeof tables];

/** Where all tables lie. */
export const allTables: Range = { start: Uint8Array.of(0), end: Uint8Array.of(0xff) };

/** table ‖ parts. */
export function storeKey(table: Table, ...parts: readonly Uint8Array[]): Uint8Array {
  let length = 1;
  for (const part of parts) length += part.length;
  const key = Buffer.allocUnsafe(length);
  key[0] = table;
  let at = 1;
  for (const part of parts) {
    key.set(part, at);
    at += part.length;
  }
  return key;
}

/** feedTail → the stamp of the last commit that wrote to the feed, or to the ledger: who waits for changes watches it. */
export const feedTailKey = storeKey(tables.feedTail);

/** table ‖ level u8 ‖ key: bounds and sums of the tree. */
export function levelKey(table: Table, level: number, key: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(2 + key.length);
  bytes[0] = table;
  bytes[1] = level;
  bytes.set(key, 2);
  return bytes;
}

/** All of a table. */
export function tableRange(table: Table): Range {
  return { start: Uint8Array.of(table), end: Uint8Array.of(table + 1) };
}

/** The part of a table, behind `prefix` (a level, a partition), whose rest lies in the range of keys. */
export function tableKeys(table: Table, range: KeyRange, prefix: Uint8Array = emptyBytes): Range {
  const start = storeKey(table, prefix, range.start);
  if (range.end !== null) return { start, end: storeKey(table, prefix, range.end) };
  const end = asBuffer(storeKey(table, prefix));
  const last = end.length - 1;
  end[last] = (end[last] ?? 0) + 1; // tables, levels and partitions stay below 255
  return { start, end };
}

/** The key within a row of a table: what stands behind the table's byte and `prefixLength` more. */
export function keyWithin(rowKey: Uint8Array, prefixLength = 0): Uint8Array {
  return rowKey.subarray(1 + prefixLength);
}
