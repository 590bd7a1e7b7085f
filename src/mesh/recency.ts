import { GkvError } from '../core/errors.ts';
import { type Log } from '../core/ports.ts';
import { compareStamps, stampZero, type Stamp } from '../core/stamp.ts';
import { isTooOld } from './floor.ts';

/** Whether this cluster has what the floor of the mesh counts on, as far as is known. */
export class Recency {
  readonly #log: Log;
  #floor: Stamp = stampZero;
  /** Up to where we were seen to be recent enough. */
  #met: Stamp = stampZero;
  #fault: GkvError | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /** The greatest that we have or were told of. */
  get floor(): Stamp {
    return this.#floor;
  }

  /** Why we must start anew; for good. */
  get fault(): GkvError | undefined {
    return this.#fault;
  }

  /** A floor that we have, or were told of. */
  note(floor: Stamp): void {
    if (compareStamps(floor, this.#floor) > 0) this.#floor = floor;
  }

  /** `age` tells up to where we have everything; it is asked for where the floor has moved, and before anything is joined, which would hide it. */
  async meet(age: () => Promise<Stamp>): Promise<void> {
    const floor = this.#floor;
    if (compareStamps(floor, this.#met) <= 0) return;
    if (isTooOld(await age(), floor)) this.fail();
    else this.#met = floor;
  }

  /** A floor was told that is above what we have. */
  fail(): void {
    if (this.#fault !== undefined) return;
    this.#fault = tooOld('this cluster');
    this.#log.error({}, this.#fault.message);
  }
}

/** What is wrong with a cluster that lacks what the floor counts on. */
export function tooOld(who: string): GkvError {
  return new GkvError(
    'must_bootstrap',
    `the floor of the mesh is above what ${who} has: it was away for more than a day, or its clock is as far behind; it must be started anew from an empty store`,
  );
}
