import { type Stamp, physicalMsOf, stampToHex } from '../../../src/core/stamp.ts';
import { limits } from '../../../src/core/limits.ts';
import { type Committed } from '../cluster/database.ts';
import { type Region } from '../cluster/region.ts';
import { Violation, type Kernel } from '../kernel/kernel.ts';
import { type HeadOracle } from './heads.ts';
import { SlotOracle } from './slots.ts';

/**
 * Looks at every commit of every cluster as it is made: what its keys hold (`heads`), that slots and leases are held by one process at a time
 * (I8), and that no clock was moved beyond its bound (I11): that of its cluster, for who overwrites what another instance of its cluster wrote
 * with a clock that is ahead must be greater, and so goes ahead too.
 */
export class CommitOracle {
  readonly heads: HeadOracle;
  readonly #kernel: Kernel;
  readonly #slots = new SlotOracle();

  constructor(kernel: Kernel, heads: HeadOracle) {
    this.#kernel = kernel;
    this.heads = heads;
  }

  diskReplaced(region: Region): void {
    this.#slots.forget(region.index);
    this.heads.diskReplaced(region);
  }

  observe(region: Region, committed: Committed): void {
    try {
      const minted = this.#slots.observe(region, committed, this.#kernel.running);
      if (minted !== undefined) this.#checkClock(region, minted.closed, minted.before);
      this.heads.observe(region, committed, minted);
    } catch (error) {
      this.#kernel.fail(error);
    }
  }

  #checkClock(region: Region, closed: Stamp, before: Stamp): void {
    const bound = Math.max(region.greatestWallMs, physicalMsOf(before)) + limits.futureMsMax + 1;
    if (physicalMsOf(closed) > bound) {
      throw new Violation(
        'I11',
        `region ${region.index}: a slot was closed at ${stampToHex(closed)}, ${physicalMsOf(closed) - bound} ms beyond its clocks`,
      );
    }
  }
}
