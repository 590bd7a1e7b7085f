import { limits } from '../../../src/core/limits.ts';
import { tableRange, tables } from '../../../src/store/keyspace.ts';
import { addressOf } from '../cluster/operator.ts';
import { type Region } from '../cluster/region.ts';
import { type Stream } from '../kernel/streams.ts';
import { QuietKeys } from '../load/quiet.ts';
import { type World } from '../world.ts';
import { linksBetween } from './links.ts';

const stepMs = 50;
const spreadMs = 2_000;
/** Floors move in steps of a part of a day. */
const dayAndStep = 1.1;
/** Lows are some seconds old. */
const longerMs = [10_000, 25_000] as const;
/** Who was cut off hears of nobody at once: it backs off, or waits for answers that never come. */
const heardMs = [4_000, 14_000] as const;

/**
 * A region is cut off for so long that a floor would pass what it deletes meanwhile, did anybody forget it. Then the members change while that comes in late: it is heard by one of
 * the others and then lost, or another region is filled anew, and stands still in the midst of that.
 */
export async function dayApart(world: World, random: Stream): Promise<void> {
  const [away, other, ...rest] = random.shuffled(world.regions);
  if (away === undefined || other === undefined || !world.regions.every(isWhole)) return;
  world.kernel.note('fault: dayApart');
  world.counts.add('fault: dayApart');
  const apart = new Apart(world);
  const keys = new QuietKeys(world);
  await keys.set(away);
  await apart.wait(random.around(spreadMs));
  apart.set([away], [other, ...rest], true);
  const longMs = world.settings.mesh.dayMs * dayAndStep + limits.staleMsMax + random.between(...longerMs);
  const [isThrough] = await Promise.all([apart.wait(longMs), keys.delete(away)]);
  if (isThrough && world.regions.every(isWhole)) {
    const parts = { apart, away, other, rest, donor: random.pick(rest.length === 0 ? [other] : rest) };
    await (random.chance(0.5) ? heardByOne(world, random, parts) : filledMeanwhile(world, random, parts));
  }
  apart.end();
}

interface Parts {
  readonly apart: Apart;
  readonly away: Region;
  readonly other: Region;
  readonly rest: readonly Region[];
  /** Who fills the one that is lost. */
  readonly donor: Region;
}

/** What it wrote is known to one member alone when it is lost, and that one is apart from the others until they have heard of it. */
async function heardByOne(world: World, random: Stream, { apart, away, other, rest, donor }: Parts): Promise<void> {
  apart.set([other], rest, true);
  apart.set([away], [other], false);
  await apart.wait(random.between(...heardMs));
  if (world.isHealing || world.scopes?.mayFill(donor.index, away.index) === false) return;
  const downMs = random.chance(0.5) ? random.around(3_000) : random.between(10_000, 30_000);
  world.loseDisk(away, downMs, { donor: { host: addressOf(donor), port: 1 } });
  apart.set([away], [other], true);
  apart.set([away], rest, false);
  await apart.wait(random.between(2_000, 8_000));
  // Some hear it, and are not heard yet.
  if (random.chance(0.5)) apart.setOneWay(rest, [other], false);
  await apart.wait(random.between(1_000, 8_000));
}

/** What it wrote comes in while another region has some of what its donor has, and not all. */
async function filledMeanwhile(world: World, random: Stream, { apart, away, other, rest, donor }: Parts): Promise<void> {
  if (rest.length === 0 || world.scopes?.mayFill(donor.index, other.index) === false) return;
  const heads = countOf(donor);
  world.loseDisk(other, random.around(500), { donor: { host: addressOf(donor), port: 1 } });
  const some = random.between(0.2, 0.9) * heads;
  while (!world.isHealing && countOf(other) < some) await apart.wait(stepMs);
  const others = world.regions.filter((each) => each !== other);
  apart.set([other], others, true);
  apart.set([away], [...rest], false);
  await apart.wait(world.settings.mesh.dayMs * random.between(0.4, 0.9));
}

/** It was filled, and nobody removed it. */
function isWhole({ own, isGone }: Region): boolean {
  return own !== undefined && !isGone;
}

/** Keys that it holds. */
function countOf({ database }: Region): number {
  const { start, end } = tableRange(tables.head);
  return database.view().range(start, end, Infinity, 'forward').length;
}

/** Links that one fault keeps cut, until the world is healed. */
class Apart {
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  set(some: readonly Region[], others: readonly Region[], isApart: boolean): void {
    this.setOneWay(some, others, isApart);
    this.setOneWay(others, some, isApart);
  }

  setOneWay(from: readonly Region[], to: readonly Region[], isApart: boolean): void {
    const [a, b] = [from, to].map((regions) => regions.map(({ index }) => index)) as [number[], number[]];
    if (!this.#world.isHealing) for (const link of linksBetween(this.#world, a, b)) link.apart = isApart;
  }

  /** False where the world is healed before. */
  async wait(ms: number): Promise<boolean> {
    const { kernel } = this.#world;
    const endMs = kernel.nowMs + ms;
    while (kernel.nowMs < endMs && !this.#world.isHealing) await kernel.sleep(Math.min(1_000, endMs - kernel.nowMs), '');
    return !this.#world.isHealing;
  }

  end(): void {
    this.set(this.#world.regions, this.#world.regions, false);
  }
}
