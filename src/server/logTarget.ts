import { writeSync } from 'node:fs';

const pause = new Int32Array(new SharedArrayBuffer(4));
const pauseMs = 10;
const pausesMax = 100;

/**
 * Writes lines to a file descriptor, at once. What it does not take, as where its disk is full or its terminal gone, is lost, and the server goes on;
 * so is what its reader leaves for a second, and then what comes until it takes something again.
 */
export function logTo(descriptor: number): { write(line: string): void } {
  let isLeft = false;
  let isCut = false;
  return {
    write(line) {
      const whole = Buffer.from(isCut ? `\n${line}` : line);
      let rest = whole;
      for (let pauses = 0; rest.length > 0;) {
        try {
          rest = rest.subarray(writeSync(descriptor, rest));
          isLeft = false;
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') break; // what node:fs throws
          isLeft ||= pauses === pausesMax;
          if (isLeft) break;
          pauses += 1;
          Atomics.wait(pause, 0, 0, pauseMs); // its reader is behind
        }
      }
      isCut = rest.length > 0 && (isCut || rest.length < whole.length);
    },
  };
}

/** Standard error. */
export const logTarget = logTo(2);
