import { type Clock } from './ports.ts';

/** Between two lines about the same. */
const quietMs = 60_000;
/** The latest. */
const rememberedMax = 64;

/** Tells what goes on happening at once, and then once a minute with how often it has happened since, so that whoever makes it happen fills no log. */
export class Seldom {
  readonly #clock: Pick<Clock, 'monotonic'>;
  /** The one that was told last is the last. */
  readonly #told = new Map<string, { readonly ms: number; since: number }>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** It happened so often more. Returns how often since it was told last, where it is to be told now; undefined: it is not. Numbers and stamps in the text, which who asks may choose, make it nothing else. */
  note(text: string, times = 1): number | undefined {
    const words = text.replaceAll(/\b[\da-f]{4,}\b|\d+/g, '0');
    const nowMs = this.#clock.monotonic();
    const told = this.#told.get(words);
    if (told !== undefined && nowMs - told.ms < quietMs) {
      told.since += times;
      return undefined;
    }
    this.#told.delete(words);
    this.#told.set(words, { ms: nowMs, since: 0 });
    const [oldest] = this.#told.keys();
    if (oldest !== undefined && this.#told.size > rememberedMax) this.#told.delete(oldest);
    return (told?.since ?? 0) + times;
  }
}
