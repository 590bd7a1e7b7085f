import { type Snapshot, type Store, type Transaction } from '../../src/store/store.ts';
import { forwarded } from './wrap.ts';

/** A store that tells of each call of a transaction or a snapshot, ahead of it. `key`: the first argument, where it is one. */
export function observing(store: Store, onCall: (name: keyof Transaction, key: Uint8Array | undefined) => void): Store {
  const told = <View extends Snapshot>(view: View): View =>
    new Proxy(view, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...args: readonly unknown[]): unknown => {
          onCall(name as keyof Transaction, args[0] instanceof Uint8Array ? args[0] : undefined);
          return Reflect.apply(value, target, args);
        };
      },
    });
  return {
    ...forwarded(store),
    transact: (work, options) => store.transact((tx) => work(told(tx)), options),
    read: (work) => store.read((snapshot) => work(told(snapshot))),
  };
}
