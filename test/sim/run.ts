import { physicalMsOf } from '../../src/core/stamp.ts';
import { readFloor } from '../../src/replica/floor.ts';
import { epochMs } from './kernel/clock.ts';
import { Violation } from './kernel/kernel.ts';
import { withBans } from './kernel/bans.ts';
import { operate } from './cluster/operator.ts';
import { Client } from './load/client.ts';
import { nemesis } from './nemesis/nemesis.ts';
import { type SimOptions } from './options.ts';
import { grantors } from './grants/grantors.ts';
import { writers } from './grants/writers.ts';
import { checkHealed, checkHeld, checkTree, difference } from './oracle/final.ts';
import { unsettled } from './oracle/grantedFinal.ts';
import { type Plant } from './plants/plant.ts';
import { type RunReport } from './report.ts';
import { World } from './world.ts';

const startMs = 4_000;
const treeCheckMs = 15_000;
const frontierCheckMs = 1_000;
/** Within this, a whole world without faults must have become one again. */
const healMsMax = 120_000;
const pollMs = 1_000;
const clientsPerInstance = 1;

/** Runs one seed to its end. Never rejects: what goes wrong is the report's violation. */
export async function runSeed(options: SimOptions, plant?: Plant): Promise<RunReport> {
  const world = new World(options, plant);
  const { kernel, counts } = world;
  let healedMs = 0;
  const failed = (error: unknown): void => {
    kernel.fail(error);
  };
  process.on('unhandledRejection', failed);
  const { stackTraceLimit } = Error;
  // Where an error was made is told by a replay; to find it out for each that a run makes takes a good part of its time.
  if (options.print === undefined) Error.stackTraceLimit = 0;
  let violation: RunReport['violation'] = null;
  try {
    await withBans(() =>
      kernel.run(async () => {
        healedMs = await phases(world, options);
      }),
    );
  } catch (error) {
    violation = described(error);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    process.off('unhandledRejection', failed);
  }
  return {
    seed: options.seed,
    violation,
    hash: kernel.trace.hash,
    events: kernel.events,
    virtualMs: kernel.nowMs,
    healedMs,
    counts: counts.toObject(),
  };
}

async function phases(world: World, options: SimOptions): Promise<number> {
  const { kernel } = world;
  for (const host of world.hosts()) host.start();
  await kernel.sleep(startMs, 'safety phase');
  const [faultsEnd, end] = [new AbortController(), new AbortController()];
  const looked = [checkFrontiers(world, end.signal), operate(world, end.signal)];
  const harm = nemesis(world, options, faultsEnd.signal);
  const looking = checkTreesNowAndThen(world, faultsEnd.signal);
  await load(world, options.operations, 'safety');
  faultsEnd.abort();
  kernel.note('healing phase');
  world.heal();
  const [healedMs] = await Promise.all([untilEqual(world), harm, looking]);
  await untilEqual(world); // while the last faults ended, records of members may have been settled
  await checkHealed(world.regions, world);
  await collection(world, Math.ceil(options.operations / 10));
  end.abort();
  await Promise.all(looked);
  return healedMs;
}

/** Clients that share so many operations, until all are done; in a granted mesh beside those who give, revoke and write themselves. */
async function load(world: World, operations: number, phase: string): Promise<void> {
  let taken = 0;
  const done = new AbortController();
  const mesh = world.granted?.mesh;
  const beside = mesh === undefined ? [] : [grantors, writers].map((work) => work(world, mesh, done.signal));
  const clients = world
    .hosts()
    .flatMap((_, index) => Array.from({ length: clientsPerInstance }, (_unused, more) => new Client(world, `${phase} ${index}.${more}`)));
  await Promise.all(clients.map((client) => client.run(() => (taken++ < operations ? world.nextOperation() : undefined))));
  done.abort();
  if (beside.length > 0) await Promise.all(beside);
}

/** I2: within the bound. */
async function untilEqual(world: World): Promise<number> {
  const { kernel, regions } = world;
  const beganMs = kernel.nowMs;
  for (;;) {
    await kernel.sleep(pollMs, 'are all equal?');
    const differing = world.isAllUp() ? await difference(regions, world.scopes) : 'not all instances are up';
    const parked = await world.parkedCount();
    const toCome = world.granted === undefined ? undefined : unsettled(regions, world.granted);
    if (differing === undefined && parked === 0 && toCome === undefined) return kernel.nowMs - beganMs;
    if (kernel.nowMs - beganMs > healMsMax) {
      throw new Violation(
        differing === undefined && parked === 0 ? (toCome?.invariant ?? 'I2') : 'I2',
        `${healMsMax / 1_000} s after the last fault ${parked} writes are parked, and: ${differing ?? toCome?.what ?? 'all is equal'}`,
      );
    }
  }
}

/** I5, now and then, while everything goes wrong. */
async function checkTreesNowAndThen(world: World, signal: AbortSignal): Promise<void> {
  for (;;) {
    await world.kernel.sleep(treeCheckMs, '');
    if (signal.aborted) return;
    for (const region of world.regions) if (region.own !== undefined) await checkTree(region, world.digests);
  }
}

/** I7, again and again. */
async function checkFrontiers(world: World, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    for (const region of world.regions) {
      await world.frontiers.check(region);
      if (world.scopes !== undefined) await checkHeld(region, world.scopes);
    }
    await world.kernel.sleep(frontierCheckMs, '');
  }
}

/** Clients go on while floors pass what was deleted, and clusters collect it. */
async function collection(world: World, operations: number): Promise<void> {
  const { kernel } = world;
  await load(world, operations, 'collection');
  world.granted?.mesh.settle();
  if (world.collects) {
    const untilMs = epochMs + kernel.nowMs + world.besidesMs;
    await floorsPass(world, untilMs);
  }
  await untilEqual(world);
  await checkHealed(world.regions, world);
}

/** Every floor passes a time; within a day, what it takes to close and tell, and the horizon. */
async function floorsPass({ kernel, regions, settings, counts }: World, untilMs: number): Promise<void> {
  const beganMs = kernel.nowMs;
  for (;;) {
    const floors = await Promise.all(regions.map((region) => region.openQuietly().read(readFloor)));
    if (floors.every((floor) => physicalMsOf(floor) > untilMs)) break;
    if (kernel.nowMs - beganMs > settings.mesh.dayMs * 2 + healMsMax) {
      throw new Violation(
        'liveness',
        `floors are at ${floors.map((floor) => physicalMsOf(floor) - untilMs).join(', ')} ms of what they must pass`,
      );
    }
    await kernel.sleep(pollMs, 'have all floors passed?');
  }
  counts.add('floors have passed everything');
}

function described(error: unknown): RunReport['violation'] {
  const stack = stackOf(error);
  if (error instanceof Violation) return { invariant: error.invariant, message: error.message, stack };
  return { invariant: 'bug', message: String(error), stack };
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return `${error.stack ?? String(error)}${error.cause === undefined ? '' : `\ncaused by ${stackOf(error.cause)}`}`;
}
