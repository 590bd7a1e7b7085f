import { stampZero } from '../../../src/core/stamp.ts';
import { decodeLease } from '../../../src/replica/leaseRecord.ts';
import { decodeSlot, encodeSlot, type SlotRecord } from '../../../src/replica/slot.ts';
import { tables } from '../../../src/store/keyspace.ts';
import { type Plant } from './plant.ts';
import { forwardedTransaction, withTransactions } from '../../store/wrap.ts';

/** What an instance reads of slots' records is made something else. */
function readingSlots(change: (record: SlotRecord) => SlotRecord): Plant {
  return {
    store: (store) =>
      withTransactions(store, (tx) => ({
        ...forwardedTransaction(tx),
        get: async (key, isolation) => {
          const bytes = await tx.get(key, isolation);
          return key[0] === tables.slot && bytes !== undefined ? encodeSlot(change(decodeSlot(bytes))) : bytes;
        },
      })),
  };
}

/** A commit takes its slot's record for its own, whoever has taken the slot over. */
export const unfencedSlot: Plant = {
  store: (store) => {
    const ownLeases = new Map<string, number>();
    return withTransactions(store, (tx) => ({
      ...forwardedTransaction(tx),
      get: async (key, isolation) => {
        if (key[0] !== tables.slot) return tx.get(key, isolation);
        const bytes = await tx.get(key, 'snapshot');
        const own = ownLeases.get(Buffer.from(key).toString('hex'));
        return bytes === undefined || own === undefined ? bytes : encodeSlot({ ...decodeSlot(bytes), lease: own });
      },
      set: (key, value) => {
        if (key[0] === tables.slot) ownLeases.set(Buffer.from(key).toString('hex'), decodeSlot(value).lease);
        tx.set(key, value);
      },
    }));
  },
};

/** A retry after an unknown outcome does not look whether its batch is there already. */
export const mintsAgain = readingSlots((record) => ({ ...record, batch: 0 }));

/** A new holder does not start above what its slot has closed. */
export const closedForgotten = readingSlots((record) => ({ ...record, closed: stampZero }));

/** Jobs go on when their lease is another's. */
export const unfencedJobs: Plant = {
  jobStore: (store, leases) => {
    const own = new Map<string, Uint8Array>();
    return withTransactions(store, (tx) => ({
      ...forwardedTransaction(tx),
      get: async (key, isolation) => {
        if (key[0] !== tables.lease) return tx.get(key, isolation);
        const bytes = await tx.get(key, 'snapshot');
        const name = Buffer.from(key).toString();
        if (bytes !== undefined && Buffer.compare(decodeLease(bytes).holder, leases.holder) === 0) own.set(name, bytes);
        return own.get(name) ?? bytes;
      },
    }));
  },
};

/** A slot that was never used begins at nothing, though its cluster has told others that it is closed. */
export const slotBaseIgnored: Plant = {
  store: (store) =>
    withTransactions(store, (tx) => {
      let isClosing = false;
      return {
        ...forwardedTransaction(tx),
        range: (range, options) => {
          isClosing ||= range.start[0] === tables.slot;
          return tx.range(range, options);
        },
        get: (key, isolation) => (key[0] === tables.slotBase && !isClosing ? Promise.resolve(undefined) : tx.get(key, isolation)),
      };
    }),
};
