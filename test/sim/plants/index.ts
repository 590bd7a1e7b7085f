import { expectedOutside, fullDiskTaken, staleReads } from './answers.ts';
import { boundNotMerged, feedRowStays, sumNotAdjusted } from './derived.ts';
import { noPlant, type Plant } from './plant.ts';
import { clockFollowsAll, deletesPassedOver } from './received.ts';
import { closedForgotten, mintsAgain, unfencedJobs, unfencedSlot } from './slots.ts';

/** A planted bug, the statements that it may show by, and the first seed that shows it. */
interface Planted {
  readonly plant: Plant;
  readonly breaks: readonly string[];
  readonly seed: number;
}

/** Every planted bug by its name. A layer that joins the simulation puts its own beside these, in a file of its own. */
export const plants: Readonly<Record<string, Planted>> = {
  unfencedSlot: { plant: unfencedSlot, breaks: ['I8'], seed: 3 },
  mintsAgain: { plant: mintsAgain, breaks: ['I8', 'R8'], seed: 3 },
  closedForgotten: { plant: closedForgotten, breaks: ['I8'], seed: 3 },
  unfencedJobs: { plant: unfencedJobs, breaks: ['I8'], seed: 17 },
  sumNotAdjusted: { plant: sumNotAdjusted, breaks: ['I5'], seed: 1 },
  boundNotMerged: { plant: boundNotMerged, breaks: ['I5'], seed: 1 },
  feedRowStays: { plant: feedRowStays, breaks: ['R11'], seed: 1 },
  clockFollowsAll: { plant: clockFollowsAll, breaks: ['I11'], seed: 2 },
  deletesPassedOver: { plant: deletesPassedOver, breaks: ['I2', 'I3'], seed: 1 },
  fullDiskTaken: { plant: fullDiskTaken, breaks: ['I1'], seed: 2 },
  expectedOutside: { plant: expectedOutside, breaks: ['R6'], seed: 25 },
  staleReads: { plant: staleReads, breaks: ['R4'], seed: 1 },
};

export function plantNamed(name: string | undefined): Plant {
  if (name === undefined) return noPlant;
  const planted = plants[name];
  if (planted === undefined) throw new Error(`--plant ${name}: one of ${Object.keys(plants).join(', ')} is right`);
  return planted.plant;
}
