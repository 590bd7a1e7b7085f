import { lowerBound } from './ranges.ts';
import { type Text } from './text.ts';

/** Below this many new keys, inserting each is cheaper than one merge of the whole. */
const insertedOneByOneMax = 16;

/**
 * Keys that are put into order only when somebody asks for it, and then only the new ones: a transaction may write
 * thousands of keys and read no range, or read a range after each write.
 */
export class SortedKeys {
  #sorted: Text[] = [];
  #fresh: Text[] = [];

  /** The key must not be in the set. */
  add(key: Text): void {
    this.#fresh.push(key);
  }

  /** The keys of [start, end), ascending. */
  between(start: Text, end: Text): Text[] {
    const sorted = this.#inOrder();
    return sorted.slice(lowerBound(sorted, start), lowerBound(sorted, end));
  }

  /** Takes the keys of [start, end) out, and answers them. */
  remove(start: Text, end: Text): Text[] {
    const sorted = this.#inOrder();
    const from = lowerBound(sorted, start);
    return sorted.splice(from, lowerBound(sorted, end) - from);
  }

  #inOrder(): Text[] {
    const fresh = this.#fresh;
    if (fresh.length === 0) return this.#sorted;
    this.#fresh = [];
    if (this.#sorted.length > 0 && fresh.length <= insertedOneByOneMax) {
      for (const key of fresh) this.#sorted.splice(lowerBound(this.#sorted, key), 0, key);
    } else {
      this.#sorted = merged(this.#sorted, fresh.sort(byteOrder));
    }
    return this.#sorted;
  }
}

export function byteOrder(a: Text, b: Text): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function merged(left: Text[], right: Text[]): Text[] {
  if (left.length === 0) return right;
  const all: Text[] = [];
  let at = 0;
  for (const key of right) {
    for (let other = left[at]; other !== undefined && other < key; other = left[++at]) all.push(other);
    all.push(key);
  }
  for (; at < left.length; at += 1) all.push(left[at] ?? '');
  return all;
}
