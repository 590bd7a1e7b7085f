import assert from 'node:assert/strict';
import { GkvError } from '../../src/core/errors.ts';
import { noticingFull } from '../../src/server/diskRoom.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { forwarded } from '../store/wrap.ts';
import { FakeClock, seededRandom } from '../support.ts';

describe('a disk that is full', () => {
  it('is known of for a minute after a write found no room, whatever other writes and failures there are', async () => {
    const clock = new FakeClock();
    const memory = openMemoryStore(new MemoryDatabase(), { clock, random: seededRandom(1) });
    let failure: GkvError | undefined;
    const { store, isFull } = noticingFull(
      {
        ...forwarded(memory),
        transact: (work, options) => (failure === undefined ? memory.transact(work, options) : Promise.reject(failure)),
      },
      clock,
    );
    const write = (): Promise<void> => store.transact(() => Promise.resolve());
    failure = new GkvError('unavailable', 'for this test');
    await assert.rejects(write());
    assert.equal(isFull(), false);
    failure = new GkvError('disk_full', 'for this test');
    await assert.rejects(write(), { code: 'disk_full' });
    failure = undefined;
    await write();
    assert.equal(isFull(), true);
    clock.ms += 60_000;
    assert.equal(isFull(), false);
  });
});
