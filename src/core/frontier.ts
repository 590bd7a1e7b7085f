import { type ByteReader, toHex } from './bytes.ts';
import { type ByteWriter } from './byteWriter.ts';
import { compareStamps, instanceBytes, parseStamp, stampBytes, stampZero, type Stamp } from './stamp.ts';

/** The first bytes of an instance: its cluster, in one incarnation. */
export const clusterPartBytes = 6;

/** 12 hex digits: the part of an instance that names its cluster, in one incarnation. */
export type ClusterPart = string;

/** What of one cluster's writes is here: up to `base` from every slot that `slots` does not name. */
export interface ClusterFrontier {
  readonly base: Stamp;
  /** By slot number. */
  readonly slots: ReadonlyMap<number, Stamp>;
}

/**
 * Per cluster and slot the accepted stamp up to which everything that was taken in there is here, or a greater write of its key, or
 * was collected (I7). A cluster that is not named is at zero.
 */
export type Frontier = ReadonlyMap<ClusterPart, ClusterFrontier>;

export const frontierZero: Frontier = new Map();

export function clusterPartOf(stamp: Stamp): ClusterPart {
  return toHex(stamp.subarray(stampBytes - instanceBytes, stampBytes - instanceBytes + clusterPartBytes));
}

export function slotOf(stamp: Stamp): number {
  return ((stamp[stampBytes - 2] ?? 0) << 8) | (stamp[stampBytes - 1] ?? 0);
}

/** True where what was accepted under this stamp is here. */
export function covers(frontier: Frontier, accepted: Stamp): boolean {
  const cluster = frontier.get(clusterPartOf(accepted));
  return cluster !== undefined && compareStamps(reached(cluster, slotOf(accepted)), accepted) >= 0;
}

function reached({ base, slots }: ClusterFrontier, slot: number): Stamp {
  return slots.get(slot) ?? base;
}

/** True where one covers of a cluster what the other does not. */
export function isBehind(ours: ClusterFrontier | undefined, theirs: ClusterFrontier | undefined): boolean {
  if (ours === undefined || theirs === undefined) return theirs !== undefined;
  const slots = [...new Set([...ours.slots.keys(), ...theirs.slots.keys()])];
  return compareStamps(theirs.base, ours.base) > 0 || slots.some((slot) => compareStamps(reached(theirs, slot), reached(ours, slot)) > 0);
}

/** What is covered by either. Commutative, associative, idempotent. */
export function joinClusters(a: ClusterFrontier, b: ClusterFrontier): ClusterFrontier {
  const slots = new Map<number, Stamp>();
  for (const slot of new Set([...a.slots.keys(), ...b.slots.keys()])) slots.set(slot, greater(reached(a, slot), reached(b, slot)));
  return { base: greater(a.base, b.base), slots };
}

function greater(a: Stamp, b: Stamp): Stamp {
  return compareStamps(a, b) >= 0 ? a : b;
}

/** The same where no stamp is above `latest`; a weaker claim, so it holds where the frontier does. */
export function cappedFrontier(frontier: Frontier, latest: Stamp): Frontier {
  const lesser = (stamp: Stamp): Stamp => (compareStamps(stamp, latest) <= 0 ? stamp : latest);
  const capped = new Map<ClusterPart, ClusterFrontier>();
  for (const [part, { base, slots }] of frontier) {
    capped.set(part, { base: lesser(base), slots: new Map([...slots].map(([slot, stamp]) => [slot, lesser(stamp)])) });
  }
  return capped;
}

/** The greatest stamp in it. */
export function latestOf(frontier: Frontier): Stamp {
  let latest = stampZero;
  for (const { base, slots } of frontier.values()) for (const stamp of [base, ...slots.values()]) latest = greater(latest, stamp);
  return latest;
}

/** The stamp up to which everything of these clusters is here, whatever its slot; zero where one of them is not known. */
export function lowOf(frontier: Frontier, parts: Iterable<ClusterPart>): Stamp {
  let low: Stamp | undefined;
  for (const part of parts) {
    const cluster = frontier.get(part);
    if (cluster === undefined) return stampZero;
    for (const stamp of [cluster.base, ...cluster.slots.values()]) if (low === undefined || compareStamps(stamp, low) < 0) low = stamp;
  }
  return low ?? stampZero;
}

/** Of a frontier; clusters in each of their incarnations. */
export const clustersMax = 1_000;
/** Instances of one cluster at a time, those that died lately among them: numbers of slots are below it. */
export const slotsMax = 256;

/** count u16 | clusters, rising, each: part 6 | base 16 | count u16 | slots, rising, each: slot u16 | stamp 16. */
export function writeFrontier(out: ByteWriter, frontier: Frontier): void {
  const clusters = [...frontier].sort(([a], [b]) => (a < b ? -1 : 1));
  out.u16(clusters.length);
  for (const [part, { base, slots }] of clusters) {
    out.bytes(Buffer.from(part, 'hex'));
    out.bytes(base);
    out.u16(slots.size);
    for (const [slot, stamp] of [...slots].sort(([a], [b]) => a - b)) {
      out.u16(slot);
      out.bytes(stamp);
    }
  }
}

/** Errors: `malformed` for anything that is not exactly one encoding. */
export function readFrontier(reader: ByteReader): Frontier {
  const frontier = new Map<ClusterPart, ClusterFrontier>();
  const count = reader.u16();
  if (count > clustersMax) throw reader.fail(`a frontier of ${count} clusters: at most ${clustersMax} are allowed`);
  let before = '';
  for (let i = 0; i < count; i += 1) {
    const part = toHex(reader.bytes(clusterPartBytes));
    if (part <= before) throw reader.fail('a frontier whose clusters do not rise');
    before = part;
    frontier.set(part, { base: readStamp(reader), slots: readSlots(reader) });
  }
  return frontier;
}

function readSlots(reader: ByteReader): Map<number, Stamp> {
  const slots = new Map<number, Stamp>();
  const count = reader.u16();
  if (count > slotsMax) throw reader.fail(`a frontier of ${count} slots: at most ${slotsMax} are allowed`);
  let before = -1;
  for (let i = 0; i < count; i += 1) {
    const slot = reader.u16();
    if (slot <= before) throw reader.fail('a frontier whose slots do not rise');
    if (slot >= slotsMax) throw reader.fail(`a frontier with slot ${slot}: a cluster has ${slotsMax}`);
    before = slot;
    slots.set(slot, readStamp(reader));
  }
  return slots;
}

function readStamp(reader: ByteReader): Stamp {
  return parseStamp(reader.bytes(stampBytes));
}
