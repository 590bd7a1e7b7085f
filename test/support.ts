import { type Clock, type Random } from '../src/core/ports.ts';

/** Real time for tests that wait on real sockets and disks. */
export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      signal?.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
      });
    }),
};

/** A clock that stands still but for what tests and sleepers add to it. */
export class FakeClock implements Clock {
  ms: number;

  constructor(ms = 1_700_000_000_000) {
    this.ms = ms;
  }

  now(): number {
    return Math.floor(this.ms);
  }

  monotonic(): number {
    return this.ms;
  }

  sleep(ms: number): Promise<void> {
    this.ms += ms;
    return Promise.resolve();
  }
}

/** A clock that only the test moves: sleepers wait until it has. */
export class ManualClock implements Clock {
  #ms = 1_700_000_000_000;
  readonly #sleepers = new Set<{ readonly dueMs: number; readonly wake: () => void }>();

  now(): number {
    return this.#ms;
  }

  monotonic(): number {
    return this.#ms;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.resolve();
    return new Promise((resolve) => {
      const sleeper = {
        dueMs: this.#ms + ms,
        wake: () => {
          this.#sleepers.delete(sleeper);
          signal?.removeEventListener('abort', sleeper.wake);
          resolve();
        },
      };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', sleeper.wake);
    });
  }

  /** Moves on step by step; after each, what was woken may run as far as it can. */
  async advance(ms: number, stepMs = 100): Promise<void> {
    const endMs = this.#ms + ms;
    while (this.#ms < endMs) {
      this.#ms = Math.min(endMs, this.#ms + stepMs);
      for (const sleeper of [...this.#sleepers]) if (sleeper.dueMs <= this.#ms) sleeper.wake();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

/** Mulberry32 (Tommy Ettinger, public domain): the same numbers for the same seed. */
export function seededRandom(seed: number): Random {
  let state = seed | 0;
  const fraction = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  return { fraction, bytes: (length) => Uint8Array.from({ length }, () => Math.floor(fraction() * 256)) };
}

/** Waits until the condition holds; the test's own time limit ends it otherwise. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}
