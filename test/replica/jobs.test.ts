import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { silentLog } from '../../src/core/ports.ts';
import { runJobs, type Job } from '../../src/replica/jobs.ts';
import { Leases } from '../../src/replica/lease.ts';
import { realClock } from '../../src/server/real.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { type Store } from '../../src/store/store.ts';
import { ManualClock, seededRandom, until } from '../support.ts';

function memory(): Store {
  return openMemoryStore(new MemoryDatabase(), { clock: realClock, random: seededRandom(1) });
}

describe('background jobs', () => {
  it('run again and again, also after a failure, which is logged', async () => {
    let runs = 0;
    const warnings: object[] = [];
    const log = { ...silentLog, warn: (fields: object) => void warnings.push(fields) };
    const work = (): Promise<void> => {
      runs += 1;
      return runs === 2 ? Promise.reject(new Error('once')) : Promise.resolve();
    };
    const jobs = runJobs([{ name: 'job', pauseMs: () => 1, runsOn: 'one', work }], {
      store: memory(),
      leases: undefined,
      clock: realClock,
      log,
    });
    await until(() => runs >= 4);
    await jobs[Symbol.asyncDispose]();
    const after = runs;
    assert.equal(warnings.length, 1);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(runs, after, 'none runs once they are stopped');
  });

  it('are waited for when they are stopped, and told by their signal', async () => {
    let ended = false;
    let begun = false;
    const work = (_store: Store, signal: AbortSignal): Promise<void> => {
      begun = true;
      return new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          setImmediate(() => {
            ended = true;
            resolve();
          });
        });
      });
    };
    const jobs = runJobs([{ name: 'job', pauseMs: () => 1, runsOn: 'one', work }], {
      store: memory(),
      leases: undefined,
      clock: realClock,
      log: silentLog,
    });
    await until(() => begun);
    await jobs[Symbol.asyncDispose]();
    assert.equal(ended, true);
  });

  for (const isShared of [true, false]) {
    it(`R16: M11: the first run comes ${isShared ? 'with the lease' : 'at once'} where it has no pause before it, and the next a pause later`, async () => {
      const { clock, jobs, leases, runsMs, startedMs } = onLease(isShared);
      await clock.advance(9_000);
      await jobs[Symbol.asyncDispose]();
      await leases[Symbol.asyncDispose]();
      assert.equal(runsMs.length, 1);
      assert.ok((runsMs[0] ?? 0) - startedMs <= 1_500, 'leases are looked at every second');
    });
  }

  it('R16: who has lost the lease, and runs no longer, waits for a pause before it is tried again', async () => {
    const { clock, jobs, leases, runsMs } = onLease(true, (store) => store.transact(() => Promise.reject(new Error('lost'))));
    await clock.advance(25_000);
    await jobs[Symbol.asyncDispose]();
    await leases[Symbol.asyncDispose]();
    assert.equal(runsMs.length, 3);
  });

  it('R16: who waits for the lease of another runs as soon as that one is gone', async () => {
    const database = new MemoryDatabase();
    const one = onLease(true, undefined, { database, clock: new ManualClock(), holder: 1 });
    await one.clock.advance(2_000);
    assert.equal(one.runsMs.length, 1);
    const other = onLease(true, undefined, { database, clock: one.clock, holder: 2 });
    await one.clock.advance(20_000);
    assert.deepEqual([one.runsMs.length, other.runsMs.length], [3, 0]);
    await one.jobs[Symbol.asyncDispose]();
    await one.leases[Symbol.asyncDispose]();
    await one.clock.advance(1_500);
    assert.equal(other.runsMs.length, 1);
    await other.jobs[Symbol.asyncDispose]();
    await other.leases[Symbol.asyncDispose]();
  });
});

/** A job of one instance that has no pause before its first run, and 10 s between two; when it ran. */
function onLease(
  isShared: boolean,
  work: (store: Store) => Promise<void> = () => Promise.resolve(),
  { database, clock, holder } = { database: new MemoryDatabase(), clock: new ManualClock(), holder: 1 },
): { clock: ManualClock; jobs: AsyncDisposable; leases: Leases; runsMs: number[]; startedMs: number } {
  const store = openMemoryStore(database, { clock, random: seededRandom(holder) });
  const deps = { store, clock, log: silentLog };
  const leases = new Leases({ ...deps, holder: new Uint8Array(16).fill(holder), rank: 100, onExpired: () => Promise.resolve() });
  const runsMs: number[] = [];
  let pauseMs = 0;
  const job: Job = {
    name: 'job',
    runsOn: 'one',
    pauseMs: () => {
      const ms = pauseMs;
      pauseMs = 10_000;
      return ms;
    },
    work: (store) => {
      runsMs.push(clock.monotonic());
      return work(store);
    },
  };
  const startedMs = clock.monotonic();
  return { clock, leases, runsMs, startedMs, jobs: runJobs([job], { ...deps, leases: isShared ? leases : undefined }) };
}
