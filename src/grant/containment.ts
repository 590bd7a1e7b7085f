import { type Automaton, type Positions, type Segment } from './automaton.ts';
import { grantLimits } from './limits.ts';

/** `undecided`: it would take more states than are allowed. */
export type Containment = 'contained' | 'wider' | 'undecided';

/**
 * Whether everything that the child's segments match is matched by the parent. The child's automaton is followed a position at a
 * time, beside the set of positions in which the parent may then be; where the child has come to its end and the
 * parent has not, there is a key that only the child matches. Of the parent's sets met at one position of the child only
 * the minimal ones count: what a set matches, a greater set matches too (antichains; De Wulf, Doyen, Henzinger, Raskin 2006).
 */
export function contains(parent: Automaton, child: readonly Segment[], statesMax: number = grantLimits.containmentStatesMax): Containment {
  const search = new Search(parent, child);
  search.begin();
  return search.run(statesMax);
}

class Search {
  readonly #parent: Automaton;
  readonly #child: readonly Segment[];
  /** What the child's wildcards may stand for, as far as the parent can tell segments apart. */
  readonly #words: readonly (string | undefined)[];
  /** The minimal sets of the parent that were met, by position of the child. */
  readonly #met: Positions[][];
  readonly #waiting: [at: number, parentAt: Positions][] = [];
  #states = 0;
  #isWider = false;

  constructor(parent: Automaton, child: readonly Segment[]) {
    this.#parent = parent;
    this.#child = child;
    this.#words = [...parent.alphabet, undefined];
    this.#met = Array.from({ length: child.length + 1 }, () => []);
  }

  /** The first segment. Nothing at all, and one empty segment, are no keys: it does not matter whether both are at their ends then. */
  begin(): void {
    const { start } = this.#parent;
    for (const at of this.#withSkipped(0)) {
      for (const word of this.#wordsAt(at)) {
        const next = this.#after(at);
        const parentNext = this.#parent.step(start, word);
        if (word !== '') this.#meet(next, parentNext);
        else for (const second of this.#withSkipped(next)) this.#read(second, parentNext);
      }
    }
  }

  run(statesMax: number): Containment {
    for (let next = this.#waiting.pop(); next !== undefined; next = this.#waiting.pop()) {
      if (this.#isWider) return 'wider';
      if (this.#states > statesMax) return 'undecided';
      this.#read(...next);
    }
    return this.#isWider ? 'wider' : 'contained';
  }

  /** One more segment at this position of the child, whatever it may be. */
  #read(at: number, parentAt: Positions): void {
    for (const word of this.#wordsAt(at)) this.#meet(this.#after(at), this.#parent.step(parentAt, word));
  }

  #wordsAt(at: number): readonly (string | undefined)[] {
    const segment = this.#child[at];
    if (segment === undefined) return [];
    return segment.kind === 'literal' ? [segment.text] : this.#words;
  }

  #after(at: number): number {
    return this.#child[at]?.kind === 'deep' ? at : at + 1;
  }

  /** The position, and those behind it that are reached by taking `**` as nothing. */
  *#withSkipped(from: number): Generator<number> {
    yield from;
    for (let at = from; this.#child[at]?.kind === 'deep'; at += 1) yield at + 1;
  }

  #meet(at: number, parentAt: Positions): void {
    if (this.#parent.acceptsAll(parentAt)) return;
    if (parentAt === 0) this.#isWider = true; // the child goes on to some end, from everywhere
    const met = this.#met[at];
    if (met === undefined || met.some((less) => (less & ~parentAt) === 0)) return;
    this.#met[at] = [...met.filter((more) => (parentAt & ~more) !== 0), parentAt];
    this.#states += 1;
    if (at === this.#child.length) this.#isWider ||= !this.#parent.accepts(parentAt);
    else this.#waiting.push([at, parentAt]);
    if (this.#child[at]?.kind === 'deep') this.#meet(at + 1, parentAt);
  }
}
