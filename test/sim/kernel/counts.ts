/** How often each thing happened, by name: faults that struck, operations, retries. */
export class Counts {
  readonly #counts = new Map<string, number>();

  add(name: string, more = 1): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + more);
  }

  of(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  addAll(others: Readonly<Record<string, number>>): void {
    for (const [name, count] of Object.entries(others)) this.add(name, count);
  }

  /** By name. */
  toObject(): Record<string, number> {
    return Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}
