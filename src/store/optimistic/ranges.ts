import { type Text } from './text.ts';

/** Half-open, `start` < `end`. */
export interface Span {
  readonly start: Text;
  readonly end: Text;
}

/** Index of the first element that is not less than `key`, in ascending `sorted`. */
export function lowerBound(sorted: readonly Text[], key: Text): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? '') < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A set of keys made of spans: disjoint, ascending, never adjacent. */
export class RangeSet {
  readonly #spans: Span[] = [];

  get spans(): readonly Span[] {
    return this.#spans;
  }

  add({ start, end }: Span): void {
    const from = this.#firstEndingAtOrAfter(start);
    let to = from;
    let merged = { start, end };
    for (let span = this.#spans[to]; span !== undefined && span.start <= end; span = this.#spans[++to]) {
      merged = { start: span.start < merged.start ? span.start : merged.start, end: span.end > end ? span.end : end };
    }
    this.#spans.splice(from, to - from, merged);
  }

  has(key: Text): boolean {
    if (this.#spans.length === 0) return false;
    let at = this.#firstEndingAtOrAfter(key);
    if (this.#spans[at]?.end === key) at += 1;
    const span = this.#spans[at];
    return span !== undefined && span.start <= key;
  }

  intersects({ start, end }: Span): boolean {
    return this.#spans.some((span) => span.start < end && start < span.end);
  }

  /** The parts of `span` that are not in the set, ascending. */
  gaps({ start, end }: Span): Span[] {
    const gaps: Span[] = [];
    let from = start;
    for (let at = this.#firstEndingAtOrAfter(start); at < this.#spans.length; at += 1) {
      const taken = this.#spans[at];
      if (taken === undefined || taken.start >= end) break;
      if (from < taken.start) gaps.push({ start: from, end: taken.start });
      if (taken.end > from) from = taken.end;
    }
    if (from < end) gaps.push({ start: from, end });
    return gaps;
  }

  #firstEndingAtOrAfter(key: Text): number {
    let low = 0;
    let high = this.#spans.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#spans[middle]?.end ?? '') < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
