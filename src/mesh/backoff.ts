import { type Clock, type Random } from '../core/ports.ts';

const firstMs = 100;
const lastMs = 10_000;

/** Waits before another try: full jitter over a span that doubles from 100 ms to 10 s (AWS Architecture Blog, 2015). */
export class Backoff {
  readonly #clock: Clock;
  readonly #random: Random;
  #spanMs = firstMs;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  succeeded(): void {
    this.#spanMs = firstMs;
  }

  async failed(signal: AbortSignal): Promise<void> {
    const ms = this.#random.fraction() * this.#spanMs;
    this.#spanMs = Math.min(lastMs, this.#spanMs * 2);
    await this.#clock.sleep(ms, signal);
  }
}
