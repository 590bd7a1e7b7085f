import { type Clock } from '../../../src/core/ports.ts';
import { type Kernel } from './kernel.ts';
import { type Life } from './life.ts';

/** Where virtual time begins, as a wall clock shows it. */
export const epochMs = 1_800_000_000_000;

/** The clocks of one machine: a wall clock that may be wrong in any way, and a monotonic one that runs a little fast or slow. */
export class MachineClock {
  readonly #kernel: Kernel;
  readonly monotonicRate: number;
  #baseMs = 0;
  #wallMs = epochMs;
  #rate = 1;
  #greatestMs = 0;

  constructor(kernel: Kernel, monotonicRate: number) {
    this.#kernel = kernel;
    this.monotonicRate = monotonicRate;
  }

  wall(): number {
    const wall = Math.floor(this.#wallMs + (this.#kernel.nowMs - this.#baseMs) * this.#rate);
    this.#greatestMs = Math.max(this.#greatestMs, wall);
    return wall;
  }

  /** The greatest reading so far. */
  get greatestMs(): number {
    this.wall();
    return this.#greatestMs;
  }

  monotonic(): number {
    return this.#kernel.nowMs * this.monotonicRate;
  }

  jump(ms: number): void {
    this.#rebase(this.wall() + ms, this.#rate);
  }

  /** 1 is right, 0 stands still. */
  runAt(rate: number): void {
    this.#rebase(this.wall(), rate);
  }

  /** Shows virtual time, plus what has gone by besides, from now on. */
  setRight(besidesMs: number): void {
    this.#rebase(epochMs + this.#kernel.nowMs + besidesMs, 1);
  }

  /** How far it is ahead of virtual time. */
  aheadMs(): number {
    return this.wall() - (epochMs + this.#kernel.nowMs);
  }

  #rebase(wallMs: number, rate: number): void {
    this.wall();
    this.#baseMs = this.#kernel.nowMs;
    this.#wallMs = wallMs;
    this.#rate = rate;
  }
}

/** A machine's clock, as one process on it uses it: its sleeps end with the process. */
export function clockOf(machine: MachineClock, life: Life): Clock {
  return {
    now: () => machine.wall(),
    monotonic: () => machine.monotonic(),
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) {
          resolve();
          return;
        }
        const done = (): void => {
          timer.cancel();
          signal?.removeEventListener('abort', done);
          resolve();
        };
        const timer = life.after(ms / machine.monotonicRate, 'timer', done);
        signal?.addEventListener('abort', done);
      }),
  };
}
