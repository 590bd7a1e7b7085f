import { joinedAtFirstAnswer, joinedThoughMissed } from './exchanges.ts';
import {
  cursorByVersions,
  endReadLater,
  frontierBeforeEnd,
  joinedWhileParked,
  lastOfPageLost,
  mintedIsClosed,
  movedBeforeTaken,
  partitionsReadApart,
  skipsOtherSlots,
  undetectedRestore,
} from './feed.ts';
import { floorByClock, floorOfOwnLow, takenBelowFloor } from './floors.ts';
import { expectedOutside, fullDiskTaken, staleReads } from './answers.ts';
import { type SimOptions } from '../options.ts';
import { boundNotMerged, feedRowStays, snapshotSplit, sumNotAdjusted } from './derived.ts';
import {
  collectedOverSibling,
  forkIgnored,
  joinedOutsideScope,
  judgedOnce,
  ledgerReadApart,
  sweepLeftOut,
  uncheckedInExchanges,
  unknownDropped,
} from './grants.ts';
import { joinerCountedEarly, unsettledRemoval } from './members.ts';
import { noPlant, type Plant } from './plant.ts';
import { clockFollowsAll, deletesPassedOver } from './received.ts';
import { closedForgotten, mintsAgain, slotBaseIgnored, unfencedJobs, unfencedSlot } from './slots.ts';

/** A planted bug, the statements that it may show by (also I2, where a cluster that lacks something finds that out and never becomes ready), and the first seed that shows it, in a run of `smallRun`. */
interface Planted {
  readonly plant: Plant;
  readonly breaks: readonly string[];
  readonly seed: number;
  /** What that run has instead. */
  readonly run?: Partial<SimOptions>;
}

/** Enough to find each of them, and quick. */
export const smallRun = { operations: 200, regions: 3, authority: 'open' } as const;

/** Little else that holds floors back, which are to pass what comes in late. */
const membersChange = {
  operations: 300,
  instances: 1,
  also: ['dayApart'],
  without: ['diskLost', 'diskJoined', 'clockJump', 'clockDrift', 'clockFreeze', 'partition', 'swizzle', 'loss', 'clog'],
} as const;

const granted = { authority: 'granted' } as const;

/**
 * Every planted bug by its name. A layer that joins the simulation puts its own beside these, in a file of its own.
 *
 * What cannot be planted, for nothing comes of it: a page that is applied twice, or whose place goes back since two instances follow, is read
 * again from where its cluster has been; a floor that is not adopted from others is reached by oneself, and until then less is taken away.
 */
