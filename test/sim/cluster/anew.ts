import { hasCode } from '../../../src/core/errors.ts';
import { physicalMsOf } from '../../../src/core/stamp.ts';
import { partOf } from '../../../src/mesh/words.ts';
import { readFloor } from '../../../src/replica/floor.ts';
import { readFrontier } from '../../../src/replica/frontier.ts';
import { Violation } from '../kernel/kernel.ts';
import { type World } from '../world.ts';
import { type Region } from './region.ts';

/** Between a version and the stamp under which it was accepted lies less than this. */
const slackMs = 15_000;
const downMs = 1_000;
/** Nobody empties a store for what is over at the next look. */
const refusalsMin = 2;

/**
 * As an operator is told to: a cluster that is refused as too old (M25) is stopped, and goes on from an empty store that is filled from one that is not.
 * What only it had is lost. That a cluster is told to do so must have a reason that is seen from outside: it is too old, or it was removed (M28), and a copy of it was restored.
 * One that was being filled for too long begins anew too.
 */
export async function beginAnewWhereTooOld(region: Region, world: World): Promise<void> {
  const { disk } = region;
  await lookAt(region, world);
  if (region.disk !== disk) return;
  if (region.refusals.length < refusalsMin && !region.joinHasEnded) return;
  const donor = world.regions.find(
    (other) =>
      other !== region &&
      other.own !== undefined &&
      !other.isGone &&
      !isRefused(other) &&
      world.scopes?.mayFill(other.index, region.index) !== false,
  );
  if (donor === undefined) return;
  const behindMs = region.joinHasEnded ? Infinity : Math.max(...region.refusals);
  if (behindMs <= 0) {
    throw new Violation('M25', `region ${region.index} must begin anew, and is ${-behindMs} ms above where all floors may be`);
  }
  world.kernel.note(`region ${region.index} begins anew: ${behindMs} ms below a floor`);
  world.counts.add('begun anew');
  world.loseDisk(region, downMs, { donor: { host: donor.name, port: 1 } });
}

/** It may hear some 10 s late that it is refused no more: what counts is whether it was too old at any look since it is. */
async function lookAt(region: Region, world: World): Promise<void> {
  if (!isRefused(region)) region.refusals = [];
  else region.refusals.push(region.isGone ? Infinity : await behindFloors(region, world));
}

function isRefused({ hosts }: Region): boolean {
  return hosts.some(({ fault }) => hasCode(fault, 'must_bootstrap'));
}

/** How far the floors of others are above what a cluster has of those that it heard of, itself among them. */
async function behindFloors(region: Region, { regions }: World): Promise<number> {
  const own = region.openedAs;
  if (own === undefined) return 0;
  const others = regions.filter((other) => other !== region && !isRefused(other));
  const floors = await Promise.all(others.map((other) => other.openQuietly().read(readFloor)));
  const frontier = await region.openQuietly().read((snapshot) => readFrontier(snapshot, partOf(own)));
  const has = regions.flatMap((each) => {
    const who = each.openedAs;
    const part = who && frontier.get(partOf(who));
    return part === undefined ? [] : [part.base, ...part.slots.values()].map(physicalMsOf).filter((ms) => ms > 0);
  });
  return Math.max(...floors.map(physicalMsOf)) - (Math.min(...has) - slackMs);
}
