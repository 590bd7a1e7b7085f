/** Anonymous memory of a process, as Linux counts it: heap and buffers, not the mapped file of the store. */
import { readFileSync } from 'node:fs';

const sampleMs = 200;

export interface MemorySampler {
  /** The greatest seen, in MB of 10^6 bytes. */
  stop(): number;
}

export function anonymousMb(pid: number): number {
  const kib = Number(/RssAnon:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  return (kib * 1_024) / 1e6;
}

export function sampleMemory(pid: number): MemorySampler {
  let greatest = anonymousMb(pid);
  const timer = setInterval(() => {
    greatest = Math.max(greatest, anonymousMb(pid));
  }, sampleMs);
  return {
    stop: () => {
      clearInterval(timer);
      return Math.max(greatest, anonymousMb(pid));
    },
  };
}
