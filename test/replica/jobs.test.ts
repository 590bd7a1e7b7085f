import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { silentLog } from '../../src/core/ports.ts';
import { runJobs } from '../../src/replica/jobs.ts';
import { realClock } from '../../src/server/real.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { type Store } from '../../src/store/store.ts';
import { seededRandom, until } from '../support.ts';

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
});
