import { chmodSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Clock, type Random } from '../src/core/ports.ts';
import { realClock } from '../src/server/real.ts';

/** The machine's clock, but tests may let it jump ahead. */
export class TestClock implements Clock {
  #aheadMs = 0;
  #backMs = 0;

  advance(ms: number): void {
    this.#aheadMs += ms;
  }

  /** The wall clock alone. */
  setBack(ms: number): void {
    this.#backMs += ms;
  }

  now(): number {
    return realClock.now() + this.#aheadMs - this.#backMs;
  }

  monotonic(): number {
    return realClock.monotonic() + this.#aheadMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return realClock.sleep(ms, signal);
  }
}

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

/** Less than the time limit of a test, so that what it started is stopped by its own `finally`. */
const untilMsMax = 30_000;

/** Waits until the condition holds, `untilMsMax` at the most. Errors: one that names the condition. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = realClock.monotonic() + untilMsMax;
  while (!(await condition())) {
    if (realClock.monotonic() > endMs) throw new Error(`not so within ${untilMsMax} ms: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** As whom a process may not write what `withoutWriting` names: nobody where we are root, who always may, and else ourselves. */
export const restricted: { readonly uid?: number; readonly gid?: number } = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

/** Runs `work` while a directory and the files in it may be read and not written. */
export async function withoutWriting(dir: string, work: () => Promise<void>): Promise<void> {
  const files = readdirSync(dir, { withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = [dir, ...files.map(({ name }) => join(dir, name))];
  const modes = paths.map((path) => statSync(path).mode);
  for (const path of paths) chmodSync(path, path === dir ? 0o555 : 0o444);
  try {
    await work();
  } finally {
    for (const [i, path] of paths.entries()) chmodSync(path, modes[i] ?? 0);
  }
}
