import { noPlant, type Plant } from './plant.ts';

/** A planted bug, the statement that it breaks, and a seed that shows it. */
interface Planted {
  readonly plant: Plant;
  readonly breaks: readonly string[];
  readonly seed: number;
}

/** Every planted bug by its name. */
const plants: Readonly<Record<string, Planted>> = {};

export function plantNamed(name: string | undefined): Plant {
  if (name === undefined) return noPlant;
  const planted = plants[name];
  if (planted === undefined) throw new Error(`--plant ${name}: one of ${Object.keys(plants).join(', ')} is right`);
  return planted.plant;
}
