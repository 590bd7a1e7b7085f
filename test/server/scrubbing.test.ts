import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { silentLog } from '../../src/core/ports.ts';
import { grantZero } from '../../src/core/write.ts';
import { headKey, valueKey } from '../../src/replica/change.ts';
import { runJobs } from '../../src/replica/jobs.ts';
import { Scrubbing, type ScrubbingDeps } from '../../src/server/scrubbing.ts';
import { scrubGauges } from '../../src/server/statusView.ts';
import { key, openInstance, set, type Instance } from '../aae/world.ts';
import { FakeClock, ManualClock, seededRandom } from '../support.ts';

const never = new AbortController().signal;
const minuteMs = 60_000;

function scrubbingOf({ digests }: Instance, changes: Partial<ScrubbingDeps> = {}): Scrubbing {
  return new Scrubbing({ digests, clock: new FakeClock(), random: seededRandom(1), log: silentLog, leases: undefined, ...changes });
}

/** Keys whose values are gone. */
async function lose({ store }: Instance, names: readonly string[]): Promise<void> {
  await store.transact((tx) => {
    for (const name of names) tx.clear(valueKey(key(name), grantZero));
    return Promise.resolve();
  });
}

async function loaded(count: number): Promise<Instance> {
  const instance = await openInstance();
  await instance.replica.write(Array.from({ length: count }, (_, i) => set(`k${String(i).padStart(3, '0')}`, 'v'.repeat(300))));
  return instance;
}

describe('A22: scrubs of a running instance', () => {
  it('the first begins 3 to 5 minutes after the start, and each other one an hour after the one before', async () => {
    const instance = await loaded(3);
    const firstMs = new Set<number>();
    for (let seed = 1; seed <= 5; seed += 1) {
      const clock = new ManualClock();
      const startedMs = clock.now();
      const scrubbing = scrubbingOf(instance, { clock, random: seededRandom(seed) });
      const jobs = runJobs([scrubbing.job], { store: instance.store, leases: undefined, clock, log: silentLog });
      const ended: number[] = [];
      for (let minute = 0; minute < 130; minute += 1) {
        await clock.advance(minuteMs, 1_000);
        const { endedMs } = scrubbing.last ?? {};
        if (endedMs !== undefined && ended.at(-1) !== endedMs) ended.push(endedMs);
      }
      await jobs[Symbol.asyncDispose]();
      const [first = 0, second = 0, third = 0] = ended.map((ms) => ms - startedMs);
      assert.ok(first >= 3 * minuteMs && first <= 6 * minuteMs, `${first} ms`);
      for (const laterMs of [second - first, third - second]) assert.ok(Math.abs(laterMs - 60 * minuteMs) < minuteMs, `${laterMs} ms`);
      firstMs.add(first);
    }
    assert.ok(firstMs.size > 1, 'instances that start at one time do not all scrub at one time');
  });

  it('tell when the last whole one ended, how much it saw and what it found', async () => {
    const instance = await loaded(10);
    const clock = new FakeClock();
    const scrubbing = scrubbingOf(instance, { clock });
    assert.deepEqual(
      [scrubbing.last, scrubbing.fault, scrubGauges(scrubbing, clock.now())],
      [undefined, undefined, { ageMs: undefined, keys: undefined, repaired: undefined, damaged: undefined }],
    );
    await scrubbing.job.work(instance.store, never);
    const endedMs = clock.now();
    assert.deepEqual(
      [scrubbing.last?.endedMs, scrubbing.last?.keys, scrubbing.last?.damagedCount, scrubbing.fault],
      [endedMs, 10, 0, undefined],
    );
    clock.ms += 5_000;
    assert.deepEqual(scrubGauges(scrubbing, clock.now()), { ageMs: 5_000, keys: 10, repaired: 0, damaged: 0 });
  });

  it('G17: tell damage as a fault with its count and the first key, until one has found it mended', async () => {
    const instance = await loaded(150);
    const scrubbing = scrubbingOf(instance);
    const lost = Array.from({ length: 120 }, (_, i) => `k${String(i + 7).padStart(3, '0')}`);
    await lose(instance, lost);
    await scrubbing.job.work(instance.store, never);
    const first = Buffer.from('k007').toString('base64url');
    assert.match(scrubbing.fault?.message ?? '', new RegExp(`^120 keys hold something else than what was written, the first ${first} `));
    assert.deepEqual([scrubbing.fault?.code, scrubbing.damagedCount], ['corrupt', 120]);
    await instance.replica.write(lost.slice(1).map((name) => set(name, 'v')));
    await scrubbing.job.work(instance.store, never);
    assert.match(scrubbing.fault?.message ?? '', /^1 key holds /);
    await instance.replica.write([set('k007', 'v')]);
    await scrubbing.job.work(instance.store, never);
    assert.deepEqual([scrubbing.fault, scrubbing.damagedCount], [undefined, 0]);
  });

  it('G17: tell damage as soon as it is found, and what did not see everything is no whole one', async () => {
    const instance = await loaded(900);
    await instance.store.transact((tx) => {
      tx.set(headKey(key('k000')), Buffer.from('no entry'));
      return Promise.resolve();
    });
    const stop = new AbortController();
    const error = (): void => {
      stop.abort(); // it has found something, and not seen the rest
    };
    const scrubbing = scrubbingOf(instance, { log: { ...silentLog, error } });
    await scrubbing.job.work(instance.store, stop.signal);
    assert.deepEqual([scrubbing.last, scrubbing.damagedCount, scrubbing.fault?.code], [undefined, 1, 'corrupt']);
  });

  it('are told by the instance that does them, of those that share a store', async () => {
    const instance = await loaded(5);
    await lose(instance, ['k001']);
    const held = new Set(['job/scrub']);
    const scrubbing = scrubbingOf(instance, { leases: { held: (name) => (held.has(name) ? {} : undefined) } });
    await scrubbing.job.work(instance.store, never);
    assert.deepEqual([scrubbing.last?.keys, scrubbing.damagedCount, scrubbing.fault?.code], [5, 1, 'corrupt']);
    held.clear();
    assert.deepEqual([scrubbing.last, scrubbing.damagedCount, scrubbing.fault], [undefined, undefined, undefined]);
  });
});
