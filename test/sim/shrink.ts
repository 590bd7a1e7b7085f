import { tame } from './nemesis/kinds.ts';
import { type SimOptions } from './options.ts';
import { type Plant } from './plants/plant.ts';
import { runSeed } from './run.ts';

/** Looks for the smallest run of a failing seed that still breaks the same statement. */
export async function shrink(options: SimOptions, plant: Plant, say: (line: string) => void): Promise<SimOptions> {
  const { violation } = await runSeed(options, plant);
  if (violation === null) throw new Error(`seed ${options.seed} does not fail: there is nothing to shrink`);
  let least = options;
  const stillFails = async (smaller: Partial<SimOptions>): Promise<boolean> => {
    const tried = { ...least, ...smaller };
    const report = await runSeed(tried, plant);
    if (report.violation?.invariant !== violation.invariant) return false;
    say(`still fails with ${JSON.stringify(smaller)}`);
    least = tried;
    return true;
  };
  for (let step = Math.floor(least.operations / 2); step >= 1; step = Math.floor(step / 2)) {
    while (least.operations > step && (await stillFails({ operations: least.operations - step })));
  }
  while (least.regions > 1 && (await stillFails({ regions: least.regions - 1 })));
  while (least.instances > 1 && (await stillFails({ instances: least.instances - 1 })));
  const mayCome = [...tame, 'dayApart' as const].filter((kind) => !least.without.includes(kind));
  for (const kind of mayCome) await stillFails({ without: [...least.without, kind] });
  return least;
}
