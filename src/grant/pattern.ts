import { toLatin1 } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { type Key } from '../core/key.ts';
import { Automaton, type Segment } from './automaton.ts';
import { contains, type Containment } from './containment.ts';
import { grantLimits } from './limits.ts';

/** Which keys a grant is about: segments between slashes, `*` for any one segment, `**` for any number of them. */
export class Pattern {
  readonly bytes: Uint8Array;
  readonly #segments: readonly Segment[];
  readonly #automaton: Automaton;

  private constructor(bytes: Uint8Array, segments: readonly Segment[]) {
    this.bytes = bytes;
    this.#segments = segments;
    this.#automaton = new Automaton(segments);
  }

  /** The bytes are taken over. Errors: `malformed`, `too_large`. */
  static parse(bytes: Uint8Array): Pattern {
    if (bytes.length === 0) throw new GkvError('malformed', 'a pattern is empty: no key would match it');
    atMost(bytes.length, grantLimits.patternBytesMax, 'bytes');
    const segments = segmentsOf(bytes).map(parseSegment);
    atMost(segments.length, grantLimits.patternSegmentsMax, 'segments');
    atMost(segments.filter(({ kind }) => kind === 'deep').length, grantLimits.patternDeepMax, 'segments **');
    return new Pattern(bytes, segments);
  }

  matches(key: Key): boolean {
    return this.matchesSegments(segmentsOf(key));
  }

  /** Of a key that is matched against several patterns. */
  matchesSegments(segments: readonly string[]): boolean {
    let at = this.#automaton.start;
    for (const segment of segments) {
      at = this.#automaton.step(at, segment);
      if (at === 0) return false;
    }
    return this.#automaton.accepts(at);
  }

  /** Whether every key that the other matches is matched here. */
  contains(other: Pattern): Containment {
    return contains(this.#automaton, other.#segments);
  }

  /** The bytes before its `**`, if that is its last segment and all others are literal: its keys are two ranges. */
  get literalPrefix(): Uint8Array | undefined {
    const before = this.#segments.slice(0, -1);
    if (this.#segments.at(-1)?.kind !== 'deep' || before.some(({ kind }) => kind !== 'literal')) return undefined;
    return this.bytes.subarray(0, this.bytes.length - deepText.length);
  }
}

const deepText = '**';

/** How many segments a key has, without taking it apart. */
export function countSegments(key: Key): number {
  let count = 1;
  for (const byte of key) if (byte === slash) count += 1;
  return count;
}

const slash = 0x2f;

/** What lies between slashes, one char a byte. */
export function segmentsOf(bytes: Uint8Array): string[] {
  return toLatin1(bytes).split('/');
}

function parseSegment(text: string): Segment {
  if (text === '*') return { kind: 'any' };
  if (text === deepText) return { kind: 'deep' };
  if (text.includes('*')) {
    throw new GkvError('malformed', `pattern segment ${JSON.stringify(text.slice(0, 40))}: * and ** stand for whole segments alone`);
  }
  return { kind: 'literal', text };
}

function atMost(count: number, max: number, what: string): void {
  if (count > max) throw new GkvError('too_large', `a pattern has ${count} ${what}: at most ${max} are allowed`);
}
