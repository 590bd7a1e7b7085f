/** When an event comes: by time, then by a seeded draw, then in the order of scheduling. */
export interface Due {
  readonly atMs: number;
  readonly tie: number;
  readonly sequence: number;
}

function isBefore(a: Due, b: Due): boolean {
  if (a.atMs !== b.atMs) return a.atMs < b.atMs;
  return a.tie === b.tie ? a.sequence < b.sequence : a.tie < b.tie;
}

/** A binary heap: the event that is due first comes first. */
export class EventQueue<T extends Due> {
  readonly #heap: T[] = [];

  get size(): number {
    return this.#heap.length;
  }

  push(event: T): void {
    let at = this.#heap.push(event) - 1;
    for (let above = (at - 1) >> 1; at > 0 && this.#swapIfBefore(at, above); above = (at - 1) >> 1) at = above;
  }

  pop(): T | undefined {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return first;
    this.#heap[0] = last;
    for (let at = 0; ;) {
      const left = 2 * at + 1;
      const least = this.#leastOf(left, left + 1);
      if (least === undefined || !this.#swapIfBefore(least, at)) return first;
      at = least;
    }
  }

  #leastOf(left: number, right: number): number | undefined {
    const [a, b] = [this.#heap[left], this.#heap[right]];
    if (a === undefined) return undefined;
    return b !== undefined && isBefore(b, a) ? right : left;
  }

  /** Puts the event at `low` in the place of the one at `high` where it is due before that. */
  #swapIfBefore(low: number, high: number): boolean {
    const [a, b] = [this.#heap[low], this.#heap[high]];
    if (a === undefined || b === undefined || !isBefore(a, b)) return false;
    this.#heap[low] = b;
    this.#heap[high] = a;
    return true;
  }
}
