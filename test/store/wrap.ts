import { type Store, type Transaction } from '../../src/store/store.ts';

/** The store with something else in the place of its transactions. */
export function withTransactions(store: Store, wrap: (tx: Transaction) => Transaction): Store {
  return { ...forwarded(store), transact: (work, options) => store.transact((tx) => work(wrap(tx)), options) };
}

/** Every method of the store as a property, to be replaced one by one. */
export function forwarded(store: Store): Store {
  return {
    transact: (work, options) => store.transact(work, options),
    read: (work) => store.read(work),
    watch: (key, signal) => store.watch(key, signal),
    approximateBytes: (range) => store.approximateBytes(range),
    diskBytes: () => store.diskBytes(),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

/** Every method of the transaction as a property. */
export function forwardedTransaction(tx: Transaction): Transaction {
  return {
    get: (key, isolation) => tx.get(key, isolation),
    range: (range, options) => tx.range(range, options),
    set: (key, value) => {
      tx.set(key, value);
    },
    clear: (key) => {
      tx.clear(key);
    },
    clearRange: (range) => {
      tx.clearRange(range);
    },
    add: (key, delta) => {
      tx.add(key, delta);
    },
    setVersionstampedKey: (prefix, suffix, value) => {
      tx.setVersionstampedKey(prefix, suffix, value);
    },
    setVersionstampedValue: (key, value, offset) => {
      tx.setVersionstampedValue(key, value, offset);
    },
    addReadConflict: (range) => {
      tx.addReadConflict(range);
    },
  };
}
