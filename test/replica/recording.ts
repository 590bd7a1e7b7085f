import { tables } from '../../src/store/keyspace.ts';
import { type Snapshot, type Store, type Transaction } from '../../src/store/store.ts';

const named: ReadonlyMap<number | undefined, string> = new Map([
  [tables.head, 'head'],
  [tables.value, 'value'],
  [tables.leafValue, 'leafValue'],
]);

/** The store, which notes what is done to rows of heads and values: "get head", "set value". Ranges are not noted. */
export function recordingStore(store: Store, log: string[]): Store {
  const note = (what: string, key: Uint8Array): void => {
    const table = named.get(key[0]);
    if (table !== undefined) log.push(`${what} ${table}`);
  };
  const snapshotOf = (snapshot: Snapshot): Snapshot => ({
    get: (key, isolation) => {
      note('get', key);
      return snapshot.get(key, isolation);
    },
    range: (range, options) => snapshot.range(range, options),
  });
  const transactionOf = (tx: Transaction): Transaction => ({
    ...snapshotOf(tx),
    set: (key, value) => {
      note('set', key);
      tx.set(key, value);
    },
    clear: (key) => {
      note('clear', key);
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
      note('set', key);
      tx.setVersionstampedValue(key, value, offset);
    },
    addReadConflict: (range) => {
      tx.addReadConflict(range);
    },
  });
  return {
    transact: (work, options) => store.transact((tx) => work(transactionOf(tx)), options),
    read: (work) => store.read((snapshot) => work(snapshotOf(snapshot))),
    watch: (key, signal) => store.watch(key, signal),
    approximateBytes: (range) => store.approximateBytes(range),
    diskBytes: () => store.diskBytes(),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}
