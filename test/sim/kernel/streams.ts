import { type Random } from '../../../src/core/ports.ts';
import { seededRandom } from '../../support.ts';

/** Chance for one purpose, with what a simulation draws from it. */
export interface Stream extends Random {
  /** True with this probability. */
  chance(probability: number): boolean;
  /** A whole number, 0 ≤ n < `below`. */
  below(below: number): number;
  /** Uniform in [least, greatest). */
  between(least: number, greatest: number): number;
  /** Exponentially distributed around `mean`, at most ten times that. */
  around(mean: number): number;
  pick<T>(items: readonly T[]): T;
  shuffled<T>(items: readonly T[]): T[];
}

/**
 * All chance of a run, from one seed. Each purpose has a stream by its name, so that who draws more shifts nobody else; a
 * name gives the same stream whenever it is asked for first.
 */
export class Streams {
  readonly #seed: number;
  readonly #streams = new Map<string, Stream>();

  constructor(seed: number) {
    this.#seed = seed;
  }

  of(name: string): Stream {
    const known = this.#streams.get(name);
    if (known !== undefined) return known;
    const stream = streamOf(seededRandom(hashOf(`${this.#seed}/${name}`)));
    this.#streams.set(name, stream);
    return stream;
  }
}

function streamOf(random: Random): Stream {
  const fraction = (): number => random.fraction();
  const below = (count: number): number => Math.floor(fraction() * count);
  return {
    fraction,
    bytes: (length) => random.bytes(length),
    below,
    chance: (probability) => fraction() < probability,
    between: (least, greatest) => least + fraction() * (greatest - least),
    around: (mean) => Math.min(10, -Math.log(1 - fraction())) * mean,
    pick: (items) => {
      const item = items[below(items.length)];
      if (item === undefined) throw new Error('there is nothing to pick from');
      return item;
    },
    shuffled: (items) => {
      const left = [...items];
      return items.flatMap(() => left.splice(below(left.length), 1));
    },
  };
}

/** FNV-1a, 32 bits. */
export function hashOf(text: string, start = 0x811c9dc5): number {
  let hash = start;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
