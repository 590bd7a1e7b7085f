import { type World } from '../world.ts';
import { type SimOptions } from '../options.ts';
import { type Stream } from '../kernel/streams.ts';
import { faults, tame, wild, type FaultKind } from './kinds.ts';

const gapMs = 1_700;
const kindChance = 0.55;

/**
 * Does harm, one fault after the other, until the signal. Each run draws the kinds that it has, so that runs differ in more than in
 * the order of everything ("swarm testing", Groce et al., 2012).
 */
export async function nemesis(world: World, { without, also }: Pick<SimOptions, 'without' | 'also'>, signal: AbortSignal): Promise<void> {
  const random = world.kernel.streams.of('nemesis');
  const wildOf = (kind: FaultKind): FaultKind | undefined => also.find((asked) => asked === wild.get(kind));
  const drawn = tame.filter((kind) => random.chance(kindChance) || also.includes(kind) || wildOf(kind) !== undefined);
  const left = [...without, ...leftOut(drawn, world.kernel.streams.of('left out'))];
  const kinds = drawn.filter((kind) => !left.includes(kind));
  world.kernel.note(`faults: ${kinds.map((kind) => wildOf(kind) ?? kind).join(' ')}`);
  const meanMs = gapMs * random.between(0.3, 2);
  for (let number = 0; ; number += 1) {
    await world.kernel.sleep(random.around(meanMs), '');
    if (signal.aborted) return;
    // A kind that is left out is drawn all the same, so that the others come as they would with it.
    const kind = drawn[random.below(drawn.length)];
    if (kind === undefined || !kinds.includes(kind)) continue;
    const form = wildOf(kind) ?? kind;
    world.kernel.note(`fault: ${form}`);
    world.counts.add(`fault: ${form}`);
    faults[form](world, world.kernel.streams.of(`fault ${number} ${kind}`));
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
