import { writeSync } from 'node:fs';

/** Standard error, at once. A line that it does not take, as where its disk is full or its terminal gone, is lost, and the server goes on. */
export const logTarget = {
  write(line: string): void {
    for (let rest = Buffer.from(line); rest.length > 0;) {
      try {
        rest = rest.subarray(writeSync(2, rest));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return; // what node:fs throws
        Atomics.wait(pause, 0, 0, pauseMs); // its reader is behind
      }
    }
  },
};

const pause = new Int32Array(new SharedArrayBuffer(4));
const pauseMs = 10;
