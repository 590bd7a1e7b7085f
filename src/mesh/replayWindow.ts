/** Behind the greatest counter so many are still taken: several requests are under way at a time, and overtake one another. */
const behindMax = 64;

/** Lets each counter, 1 and up, pass once; those far behind the greatest no more. */
export class ReplayWindow {
  #greatest = 0;
  readonly #taken = new Set<number>();

  /** 0: none was taken. */
  get greatest(): number {
    return this.#greatest;
  }

  /** False where it was taken before, or may have been. */
  take(counter: number): boolean {
    if (counter < 1 || counter <= this.#greatest - behindMax || this.#taken.has(counter)) return false;
    this.#taken.add(counter);
    if (counter > this.#greatest) {
      this.#greatest = counter;
      for (const taken of this.#taken) if (taken <= counter - behindMax) this.#taken.delete(taken);
    }
    return true;
  }
}
