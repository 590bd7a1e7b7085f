import fc from 'fast-check';
import { joinClusters, type ClusterFrontier, type Frontier } from '../../src/core/frontier.ts';
import { makeStamp, parseInstance, type Stamp } from '../../src/core/stamp.ts';

/** A stamp of a slot of a cluster, by its part in hex. */
export function stampOf(part: string, slot: number, ms: number, logical = 0): Stamp {
  return makeStamp(ms, logical, parseInstance(Buffer.concat([Buffer.from(part, 'hex'), Buffer.of(slot >> 8, slot & 0xff)])));
}

export const parts = ['000000000001', '000000000002', 'ffffffffffff'] as const;

export function frontierOf(clusters: Record<string, { base: Stamp; slots?: Record<number, Stamp> }>): Frontier {
  return new Map(
    Object.entries(clusters).map(([part, { base, slots = {} }]) => [
      part,
      { base, slots: new Map(Object.entries(slots).map(([slot, stamp]) => [Number(slot), stamp])) },
    ]),
  );
}

/** What is covered by either. */
export function joinFrontiers(a: Frontier, b: Frontier): Frontier {
  const joined = new Map(a);
  for (const [part, theirs] of b) {
    const ours = a.get(part);
    joined.set(part, ours === undefined ? theirs : joinClusters(ours, theirs));
  }
  return joined;
}

const few = fc.integer({ min: 0, max: 4 });

/** Few clusters, slots and times, so that frontiers meet. */
export const frontiers: fc.Arbitrary<Frontier> = fc
  .uniqueArray(fc.constantFrom(...parts), { maxLength: 3 })
  .chain((names) => fc.tuple(...names.map((part) => clusterOf(part).map((cluster) => [part, cluster] as const))))
  .map((clusters) => new Map(clusters));

function clusterOf(part: string): fc.Arbitrary<ClusterFrontier> {
  const slots = fc.uniqueArray(fc.tuple(fc.constantFrom(0, 1, 2, 255), few), { selector: ([slot]) => slot, maxLength: 4 });
  return fc.tuple(few, slots).map(([ms, pairs]) => ({
    base: stampOf(part, 0, ms),
    slots: new Map(pairs.map(([slot, at]) => [slot, stampOf(part, slot, at)])),
  }));
}

/** Stamps that frontiers may cover: of slots that they name, and of others. */
export const askedStamps: fc.Arbitrary<Stamp> = fc
  .tuple(fc.constantFrom(...parts), fc.constantFrom(0, 1, 2, 3, 255), few)
  .map(([part, slot, ms]) => stampOf(part, slot, ms));
