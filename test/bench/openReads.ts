/** Reads at a rate, whatever the answers do: a read that waits for its turn is late, and counts from when it was due. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { keyText } from './keys.ts';

const tickMs = 2;
const connections = 32;

export interface OpenReads {
  /** Ends it. Of each read how long after it was due its answer was there, in ms, and how many failed. */
  stop(): Promise<{ readonly latenciesMs: readonly number[]; readonly failed: number }>;
}

/** Reads keys of the first `keys`, all over them, until it is stopped. */
export function openReads(api: string, keys: number, rate: number): OpenReads {
  const pool = new Pool(api, { connections, pipelining: 1 });
  const latenciesMs: number[] = [];
  const underWay = new Set<Promise<void>>();
  let failed = 0;
  const stop = new AbortController();
  const read = async (n: number, dueMs: number): Promise<void> => {
    try {
      const body = JSON.stringify({ key: keyText((n * stride) % keys) });
      const answer = await pool.request({ path: '/data/get', method: 'POST', body });
      await answer.body.dump();
      if (answer.statusCode !== 200) failed += 1;
    } catch {
      failed += 1;
    }
    latenciesMs.push(performance.now() - dueMs);
  };
  const run = async (): Promise<void> => {
    const startedMs = performance.now();
    for (let sent = 0; !stop.signal.aborted;) {
      for (const due = ((performance.now() - startedMs) * rate) / 1_000; sent < due; sent += 1) {
        const reading = read(sent, startedMs + (sent * 1_000) / rate).finally(() => underWay.delete(reading));
        underWay.add(reading);
      }
      await sleep(tickMs);
    }
    await Promise.all(underWay);
    await pool.close();
  };
  const done = run();
  return {
    stop: async () => {
      stop.abort();
      await done;
      return { latenciesMs, failed };
    },
  };
}

/** A prime: neighbours in time are no neighbours in the store. */
const stride = 7_919;
