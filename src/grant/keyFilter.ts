import { type Key } from '../core/key.ts';
import { type Pattern } from './pattern.ts';

export interface FilterPattern {
  readonly pattern: Pattern;
  /** Of keys that it matches: whether they go, or stay. */
  readonly removes: boolean;
}

/** Patterns in order: of those that match a key the last one decides. A key that none matches goes. */
export class KeyFilter {
  readonly #lastFirst: readonly FilterPattern[];

  constructor(patterns: readonly FilterPattern[]) {
    this.#lastFirst = patterns.toReversed();
  }

  /** Patterns that a key may be matched against. */
  get patterns(): number {
    return this.#lastFirst.length;
  }

  keeps(key: Key): boolean {
    return this.#lastFirst.find(({ pattern }) => pattern.matches(key))?.removes === false;
  }
}
