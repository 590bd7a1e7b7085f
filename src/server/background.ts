import { type Clock, type Log } from '../core/ports.ts';

/** A job that runs again and again: `work`, then a pause. A failure is logged, and the next run comes all the same. */
export interface Job {
  readonly name: string;
  readonly pauseMs: number;
  readonly work: (signal: AbortSignal) => Promise<void>;
}

/** Runs the jobs until disposed of, which waits for what is under way. */
export function runJobs(jobs: readonly Job[], clock: Clock, log: Log): AsyncDisposable {
  const stop = new AbortController();
  const running = jobs.map((job) => repeat(job, clock, log, stop.signal));
  return {
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await Promise.all(running);
    },
  };
}

async function repeat(job: Job, clock: Clock, log: Log, signal: AbortSignal): Promise<void> {
  for (;;) {
    await clock.sleep(job.pauseMs, signal);
    if (signal.aborted) return;
    try {
      await job.work(signal);
    } catch (error) {
      log.warn({ job: job.name, err: error }, 'background job failed; it runs again');
    }
  }
}
