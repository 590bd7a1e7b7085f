import { hasCode } from '../core/errors.ts';
import { type Clock } from '../core/ports.ts';
import { type Store } from '../store/store.ts';

/** So long a store is called full after it had no room for what was to be written; small writes may still find some. */
const fullMs = 60_000;

/** A store of which is known whether its disk was full of late. */
export interface RoomyStore {
  readonly store: Store;
  readonly isFull: () => boolean;
}

/** `clock`: its monotonic time. */
export function noticingFull(store: Store, clock: Pick<Clock, 'monotonic'>): RoomyStore {
  let fullAtMs: number | undefined;
  const noted: Store = {
    transact: (work, options) => {
      const written = store.transact(work, options);
      written.catch((error: unknown) => {
        if (hasCode(error, 'disk_full')) fullAtMs = clock.monotonic();
      });
      return written;
    },
    read: (work) => store.read(work),
    watch: (key, signal) => store.watch(key, signal),
    approximateBytes: (range) => store.approximateBytes(range),
    diskBytes: () => store.diskBytes(),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
  return { store: noted, isFull: () => fullAtMs !== undefined && clock.monotonic() - fullAtMs < fullMs };
}
