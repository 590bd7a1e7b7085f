import { type Snapshot, type Store } from '../../src/store/store.ts';

/** A store that tells of each read ahead of it, in transactions and snapshots alike. */
export function observing(store: Store, onRead: (kind: 'get' | 'range') => void): Store {
  const told = <View extends Snapshot>(view: View): View =>
    new Proxy(view, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (name === 'get' || name === 'range') onRead(name);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  return {
    transact: (work, options) => store.transact((tx) => work(told(tx)), options),
    read: (work) => store.read((snapshot) => work(told(snapshot))),
    watch: (key, signal) => store.watch(key, signal),
    approximateBytes: (range) => store.approximateBytes(range),
    diskBytes: () => store.diskBytes(),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}
