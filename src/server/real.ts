import { randomBytes } from 'node:crypto';
import { type Clock, type Random } from '../core/ports.ts';

/** The machine's clock and timers. */
export const realClock: Clock = {
  now: () => Math.max(0, Date.now()), // stamps begin with 1970: before that a machine has no time yet
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      if (ms <= 0) {
        // The first comes before what is read and written in this turn of the event loop, the second behind it.
        setImmediate(() => setImmediate(resolve));
        return;
      }
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener('abort', done);
    }),
};

/** The machine's chance. */
export const realRandom: Random = {
  bytes: (length) => randomBytes(length),
  fraction: () => Math.random(),
};
