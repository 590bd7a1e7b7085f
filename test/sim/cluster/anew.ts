import { decodeRequest } from '../../../src/aae/frame.ts';
import { equalBytes } from '../../../src/core/bytes.ts';
import { hasCode } from '../../../src/core/errors.ts';
import { type Frontier } from '../../../src/core/frontier.ts';
import { physicalMsOf } from '../../../src/core/stamp.ts';
import { decodeFeedAsk } from '../../../src/mesh/feedMessage.ts';
import { peerKey } from '../../../src/mesh/peers.ts';
import { partOf } from '../../../src/mesh/words.ts';
import { headKey } from '../../../src/replica/change.ts';
import { readEnded } from '../../../src/replica/ended.ts';
import { readFloor } from '../../../src/replica/floor.ts';
import { readFrontier } from '../../../src/replica/frontier.ts';
import { type ClusterIdentity } from '../../../src/server/identity.ts';
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
  const behindMs = region.joinHasEnded ? Infinity : Math.max(...region.refusals, region.refusedMs);
  if (behindMs <= 0) {
    throw new Violation('M25', `region ${region.index} must begin anew, and is ${-behindMs} ms above where all floors may be`);
  }
  world.kernel.note(`region ${region.index} begins anew: ${behindMs} ms below a floor`);
  world.counts.add('begun anew');
  world.loseDisk(region, downMs, { donor: { host: donor.name, port: 1 } });
}

/** It may hear some 10 s late that it is refused no more: what counts is whether it was too old at any look since it is. */
async function lookAt(region: Region, world: World): Promise<void> {
  const own = region.openedAs;
  if (!isRefused(region)) region.isRefusedNoMore();
  else if (region.isGone) region.refusals.push(Infinity);
  else if (own === undefined) region.refusals.push(0);
  else {
    const frontier = await region.openQuietly().read((snapshot) => readFrontier(snapshot, partOf(own)));
    region.refusals.push(await behindFloors(region, world, frontier));
  }
}

/**
 * A peer refused a question, as of one that is too old. It judged by what stands in the question: until the next look the region may have closed its slots, and be too old no more,
 * while the question that tells it so still waits for its answer.
 */
export async function noteRefusal(region: Region, world: World, question: Uint8Array): Promise<void> {
  const { disk } = region;
  const { frontier } = decodeFeedAsk(decodeRequest(question, world.digests, 'feed').body, world.digests.kind);
  const behindMs = await behindFloors(region, world, frontier);
  if (region.disk === disk) region.refusedMs = Math.max(region.refusedMs, behindMs);
}

function isRefused({ hosts }: Region): boolean {
  return hosts.some(({ fault }) => hasCode(fault, 'must_bootstrap'));
}

/** How far the floors of others are above what a cluster has of those that it heard of, itself among them. */
async function behindFloors(region: Region, { regions }: World, frontier: Frontier): Promise<number> {
  const others = regions.filter((other) => other !== region && !isRefused(other));
  const floors = await Promise.all(others.map((other) => other.openQuietly().read(readFloor)));
  const counted = [...regions.flatMap(({ openedAs }) => openedAs ?? []), ...(await notSettled(region, regions))];
  const has = counted.flatMap((who) => {
    const part = frontier.get(partOf(who));
    return part === undefined ? [] : [part.base, ...part.slots.values()].map(physicalMsOf).filter((ms) => ms > 0);
  });
  return Math.max(...floors.map(physicalMsOf)) - (Math.min(...has) - slackMs);
}

/** What other regions were before, as far as a region's data name it: its low counts these slots too until it knows that the removal is settled (M30). */
async function notSettled(region: Region, regions: readonly Region[]): Promise<ClusterIdentity[]> {
  const view = region.database.view();
  const ended = await region.openQuietly().read(readEnded);
  const isSettled = (clusterId: Uint8Array): boolean => ended.some((each) => each.settled && equalBytes(each.clusterId, clusterId));
  const gone = regions.flatMap(({ lost, leftBehind }) => [...lost, ...leftBehind]);
  return gone.filter(({ clusterId }) => view.get(headKey(peerKey(clusterId))) !== undefined && !isSettled(clusterId));
}
