import { type Key } from '../core/key.ts';
import { segmentsOf, type Pattern } from './pattern.ts';

export interface FilterPattern {
  readonly pattern: Pattern;
  /** Of keys that it matches: whether they go, or stay. */
  readonly removes: boolean;
}

export interface FilterLook {
  readonly isKept: boolean;
  /** What it took, in looks at an entry's heads. */
  readonly cost: number;
}

/** Matching so many segments of a key against a pattern takes about as long as a look at an entry's heads. */
const segmentsPerLook = 16;

/** Patterns in order: of those that match a key the last one decides. A key that none matches goes. */
export class KeyFilter {
  readonly #lastFirst: readonly FilterPattern[];

  constructor(patterns: readonly FilterPattern[]) {
    this.#lastFirst = patterns.toReversed();
  }

  look(key: Key): FilterLook {
    const segments = segmentsOf(key);
    return {
      isKept: this.#lastFirst.find(({ pattern }) => pattern.matchesSegments(segments))?.removes === false,
      cost: this.#lastFirst.length * Math.ceil(segments.length / segmentsPerLook),
    };
  }
}
