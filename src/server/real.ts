import { randomBytes } from 'node:crypto';
import { type Clock, type Random } from '../core/ports.ts';

/** The machine's clock and timers. */
export const realClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
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
