import { GkvError } from '../../core/errors.ts';
import { type Random } from '../../core/ports.ts';

/** Where a simulation may hold a transaction back, to let others go first. */
export type PausePoint = 'read' | 'commit' | 'committed';

/**
 * What goes wrong in a store in memory, each a probability of 0 (the default) to 1. Looked up each time, so a test may
 * change them as it goes; with an equal `random` and equal calls the same things go wrong.
 */
export interface MemoryFaults {
  /** A commit conflicts though nothing was written. */
  conflict?: number;
  /** A commit is made, and its outcome is not known. */
  unknownCommitted?: number;
  /** A commit is not made, and its outcome is not known. */
  unknownLost?: number;
  /** A read finds its transaction too old. */
  tooOld?: number;
  /** A commit wakes a watch that has nothing to do with it. */
  spuriousWatch?: number;
  /** A commit finds no room. */
  diskFull?: number;
  pause?: (point: PausePoint) => Promise<void>;
}

type Chance = 'conflict' | 'unknownCommitted' | 'unknownLost' | 'tooOld' | 'spuriousWatch' | 'diskFull';

export class FaultPlan {
  readonly #faults: MemoryFaults;
  readonly #random: Random;

  constructor(faults: MemoryFaults, random: Random) {
    this.#faults = faults;
    this.#random = random;
  }

  strikes(chance: Chance): boolean {
    const probability = this.#faults[chance] ?? 0;
    return probability > 0 && this.#random.fraction() < probability;
  }

  throwIf(chance: 'conflict' | 'unknownCommitted' | 'unknownLost' | 'tooOld' | 'diskFull'): void {
    if (this.strikes(chance)) throw failures[chance]();
  }

  pause(point: PausePoint): Promise<void> | undefined {
    return this.#faults.pause?.(point);
  }

  /** For each read; undefined when there is nothing to do, which is most often. */
  readonly onRead = (): Promise<void> | undefined => {
    this.throwIf('tooOld');
    return this.pause('read');
  };
}

const failures = {
  conflict: () => new GkvError('store_conflict', 'a conflict, by the fault plan'),
  unknownCommitted: () => new GkvError('commit_unknown', 'committed, and not known, by the fault plan'),
  unknownLost: () => new GkvError('commit_unknown', 'not committed, and not known, by the fault plan'),
  tooOld: () => new GkvError('transaction_too_old', 'too old, by the fault plan'),
  diskFull: () => new GkvError('disk_full', 'no room, by the fault plan'),
};
