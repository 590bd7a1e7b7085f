import { type World } from '../world.ts';
import { type SimOptions } from '../options.ts';
import { type Stream } from '../kernel/streams.ts';
import { dayApart } from './dayApart.ts';
import { faults, tame, wild, type FaultKind, type SingleKind } from './kinds.ts';

const gapMs = 1_700;
const kindChance = 0.55;
const apartChance = 0.2;
const apartGapMs = 3_000;

/** Does harm until the signal: single faults, and in some runs beside them one that takes long. */
export async function nemesis(world: World, options: Pick<SimOptions, 'without' | 'also'>, signal: AbortSignal): Promise<void> {
  const kinds = kindsOf(world, options);
  world.kernel.note(`faults: ${kinds.kinds.join(' ')}`);
  await Promise.all([singleFaults(world, kinds, signal), daysApart(world, kinds, signal)]);
}

interface Kinds {
  readonly drawn: readonly SingleKind[];
  /** Those of them that come, in the form that was asked for. */
  readonly kinds: readonly FaultKind[];
  readonly formOf: (kind: SingleKind) => SingleKind;
  readonly random: Stream;
}

/** Each run draws the kinds that it has, so that runs differ in more than in the order of everything ("swarm testing", Groce et al., 2012). */
function kindsOf(world: World, { without, also }: Pick<SimOptions, 'without' | 'also'>): Kinds {
  const { streams } = world.kernel;
  const random = streams.of('nemesis');
  const wildOf = (kind: SingleKind): SingleKind | undefined => {
    const form = wild.get(kind);
    return form !== undefined && also.includes(form) ? form : undefined;
  };
  const formOf = (kind: SingleKind): SingleKind => wildOf(kind) ?? kind;
  const drawn = tame.filter((kind) => random.chance(kindChance) || also.includes(kind) || wildOf(kind) !== undefined);
  const isAsked = also.includes('dayApart');
  const left = [...without, ...leftOut(drawn, streams.of('left out')), ...(isAsked ? ['clockDay'] : [])];
  const single = drawn.filter((kind) => !left.includes(kind)).map(formOf);
  // By a stream of its own: all that other runs draw stays as it is.
  const isApart = (streams.of('days apart').chance(apartChance) || isAsked) && !single.includes('clockDay');
  const kinds = isApart && world.collects && !without.includes('dayApart') ? [...single, 'dayApart' as const] : single;
  return { drawn, kinds, formOf, random };
}

/** One after the other. */
async function singleFaults(world: World, { drawn, kinds, formOf, random }: Kinds, signal: AbortSignal): Promise<void> {
  const meanMs = gapMs * random.between(0.3, 2);
  for (let number = 0; ; number += 1) {
    await world.kernel.sleep(random.around(meanMs), '');
    if (signal.aborted) return;
    // A kind that is left out is drawn all the same, so that the others come as they would with it.
    const kind = drawn[random.below(drawn.length)];
    if (kind === undefined || !kinds.includes(formOf(kind))) continue;
    const form = formOf(kind);
    world.kernel.note(`fault: ${form}`);
    world.counts.add(`fault: ${form}`);
    faults[form](world, world.kernel.streams.of(`fault ${number} ${kind}`));
  }
}

/** While floors move. */
async function daysApart(world: World, { kinds }: Pick<Kinds, 'kinds'>, signal: AbortSignal): Promise<void> {
  if (!kinds.includes('dayApart')) return;
  const random = world.kernel.streams.of('days apart');
  for (;;) {
    await world.kernel.sleep(random.around(apartGapMs), '');
    if (signal.aborted) return;
    await dayApart(world, random);
  }
}

/**
 * What a cluster writes that begins anew by itself, where it should join, may be below the floor of others: then it never comes level. Lost members
 * that stay members hold the floor; where others join and their predecessors are removed it moves. And the only cluster that is left, with a clock
 * that is a day ahead, moves it to the present: whoever comes to it then is too old.
 */
function leftOut(drawn: readonly FaultKind[], random: Stream): FaultKind[] {
  const isLost = random.chance(0.5);
  const isDay = random.chance(0.5);
  const disks = drawn.filter((kind) => kind === 'diskLost' || kind === 'diskJoined');
  if (disks.length > 0 && isDay && drawn.includes('clockDay')) return disks;
  return disks.length === 2 ? ['clockDay', isLost ? 'diskJoined' : 'diskLost'] : disks.length === 1 ? ['clockDay'] : [];
}
