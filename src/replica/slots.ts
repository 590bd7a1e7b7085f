import { GkvError } from '../core/errors.ts';
import { slotsMax } from '../core/frontier.ts';
import { type Clock } from '../core/ports.ts';
import { type Store, type Transaction } from '../store/store.ts';
import { type HeldLease, type Leases } from './lease.ts';
import { grantLease, isFree, readLease } from './leaseRecord.ts';
import { acquireSlot, type SlotRecord, takeOverSlot } from './slot.ts';

export interface HeldSlot {
  readonly slot: number;
  readonly record: SlotRecord;
}

/** Where a process gets the slot from that it commits under. */
export interface SlotSource {
  /** Gives a slot, the one held before where that is possible; what was under way under it can no longer commit. Error: `unavailable`. */
  take(): Promise<HeldSlot>;
}

/** Always the same slot: for the embedded store, which one process has to itself. */
export function fixedSlot(store: Store, slot: number): SlotSource {
  return { take: async () => ({ slot, record: await acquireSlot(store, slot) }) };
}

/** One slot of many on a shared store, under a lease: the one held, or the first that is free. */
export class LeasedSlots implements SlotSource {
  readonly #store: Store;
  readonly #leases: Leases;
  readonly #clock: Clock;
  #held: { readonly slot: number; readonly lease: HeldLease } | undefined;

  constructor(store: Store, leases: Leases, clock: Clock) {
    this.#store = store;
    this.#leases = leases;
    this.#clock = clock;
  }

  async take(): Promise<HeldSlot> {
    const again = this.#held === undefined ? undefined : await this.#retake(this.#held);
    return again ?? this.#takeFree();
  }

  async #retake({ slot, lease }: { slot: number; lease: HeldLease }): Promise<HeldSlot | undefined> {
    const record = await this.#store.transact(async (tx) => {
      const { number } = await readLease(tx, lease.name);
      return number === lease.number ? takeOverSlot(tx, slot) : undefined;
    });
    return record === undefined ? undefined : { slot, record };
  }

  async #takeFree(): Promise<HeldSlot> {
    const sinceMs = this.#clock.monotonic();
    const { slot, number, record } = await this.#store.transact((tx) => this.#firstFree(tx));
    this.#held = { slot, lease: this.#leases.hold(slotLease(slot), number, sinceMs) };
    return { slot, record };
  }

  async #firstFree(tx: Transaction): Promise<HeldSlot & { readonly number: number }> {
    for (let slot = 0; slot < slotsMax; slot += 1) {
      const name = slotLease(slot);
      const lease = await readLease(tx, name);
      if (!isFree(lease)) continue;
      const { number } = grantLease(tx, name, lease, this.#leases.holder);
      return { slot, number, record: await takeOverSlot(tx, slot) };
    }
    throw new GkvError('unavailable', `all ${slotsMax} slots of this cluster are held: stop an instance, or wait for dead ones to run out`);
  }
}

export function slotLease(slot: number): string {
  return `slot/${slot}`;
}

/** Fences the slot that stood under a lease which has run out. For `Leases`. */
export async function fenceSlot(tx: Transaction, leaseName: string): Promise<void> {
  const slot = /^slot\/(\d+)$/.exec(leaseName)?.[1];
  if (slot !== undefined) await takeOverSlot(tx, Number(slot));
}
