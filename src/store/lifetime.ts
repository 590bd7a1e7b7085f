import { GkvError } from '../core/errors.ts';

/** Counts what is under way, so that a store can wait for it before it closes. */
export class Lifetime {
  #underWay = 0;
  #isClosing = false;
  #closed: Promise<void> | undefined;
  #idle: (() => void) | undefined;

  /** Runs `operation`, or rejects with `store_closed`. */
  async during<T>(operation: () => Promise<T>): Promise<T> {
    this.enter();
    try {
      return await operation();
    } finally {
      this.leave();
    }
  }

  /** Counts an operation that ends with `leave`, or throws `store_closed`. */
  enter(): void {
    this.check();
    this.#underWay += 1;
  }

  leave(): void {
    this.#underWay -= 1;
    if (this.#underWay === 0) this.#idle?.();
  }

  check(): void {
    if (this.#isClosing) throw new GkvError('store_closed', 'the store is closed');
  }

  /** Refuses new operations at once; runs `release` when the last one has ended. Later calls await the first. */
  close(release: () => void | Promise<void>): Promise<void> {
    this.#closed ??= this.#close(release);
    return this.#closed;
  }

  async #close(release: () => void | Promise<void>): Promise<void> {
    this.#isClosing = true;
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await release();
  }
}
