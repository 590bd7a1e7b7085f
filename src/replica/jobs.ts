import { type Clock, type Log } from '../core/ports.ts';
import { beginWait, type Wait } from '../core/wait.ts';
import { type Store } from '../store/store.ts';
import { fencedStore, type HeldLease, type Leases } from './lease.ts';

/** A job that runs again and again: a pause, then, as soon as it may run here, `work`. A failure is logged, and the next run comes all the same. */
export interface Job {
  readonly name: string;
  /** Before each run; asked anew each time. */
  readonly pauseMs: () => number;
  /** Whether, on a store that others share, one instance runs it at a time, or each. */
  readonly runsOn: 'one' | 'each';
  readonly work: (store: Store, signal: AbortSignal) => Promise<void>;
}

export interface JobsDeps {
  readonly store: Store;
  /** On a store that others share: a job of one runs only where its lease is held, and each of its transactions checks that. */
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

/** Between two looks at whether a lease is held by now. */
const leaseLookMs = 200;

async function repeat(job: Job, { store, leases, clock, log }: JobsDeps, signal: AbortSignal): Promise<void> {
  const leaseName = `job/${job.name}`;
  const leased = job.runsOn === 'one' ? leases : undefined;
  leased?.want(leaseName);
  for (;;) {
    await clock.sleep(job.pauseMs(), signal);
    const lease = leased && (await untilHeld(leased, leaseName, clock, signal));
    if (signal.aborted) return;
    const run = beginRun(store, lease, signal);
    try {
      await job.work(run.store, run.signal);
    } catch (error) {
      log.warn({ job: job.name, err: error }, 'background job failed; it runs again');
    } finally {
      run.end();
    }
  }
}

/** Undefined where the signal aborted before. */
async function untilHeld(leases: Leases, name: string, clock: Clock, signal: AbortSignal): Promise<HeldLease | undefined> {
  for (;;) {
    const lease = leases.held(name);
    if (lease !== undefined || signal.aborted) return lease;
    await clock.sleep(leaseLookMs, signal);
  }
}

/** Under a lease: fenced by it, and over when it is known to be lost. */
function beginRun(store: Store, lease: HeldLease | undefined, signal: AbortSignal): Wait & { readonly store: Store } {
  if (lease === undefined) return { store, signal, end: () => undefined };
  return { store: fencedStore(store, lease), ...beginWait(signal, lease.lost) };
}
