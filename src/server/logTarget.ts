import { writeSync } from 'node:fs';
import { type Clock } from '../core/ports.ts';
import { realClock } from './real.ts';

const pause = new Int32Array(new SharedArrayBuffer(4));
const pauseMs = 10;
const pausesMax = 100;
/** Without a wait for so long it may wait again. */
const restMs = 10_000;

/**
 * Writes lines to a file descriptor, at once. What it does not take, as where its disk is full or its terminal gone, is lost, and the server goes on; so is what its
 * reader leaves, once lines have waited for it for a second, until none had to for ten.
 */
export function logTo(descriptor: number, clock: Pick<Clock, 'monotonic'>): { write(line: string): void } {
  let pauses = 0;
  let behindMs = -Infinity;
  let isCut = false;
  return {
    write(line) {
      const whole = Buffer.from(isCut ? `\n${line}` : line);
      let rest = whole;
      while (rest.length > 0) {
        try {
          rest = rest.subarray(writeSync(descriptor, rest));
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') break; // what node:fs throws
          const nowMs = clock.monotonic();
          if (nowMs - behindMs > restMs) pauses = 0;
          behindMs = nowMs;
          if (pauses === pausesMax) break;
          pauses += 1;
          Atomics.wait(pause, 0, 0, pauseMs); // its reader is behind
        }
      }
      isCut = rest.length > 0 && (isCut || rest.length < whole.length);
    },
  };
}

/** Standard error. */
export const logTarget = logTo(2, realClock);
