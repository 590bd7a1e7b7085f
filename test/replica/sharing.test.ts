import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { openInstance, set, type Instance } from '../aae/world.ts';
import { FakeClock } from '../support.ts';

/** Keeps what was waited for. Time passes in waiting alone, and where it is held, a wait ends by its signal alone. */
class WatchedClock extends FakeClock {
  readonly waitsMs: number[] = [];
  isHeld = false;

  override sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.waitsMs.push(ms);
    if (!this.isHeld) return super.sleep(ms);
    return new Promise((resolve) => {
      signal?.addEventListener('abort', () => {
        resolve();
      });
    });
  }
}

async function open(): Promise<{ clock: WatchedClock; write: (count: number) => Promise<unknown> }> {
  const clock = new WatchedClock();
  const { replica }: Instance = await openInstance({ clock });
  let next = 0;
  const one = (): Promise<unknown> => replica.write([set(`k${(next += 1)}`, 'v')]);
  return { clock, write: (count) => Promise.all(Array.from({ length: count }, one)) };
}

describe('R34: callers that shared a commit are waited for', () => {
  it('a lone caller never waits, and two do not', async () => {
    const { clock, write } = await open();
    for (let i = 0; i < 10; i += 1) await write(1);
    for (let i = 0; i < 10; i += 1) await write(2);
    assert.deepEqual(clock.waitsMs, []);
  });

  it('where fewer come they have 4 ms from the beginning of the commit before; who all come do not wait', async () => {
    const { clock, write } = await open();
    await write(8);
    await write(8);
    assert.deepEqual(clock.waitsMs, []);
    await write(1);
    assert.deepEqual(clock.waitsMs, [4]);
    clock.ms += 1;
    await write(3);
    clock.ms += 4;
    await write(1);
    assert.deepEqual(clock.waitsMs, [4, 3]);
  });

  it('with the last of them waiting ends; of many, the eighth is enough', async () => {
    const { clock, write } = await open();
    await write(100);
    clock.isHeld = true;
    const first = write(7);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(clock.waitsMs, [4]);
    await Promise.all([first, write(1)]);
    assert.deepEqual(clock.waitsMs, [4]);
  });

  it('who shared a commit once is forgotten', async () => {
    const { clock, write } = await open();
    await write(8);
    for (let i = 0; i < 20; i += 1) await write(1);
    assert.equal(clock.waitsMs.length, 8);
  });

  it('an instance that stops waits for nobody', async () => {
    const clock = new WatchedClock();
    const { replica } = await openInstance({ clock });
    await Promise.all(Array.from({ length: 8 }, (_, i) => replica.write([set(`k${i}`, 'v')])));
    clock.isHeld = true;
    const last = replica.write([set('last', 'v')]);
    await new Promise((resolve) => setImmediate(resolve));
    await replica.close();
    assert.equal((await last).length, 1);
  });
});
