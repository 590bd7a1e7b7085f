import { type Clock } from '../core/ports.ts';
import { compareStamps, makeStamp, physicalMsOf, stampZero, successorStamp, type InstanceId, type Stamp } from '../core/stamp.ts';

/**
 * Hybrid logical clock of one instance (Kulkarni et al., "Logical Physical Clocks", 2014): stamps rise with every call and
 * with every stamp observed, and follow the wall clock otherwise. Who calls `observe` bounds what may be observed.
 */
export class HybridClock {
  readonly #wall: Clock;
  #instance: InstanceId;
  #last: Stamp = stampZero;

  constructor(wall: Clock, instance: InstanceId) {
    this.#wall = wall;
    this.#instance = instance;
  }

  /** Greater than every stamp minted or observed before; its physical part is the wall clock's where that allows. */
  next(): Stamp {
    const now = this.#wall.now();
    this.#last = now > physicalMsOf(this.#last) ? makeStamp(now, 0, this.#instance) : successorStamp(this.#last, this.#instance);
    return this.#last;
  }

  /** As `next`, and greater than `stamp` too: `stamp` is a version that is being overwritten. */
  nextAbove(stamp: Stamp | undefined): Stamp {
    const now = this.next();
    if (stamp === undefined || compareStamps(now, stamp) > 0) return now;
    this.#last = successorStamp(stamp, this.#instance);
    return this.#last;
  }

  observe(stamp: Stamp): void {
    if (compareStamps(stamp, this.#last) > 0) this.#last = stamp;
  }

  /** Goes on as another instance, above what that has closed. */
  startAs(instance: InstanceId, closed: Stamp): void {
    this.#instance = instance;
    this.observe(closed);
  }

  get last(): Stamp {
    return this.#last;
  }

  /** How far the last stamp is ahead of the wall clock, in ms; at most logical carry and what was observed. */
  aheadMs(): number {
    return Math.max(0, physicalMsOf(this.#last) - this.#wall.now());
  }
}