export const plants: Readonly<Record<string, Planted>> = {
  unfencedSlot: { plant: unfencedSlot, breaks: ['I8'], seed: 2 },
  mintsAgain: { plant: mintsAgain, breaks: ['I8', 'R8'], seed: 3 },
  closedForgotten: { plant: closedForgotten, breaks: ['I8'], seed: 2 },
  unfencedJobs: { plant: unfencedJobs, breaks: ['I8'], seed: 15, run: { regions: 1, instances: 4, also: ['pause'] } },
  sumNotAdjusted: { plant: sumNotAdjusted, breaks: ['I5'], seed: 1 },
  boundNotMerged: { plant: boundNotMerged, breaks: ['I5'], seed: 1 },
  snapshotSplit: { plant: snapshotSplit, breaks: ['I5'], seed: 20 },
  feedRowStays: { plant: feedRowStays, breaks: ['R11'], seed: 1 },
  clockFollowsAll: { plant: clockFollowsAll, breaks: ['I11'], seed: 2 },
  deletesPassedOver: { plant: deletesPassedOver, breaks: ['I7'], seed: 1 },
  fullDiskTaken: { plant: fullDiskTaken, breaks: ['I1'], seed: 11 },
  expectedOutside: { plant: expectedOutside, breaks: ['R6'], seed: 60, run: { operations: 300, regions: 1, instances: 4 } },
  staleReads: { plant: staleReads, breaks: ['R4'], seed: 1 },
  frontierBeforeEnd: { plant: frontierBeforeEnd, breaks: ['I7'], seed: 2 },
  endReadLater: { plant: endReadLater, breaks: ['I7'], seed: 1 },
  partitionsReadApart: { plant: partitionsReadApart, breaks: ['I7'], seed: 85 },
  mintedIsClosed: { plant: mintedIsClosed, breaks: ['I7'], seed: 12 },
  skipsOtherSlots: { plant: skipsOtherSlots, breaks: ['I7'], seed: 2 },
  cursorByVersions: { plant: cursorByVersions, breaks: ['I7'], seed: 2 },
  lastOfPageLost: { plant: lastOfPageLost, breaks: ['I7'], seed: 1 },
  undetectedRestore: { plant: undetectedRestore, breaks: ['I7'], seed: 89, run: { also: ['diskRestored'] } },
  movedBeforeTaken: { plant: movedBeforeTaken, breaks: ['I7'], seed: 4 },
  joinedWhileParked: { plant: joinedWhileParked, breaks: ['I7'], seed: 9 },
  joinedAtFirstAnswer: { plant: joinedAtFirstAnswer, breaks: ['I7'], seed: 25 },
  joinedThoughMissed: { plant: joinedThoughMissed, breaks: ['I2', 'I7'], seed: 6 },
  slotBaseIgnored: {
    plant: slotBaseIgnored,
    breaks: ['I7'],
    seed: 104,
    run: { regions: 2, instances: 3, also: ['clockJump', 'crash'], without: ['diskLost', 'diskJoined', 'clockDay', 'storeAway'] },
  },
  // Whoever such a floor leaves behind finds that out, and takes no part any more: it never comes level (I2).
  floorOfOwnLow: { plant: floorOfOwnLow, breaks: ['I2', 'I3', 'I7', 'M25'], seed: 5 },
  floorByClock: { plant: floorByClock, breaks: ['I2', 'I3', 'I7', 'M25'], seed: 1 },
  takenBelowFloor: {
    plant: takenBelowFloor,
    breaks: ['I3'],
    seed: 1,
    run: { without: ['diskLost'], also: ['clog', 'duplication', 'pause'] },
  },
  unsettledRemoval: { plant: unsettledRemoval, breaks: ['I1', 'I3'], seed: 11, run: membersChange },
  joinerCountedEarly: { plant: joinerCountedEarly, breaks: ['I1', 'I3'], seed: 34, run: membersChange },
  sweepLeftOut: { plant: sweepLeftOut, breaks: ['I2', 'I4'], seed: 1, run: granted },
  ledgerReadApart: { plant: ledgerReadApart, breaks: ['I4', 'R4', 'R6'], seed: 1, run: granted },
  uncheckedInExchanges: { plant: uncheckedInExchanges, breaks: ['I4', 'K3'], seed: 1, run: granted },
  unknownDropped: { plant: unknownDropped, breaks: ['I7', 'K3'], seed: 1, run: granted },
  joinedOutsideScope: { plant: joinedOutsideScope, breaks: ['I7'], seed: 3, run: { authority: 'narrow' } },
  judgedOnce: { plant: judgedOnce, breaks: ['I4'], seed: 1, run: granted },
  forkIgnored: { plant: forkIgnored, breaks: ['I2', 'I4'], seed: 17, run: { ...granted, operations: 500, regions: 2 } },
  collectedOverSibling: { plant: collectedOverSibling, breaks: ['I3', 'I5', 'I6', 'R11'], seed: 1, run: granted },
};

export function plantNamed(name: string | undefined): Plant {
  if (name === undefined) return noPlant;
  const planted = plants[name];
  if (planted === undefined) throw new Error(`--plant ${name}: one of ${Object.keys(plants).join(', ')} is right`);
  return planted.plant;
}
