import { type Clock } from '../core/ports.ts';

/** What was not said for so long is new again. */
const quietMs = 60_000;
/** The latest. */
const rememberedMax = 64;

/** Tells what is said for the first time from what goes on being said, so that a log is not filled with what lasts. */
export class Repeats {
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** When it was said last, in ms; the oldest first. */
  readonly #said = new Map<string, number>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** Whether this, but for the numbers in it, was not said within the last minute. */
  isNew(text: string): boolean {
    const words = text.replaceAll(/\d+/g, '0');
    const nowMs = this.#clock.monotonic();
    const lastMs = this.#said.get(words) ?? -Infinity;
    this.#said.delete(words);
    this.#said.set(words, nowMs);
    const [oldest] = this.#said.keys();
    if (oldest !== undefined && this.#said.size > rememberedMax) this.#said.delete(oldest);
    return nowMs - lastMs >= quietMs;
  }
}
