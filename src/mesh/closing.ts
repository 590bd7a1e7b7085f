import { compareStamps, type Stamp, stampZero } from '../core/stamp.ts';
import { isFree, readLease } from '../replica/leaseRecord.ts';
import { type Replica } from '../replica/replica.ts';
import { closeFreeSlots } from '../replica/slot.ts';
import { slotLease } from '../replica/slots.ts';
import { type Store } from '../store/store.ts';

/** An idle slot closes the present after so long at first, and after so long at the most. */
export interface ClosingTimes {
  readonly least: number;
  readonly most: number;
}

/** Says up to when all is told that slots took in: others cover nothing of them beyond that. */
export class Closing {
  /** Until the next time. */
  pauseMs: number;
  readonly #replica: Replica;
  readonly #times: ClosingTimes;
  #last: Stamp = stampZero;

  constructor(replica: Replica, times: ClosingTimes) {
    this.#replica = replica;
    this.#times = times;
    this.pauseMs = times.least;
  }

  /** Our own slot. An idle one closes less and less often: who waits for it to be covered waits for nothing then. */
  async close(): Promise<void> {
    const isIdle = compareStamps(this.#replica.hlc.last, this.#last) === 0;
    this.pauseMs = isIdle ? Math.min(this.#times.most, this.pauseMs * 2) : this.#times.least;
    this.#last = await this.#replica.closePresent();
  }

  /** Slots that nobody holds. */
  async closeFree(store: Store, isShared: boolean): Promise<void> {
    const { slot: own, hlc } = this.#replica;
    await store.transact((tx) =>
      closeFreeSlots(tx, hlc.next(), async (slot) => (isShared ? isFree(await readLease(tx, slotLease(slot))) : slot !== own)),
    );
  }
}
