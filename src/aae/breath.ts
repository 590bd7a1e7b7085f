import { type Clock } from '../core/ports.ts';

/** After so long others get a turn. */
const turnMsMax = 20;

/** Gives others a turn now and then. */
export class Breath {
  readonly #clock: Pick<Clock, 'monotonic' | 'sleep'>;
  #takenMs: number;

  constructor(clock: Pick<Clock, 'monotonic' | 'sleep'>) {
    this.#clock = clock;
    this.#takenMs = clock.monotonic();
  }

  /** Whether others have waited long enough. */
  get isDue(): boolean {
    return this.#clock.monotonic() - this.#takenMs > turnMsMax;
  }

  /** Where it is due. */
  async take(): Promise<void> {
    if (!this.isDue) return;
    await this.#clock.sleep(0);
    this.#takenMs = this.#clock.monotonic();
  }
}
