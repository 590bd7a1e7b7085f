import { type LinkState } from '../network/link.ts';
import { type Stream } from '../kernel/streams.ts';
import { type World } from '../world.ts';

type Later = (ms: number, run: () => void) => void;

/** From each of some to each of others. */
export function linksBetween(world: World, from: readonly number[], to: readonly number[]): LinkState[] {
  return from.flatMap((a) => to.filter((b) => a !== b).map((b) => world.network.link(a, b)));
}

function indexes(world: World): number[] {
  return world.regions.map(({ index }) => index);
}

/** One direction, one pair both ways, all links of one region, or all. */
export function someLinks(world: World, random: Stream): LinkState[] {
  const [a = 0, b = 0] = random.shuffled(indexes(world));
  switch (random.below(4)) {
    case 0:
      return linksBetween(world, [a], [b]);
    case 1:
      return linksBetween(world, [a, b], [a, b]);
    case 2:
      return [...linksBetween(world, [a], indexes(world)), ...linksBetween(world, indexes(world), [a])];
    default:
      return linksBetween(world, indexes(world), indexes(world));
  }
}

/** Cuts the regions into two groups, in one direction or in both. */
export function isolate(world: World, random: Stream, later: Later): void {
  const all = random.shuffled(indexes(world));
  const size = 1 + random.below(Math.max(1, all.length - 1));
  const [left, right] = [all.slice(0, size), all.slice(size)];
  const links = [...linksBetween(world, left, right), ...(random.chance(0.6) ? linksBetween(world, right, left) : [])];
  for (const link of links) link.cut = true;
  later(random.around(8_000), () => {
    for (const link of links) link.cut = false;
  });
}

/** Cuts links one by one, and mends them one by one in another order. */
export function swizzle(world: World, random: Stream, later: Later): void {
  const links = random.shuffled(linksBetween(world, indexes(world), indexes(world))).slice(0, 1 + random.below(8));
  for (const link of links) {
    later(random.around(2_000), () => (link.cut = true));
  }
  let atMs = 10_000;
  for (const link of random.shuffled(links)) {
    atMs += random.around(1_000);
    later(atMs, () => (link.cut = false));
  }
}
