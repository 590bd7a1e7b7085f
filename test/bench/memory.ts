/** What a process uses, as Linux counts it. */
import { readFileSync } from 'node:fs';

const sampleMs = 200;

export interface MemorySampler {
  /** The greatest seen, in MB of 10^6 bytes. */
  stop(): number;
}

/** Heap and buffers, not the mapped file of the store. */
export function anonymousMb(pid: number): number {
  const kib = Number(/RssAnon:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  return (kib * 1_024) / 1e6;
}

/** Time that a process has used, its own and the kernel's for it, in ms: Linux counts 100 ticks a second. */
export function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
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
