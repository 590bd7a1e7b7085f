import { MemoryDatabase } from '../../../src/store/memory/database.ts';
import { restore } from '../cluster/database.ts';
import { renew } from '../cluster/renewal.ts';
import { openAside, type Region, type RegionCopy } from '../cluster/region.ts';
import { type Stream } from '../kernel/streams.ts';
import { tells } from '../oracle/forks.ts';
import { type World } from '../world.ts';

type Later = (ms: number, run: () => void) => void;

const lookMs = 1_000;
const looksMax = 20;

/**
 * A copy is put back as an operator is told to: once, under an incarnation that nobody had after it, and renewed before it is started. Or he starts it too early, and that where all others can
 * tell it from its original: who heard nothing of the original since the copy was made cannot (M21), so that is waited for, a while.
 */
export function restoreAsTold(world: World, random: Stream, later: Later): void {
  const region = random.pick(world.regions);
  const copy = region.copy();
  const [waitMs, downMs] = [random.between(1_000, 30_000), random.around(3_000)];
  const isRenewedFirst = random.chance(0.5);
  const look = async (looks: number): Promise<void> => {
    const disks = world.regions.map(({ disk }) => disk);
    const isSafe = isRenewedFirst || (await isToldByAll(world, region, copy));
    if (world.isHealing || region.hasBeenRenewedSince(copy)) return;
    if (isSafe && world.regions.every(({ disk }, at) => disk === disks[at]) && mayBeRestored(world, region, copy)) {
      world.counts.add(isRenewedFirst ? 'restored from a copy and renewed' : 'restored from a copy');
      world.loseDisk(region, downMs, { copy, isRenewedFirst });
      if (isRenewedFirst) await renew(region, world);
    } else if (looks < looksMax) lookLater(lookMs, looks + 1);
  };
  const lookLater = (ms: number, looks: number): void => {
    later(ms, () => {
      look(looks).catch((error: unknown) => {
        world.kernel.fail(error);
      });
    });
  };
  lookLater(waitMs, 1);
}

/** Started too early, whoever heard whatever, and whatever became of the incarnations meanwhile. */
export function restoreUnheard(world: World, random: Stream, later: Later): void {
  const region = random.pick(world.regions);
  const copy = region.copy();
  later(random.between(1_000, 30_000), () => {
    if (mayBeRestored(world, region, copy)) world.loseDisk(region, random.around(3_000), { copy });
  });
}

/** By what their stores keep. */
async function isToldByAll({ regions, kernel }: World, region: Region, copy: RegionCopy): Promise<boolean> {
  const database = new MemoryDatabase();
  restore(database, copy);
  const store = openAside(database, kernel);
  const others = regions.filter((other) => other !== region).map((other) => other.openQuietly());
  const told = await store.read((ofCopy) => Promise.all(others.map((other) => other.read((snapshot) => tells(snapshot, ofCopy)))));
  return !told.includes(false);
}

/** It was filled, and is a member, or nobody removed it at least. */
export function isWhole({ own, isGone }: Region): boolean {
  return own !== undefined && !isGone;
}

/** While clusters are being filled, one that has been filled is left: two that wait for each other wait for ever, and an operator is told so. */
export function isWholeBeside({ regions }: World, lost: Region): boolean {
  const others = regions.filter((region) => region !== lost);
  return others.every(({ donor, isGone }) => donor === undefined && !isGone) || others.some(isWhole);
}

/** The same where a copy is of a cluster that was being filled: from one that is whole. And one of a cluster that has been replaced since must begin anew, from another. */
function mayBeRestored(world: World, region: Region, copy: RegionCopy): boolean {
  if (region.isOfAnother(copy) && !world.regions.some((other) => other !== region && isWhole(other))) return false;
  const donor = world.regions.find(({ name }) => name === copy.donor?.host);
  return !copy.isFilling || (donor !== undefined && isWhole(donor) && isWholeBeside(world, region));
}
