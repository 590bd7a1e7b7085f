import { type World } from '../world.ts';
import { type SimOptions } from '../options.ts';
import { faultKinds, faults, notYet } from './kinds.ts';

const gapMs = 1_700;
const kindChance = 0.55;

/**
 * Does harm, one fault after the other, until the signal. Each run draws the kinds that it has, so that runs differ in more than in
 * the order of everything ("swarm testing", Groce et al., 2012).
 */
export async function nemesis(world: World, { without, also }: Pick<SimOptions, 'without' | 'also'>, signal: AbortSignal): Promise<void> {
  const random = world.kernel.streams.of('nemesis');
  const drawn = faultKinds.filter((kind) => random.chance(kindChance) || also.includes(kind));
  const kinds = drawn.filter((kind) => !without.includes(kind) && (!notYet.includes(kind) || also.includes(kind)));
  world.kernel.note(`faults: ${kinds.join(' ')}`);
  const meanMs = gapMs * random.between(0.3, 2);
  for (let number = 0; ; number += 1) {
    await world.kernel.sleep(random.around(meanMs), '');
    if (signal.aborted) return;
    // A kind that is left out is drawn all the same, so that the others come as they would with it.
    const kind = drawn[random.below(drawn.length)];
    if (kind === undefined || !kinds.includes(kind)) continue;
    world.kernel.note(`fault: ${kind}`);
    world.counts.add(`fault: ${kind}`);
    faults[kind](world, world.kernel.streams.of(`fault ${number} ${kind}`));
  }
}
