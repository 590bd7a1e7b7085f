import { assert } from '../core/errors.ts';

/** One part of a pattern: exactly these bytes (one char a byte), any one segment, or any number of segments, none too. */
export type Segment = { readonly kind: 'literal'; readonly text: string } | { readonly kind: 'any' } | { readonly kind: 'deep' };

/** A set of positions, a bit each: bit i stands before segment i, the highest bit behind the last segment. */
export type Positions = number;

/** Positions fit the 31 bits that JavaScript's operators leave positive. */
const segmentsMax = 30;

/**
 * A pattern as an automaton over its positions, all of them followed at once (Thompson's simulation, with sets as bits). It reads a
 * key segment by segment.
 */
export class Automaton {
  /** Where reading begins, with what can be reached by taking `**` as nothing. */
  readonly start: Positions;
  /** The segments that tell one word from another here; all others are alike. */
  readonly alphabet: readonly string[];
  readonly #end: Positions;
  readonly #deep: Positions;
  readonly #any: Positions;
  readonly #literals = new Map<string, Positions>();

  constructor(segments: readonly Segment[]) {
    assert(segments.length <= segmentsMax, `an automaton has at most ${segmentsMax} segments`);
    let any = 0;
    let deep = 0;
    for (const [i, segment] of segments.entries()) {
      const bit = 1 << i;
      if (segment.kind === 'any') any |= bit;
      else if (segment.kind === 'deep') deep |= bit;
      else this.#literals.set(segment.text, (this.#literals.get(segment.text) ?? 0) | bit);
    }
    this.#any = any;
    this.#deep = deep;
    this.#end = 1 << segments.length;
    this.alphabet = [...this.#literals.keys()];
    this.start = this.#withSkipped(1);
  }

  /** Where one more segment leads; undefined stands for every segment that is not in the alphabet. */
  step(from: Positions, segment: string | undefined): Positions {
    const literal = segment === undefined ? 0 : (this.#literals.get(segment) ?? 0);
    return this.#withSkipped(((from & (this.#any | literal)) << 1) | (from & this.#deep));
  }

  /** True where what was read so far is a match. */
  accepts(at: Positions): boolean {
    return (at & this.#end) !== 0;
  }

  /** True where whatever may follow is a match. */
  acceptsAll(at: Positions): boolean {
    return (at & this.#deep & (this.#end >> 1)) !== 0;
  }

  #withSkipped(at: Positions): Positions {
    for (let all = at; ;) {
      const more = all | ((all & this.#deep) << 1);
      if (more === all) return all;
      all = more;
    }
  }
}
