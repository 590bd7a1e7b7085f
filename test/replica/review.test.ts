import assert from 'node:assert/strict';
import { parseStamp } from '../../src/core/stamp.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { hasCode } from '../../src/core/errors.ts';
import { limits } from '../../src/core/limits.ts';
import { headKey, valueKey } from '../../src/replica/change.ts';
import { grantZero } from '../../src/core/write.ts';
import { scrub } from '../../src/aae/scrub.ts';
import { silentLog } from '../../src/core/ports.ts';
import { FakeClock } from '../support.ts';
import { key, openInstance, set } from '../aae/world.ts';
import { received } from './received.ts';

const latest = parseStamp(new Uint8Array(16).fill(0xff));

describe('what the review of the replica found', () => {
  it('R8: a holder that takes its slot again gives no batch a number that is stored already', async () => {
    const database = new MemoryDatabase();
    const a = await openInstance({ database });
    await a.replica.write([set('one', '1')]);
    const b = await openInstance({ database });
    await b.replica.write([set('two', '2')]);
    await b.replica.write([set('three', '3')]);
    await assert.rejects(a.replica.write([set('four', '4')]), (error) => hasCode(error, 'unavailable'));
    const outcomes = await a.replica.write([set('five', '5')]);
    assert.equal(outcomes.length, 1);
    assert.ok((await a.replica.get(key('five'))).exists);
  });

  it('a write with the greatest stamp of all is parked, and harms nobody in its commit', async () => {
    const instance = await openInstance();
    const [results, outcomes] = await Promise.all([
      instance.replica.receive([received(instance.digests, 'late', latest)], 'peer'),
      instance.replica.write([set('k', 'v')]),
    ]);
    assert.equal(results[0]?.status, 'parked');
    assert.equal(outcomes[0]?.applied, true);
  });

  it('R9: a clock that goes back while a parked write is taken in does not lose it', async () => {
    const clock = new FakeClock();
    const instance = await openInstance({ clock });
    const early = new FakeClock(clock.ms + 60_000);
    const other = await openInstance({ clock: early, cluster: 2 });
    const [outcome] = await other.replica.write([set('k', 'v')]);
    assert.ok(outcome !== undefined);
    await instance.replica.receive([received(instance.digests, 'k', outcome.version)], 'peer');
    clock.ms += 60_000;
    const taking = instance.replica.retryParked();
    clock.ms -= 60_000;
    await taking;
    assert.equal((await instance.replica.parkedCount()).writes, 1);
    clock.ms += 60_000;
    assert.equal(await instance.replica.retryParked(), 1);
    assert.ok((await instance.replica.get(key('k'))).exists);
  });

  it('a batch of more bytes than one transaction takes is too_large', async () => {
    const instance = await openInstance();
    const ops = Array.from({ length: 9 }, (_, i) => set(`k${i}`, 'x'.repeat(limits.valueBytesMax)));
    await assert.rejects(instance.replica.write(ops), (error) => hasCode(error, 'too_large'));
  });

  it('G17: a stored value that is cut off, or whose signature block is not its own, is reported and read as corrupt', async () => {
    for (const record of [[], [0], [0, 1], [0xff, 0xff]]) {
      const instance = await openInstance();
      await instance.replica.write([set('k', 'v'.repeat(255))]);
      await instance.store.transact((tx) => {
        tx.set(valueKey(key('k'), grantZero), Uint8Array.from(record));
        return Promise.resolve();
      });
      const report = await scrub(instance.store, instance.digests, silentLog, new AbortController().signal);
      assert.deepEqual([report.damaged.length, report.repaired], [1, 0]);
      await assert.rejects(instance.replica.get(key('k')), (error) => hasCode(error, 'corrupt'));
    }
  });

  it('G17: a value in its head whose signature block is not its own is reported, read as corrupt, and can be written again', async () => {
    for (const block of [
      [0, 2],
      [0xff, 0xff],
    ]) {
      const instance = await openInstance();
      await instance.replica.write([set('k', 'v')]);
      const head = Buffer.from((await instance.store.read((snapshot) => snapshot.get(headKey(key('k'))))) ?? []);
      head.set(block, head.length - 3); // signature block 2 | value 1
      await instance.store.transact((tx) => {
        tx.set(headKey(key('k')), head);
        return Promise.resolve();
      });
      const report = await scrub(instance.store, instance.digests, silentLog, new AbortController().signal);
      assert.deepEqual([report.damaged.length, report.repaired], [1, 0]);
      await assert.rejects(instance.replica.get(key('k')), (error) => hasCode(error, 'corrupt'));
      await instance.replica.write([set('k', 'again')]);
      assert.equal(Buffer.from((await instance.replica.get(key('k'))).value).toString(), 'again');
    }
  });
});
