import {
  clustersMax,
  clusterPartBytes,
  clusterPartOf,
  covers,
  joinClusters,
  type ClusterFrontier,
  type ClusterPart,
  type Frontier,
} from '../core/frontier.ts';
import { asBuffer, equalBytes, toHex } from '../core/bytes.ts';
import { type Clock } from '../core/ports.ts';
import { parseStamp, stampBytes, stampZero, type Stamp } from '../core/stamp.ts';
import { beginWait } from '../core/wait.ts';
import { keyWithin, storeKey, tableRange, tables } from '../store/keyspace.ts';
import { type Row, type Snapshot, type Store, storeLimits, type Transaction } from '../store/store.ts';
import { readClosed } from './slot.ts';

/**
 * What is here of other clusters' writes: frontier/<part 6> → base 16, and frontier/<part 6><slot u16> → stamp 16. Our own part is what
 * our slots have closed, and lies in their records.
 */
function baseRow(part: ClusterPart): Uint8Array {
  return storeKey(tables.frontier, Buffer.from(part, 'hex'));
}

function slotRow(part: ClusterPart, slot: number): Uint8Array {
  return storeKey(tables.frontier, Buffer.from(part, 'hex'), Uint8Array.of(slot >> 8, slot & 0xff));
}

/** Of all clusters, ours among them, as of one snapshot. */
export async function readFrontier(snapshot: Snapshot, own: ClusterPart): Promise<Frontier> {
  const [closed, rows] = await Promise.all([
    readClosed(snapshot),
    snapshot.range(tableRange(tables.frontier), { limit: storeLimits.rowsMax }),
  ]);
  return new Map([...parseRows(rows), [own, closed]]);
}

function parseRows(rows: readonly Row[]): Map<ClusterPart, ClusterFrontier> {
  const clusters = new Map<ClusterPart, { base: Stamp; slots: Map<number, Stamp> }>();
  for (const { key, value } of rows) {
    const within = asBuffer(keyWithin(key));
    const part = toHex(within.subarray(0, clusterPartBytes));
    const cluster = clusters.get(part) ?? { base: stampZero, slots: new Map<number, Stamp>() };
    clusters.set(part, cluster);
    if (within.length === clusterPartBytes) cluster.base = parseStamp(value);
    else cluster.slots.set(within.readUInt16BE(clusterPartBytes), parseStamp(value));
  }
  return clusters;
}

/** Rows that frontiers of others may fill: one range reads them all. */
const rowsMax = storeLimits.rowsMax - 1;

/**
 * Joins what a peer has into what is here. Ours is left alone: nobody knows it better. What there would be no room for, of clusters or slots
 * that are new, is left out, whoever made them up: readers take no more.
 */
export async function joinFrontier(tx: Transaction, theirs: Frontier, own: ClusterPart): Promise<void> {
  const rows = await tx.range(tableRange(tables.frontier), { limit: storeLimits.rowsMax });
  const ours = parseRows(rows);
  let rowCount = rows.length;
  for (const [part, their] of theirs) {
    if (part === own) continue;
    const before = ours.get(part);
    const after = before === undefined ? their : joinClusters(before, their);
    const rowsAfter = rowCount + rowsOf(after) - rowsOf(before);
    if (rowsAfter > rowsMax || (before === undefined && ours.size + 1 === clustersMax)) continue;
    rowCount = rowsAfter;
    ours.set(part, after);
    if (before === undefined || !equalBytes(before.base, after.base)) tx.set(baseRow(part), after.base);
    for (const [slot, stamp] of after.slots) {
      const was = before?.slots.get(slot);
      if (was === undefined || !equalBytes(was, stamp)) tx.set(slotRow(part, slot), stamp);
    }
  }
}

function rowsOf(cluster: ClusterFrontier | undefined): number {
  return cluster === undefined ? 0 : 1 + cluster.slots.size;
}

/** Looked at again after so long, whatever the watch says: what is covered by a base moves another row. */
const lookAgainMs = 500;

/** Waits until what was accepted under the stamp is here. False when it is not after `msMax`, or once the signal aborts. */
export async function waitForCover(
  { store, clock, own }: { store: Store; clock: Clock; own: ClusterPart },
  accepted: Stamp,
  msMax: number,
  signal: AbortSignal,
): Promise<boolean> {
  const row = slotRow(clusterPartOf(accepted), asBuffer(accepted).readUInt16BE(stampBytes - 2));
  const startedMs = clock.monotonic();
  for (;;) {
    const wait = beginWait(signal);
    const changed = store.watch(row, wait.signal);
    changed.catch(() => undefined); // a store that closes is told of by the read
    try {
      const frontier = await store.read((snapshot) => readFrontier(snapshot, own));
      if (covers(frontier, accepted)) return true;
      const leftMs = msMax - (clock.monotonic() - startedMs);
      if (leftMs <= 0 || signal.aborted) return false;
      await Promise.race([changed, clock.sleep(Math.min(leftMs, lookAgainMs), wait.signal)]);
    } finally {
      wait.end();
    }
  }
}
