import { type Clock, type Log } from '../core/ports.ts';
import { fencedStore, type HeldLease, type Leases } from '../replica/lease.ts';
import { type Store } from '../store/store.ts';

/** A job that runs again and again: `work`, then a pause. A failure is logged, and the next run comes all the same. */
export interface Job {
  readonly name: string;
  readonly pauseMs: number;
  readonly work: (store: Store, signal: AbortSignal) => Promise<void>;
}

export interface JobsDeps {
  readonly store: Store;
  /** On a store that others share: a job runs only where its lease is held, and each of its transactions checks that. */
  readonly leases: Leases | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** Runs the jobs until disposed of, which waits for what is under way. */
export function runJobs(jobs: readonly Job[], deps: JobsDeps): AsyncDisposable {
  const stop = new AbortController();
  const running = jobs.map((job) => repeat(job, deps, stop.signal));
  return {
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await Promise.all(running);
    },
  };
}

async function repeat(job: Job, { store, leases, clock, log }: JobsDeps, signal: AbortSignal): Promise<void> {
  const leaseName = `job/${job.name}`;
  leases?.want(leaseName);
  for (;;) {
    await clock.sleep(job.pauseMs, signal);
    if (signal.aborted) return;
    const lease = leases?.held(leaseName);
    if (leases !== undefined && lease === undefined) continue;
    try {
      await run(job, store, lease, signal);
    } catch (error) {
      log.warn({ job: job.name, err: error }, 'background job failed; it runs again');
    }
  }
}

function run(job: Job, store: Store, lease: HeldLease | undefined, signal: AbortSignal): Promise<void> {
  if (lease === undefined) return job.work(store, signal);
  return job.work(fencedStore(store, lease), AbortSignal.any([signal, lease.lost]));
}
