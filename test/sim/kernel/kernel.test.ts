import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { withBans } from './bans.ts';
import { clockOf, MachineClock } from './clock.ts';
import { Kernel } from './kernel.ts';
import { Life } from './life.ts';
import { EventQueue } from './queue.ts';
import { Streams } from './streams.ts';

/** The order in which ten events that are due at the same time come. */
async function orderOf(seed: number): Promise<number[]> {
  const kernel = new Kernel(seed);
  const order: number[] = [];
  await kernel.run(async () => {
    for (let i = 0; i < 10; i += 1) kernel.after(5, `event ${i}`, () => order.push(i));
    await kernel.sleep(10, '');
  });
  return order;
}

describe('simulation: kernel', () => {
  it('events come by time, then by the draw, then in order', () => {
    const random = new Streams(1).of('test');
    const queue = new EventQueue<{ atMs: number; tie: number; sequence: number }>();
    const events = Array.from({ length: 500 }, (_, sequence) => ({ atMs: random.below(20), tie: random.below(3), sequence }));
    for (const event of events) queue.push(event);
    const expected = [...events].sort((a, b) => a.atMs - b.atMs || a.tie - b.tie || a.sequence - b.sequence);
    assert.deepEqual(
      events.map(() => queue.pop()),
      expected,
    );
    assert.equal(queue.pop(), undefined);
  });

  it('the seed alone decides the order of what is due at once', async () => {
    assert.deepEqual(await orderOf(1), await orderOf(1));
    assert.notDeepEqual(await orderOf(1), await orderOf(2));
  });

  it('all microtasks of an event run before the next event', async () => {
    const kernel = new Kernel(1);
    const seen: string[] = [];
    await kernel.run(async () => {
      kernel.after(1, '', () => {
        void (async () => {
          for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
          seen.push('first');
        })();
      });
      kernel.after(1.001, '', () => seen.push('second'));
      await kernel.sleep(2, '');
    });
    assert.deepEqual(seen, ['first', 'second']);
  });

  it('says so when everything waits for what never comes', async () => {
    await assert.rejects(
      new Kernel(1).run(() => new Promise(() => undefined)),
      /nothing will happen any more/,
    );
  });

  it('a stream gives the same numbers whoever else draws', () => {
    const [one, two] = [new Streams(5), new Streams(5)];
    two.of('another').fraction();
    assert.equal(one.of('mine').fraction(), two.of('mine').fraction());
    assert.notEqual(one.of('mine').fraction(), one.of('yours').fraction());
  });
});

describe('simulation: lives and clocks', () => {
  it('a process that has ended hears nothing any more; one that is paused hears it later', async () => {
    const kernel = new Kernel(1);
    const [ended, paused] = [new Life(kernel, 'ended'), new Life(kernel, 'paused')];
    const heard: string[] = [];
    await kernel.run(async () => {
      for (const life of [ended, paused]) life.after(5, '', () => heard.push(`${life.name} at ${kernel.nowMs}`));
      await kernel.sleep(1, '');
      ended.end();
      paused.pause();
      await kernel.sleep(9, '');
      assert.deepEqual(heard, []);
      paused.resume();
      await kernel.sleep(1, '');
    });
    assert.deepEqual(heard, ['paused at 10']);
  });

  it('a wall clock jumps, drifts and stands still; the monotonic one and sleeps do not follow', async () => {
    const kernel = new Kernel(1);
    const machine = new MachineClock(kernel, 0.5);
    const clock = clockOf(machine, new Life(kernel, 'one'));
    await kernel.run(async () => {
      const began = clock.now();
      machine.jump(-1_000);
      assert.equal(clock.now(), began - 1_000);
      machine.runAt(2);
      await kernel.sleep(100, '');
      assert.equal(clock.now(), began - 800);
      machine.runAt(0);
      await clock.sleep(50);
      assert.deepEqual([clock.now(), clock.monotonic(), kernel.nowMs], [began - 800, 100, 200]);
      machine.setRight(7);
      assert.equal(clock.now(), began + 207);
      assert.equal(machine.greatestMs, began + 207);
    });
  });

  it('a sleep ends at once when its signal aborts', async () => {
    const kernel = new Kernel(1);
    const clock = clockOf(new MachineClock(kernel, 1), new Life(kernel, 'one'));
    const stop = new AbortController();
    await kernel.run(async () => {
      kernel.after(3, '', () => {
        stop.abort();
      });
      await clock.sleep(1_000, stop.signal);
      await clock.sleep(1_000, stop.signal);
    });
    assert.equal(kernel.nowMs, 3);
  });
});

describe('simulation: bans', () => {
  const banned: Readonly<Record<string, () => unknown>> = {
    'Date.now': () => Date.now(),
    'performance.now': () => performance.now(),
    'Math.random': () => Math.random(),
    setTimeout: () => setTimeout(() => undefined, 1),
    setInterval: () => setInterval(() => undefined, 1),
    setImmediate: () => setImmediate(() => undefined),
    'crypto.randomBytes': () => randomBytes(1),
    'webcrypto.randomUUID': () => crypto.randomUUID(),
    'Socket.connect': () => connect(1),
    fetch: () => fetch('http://localhost'),
  };

  for (const [name, use] of Object.entries(banned)) {
    it(`${name} throws within a run, and works again after it`, async () => {
      await withBans(() => {
        assert.throws(use, new RegExp(`${name.replace('.', '\\.')} was used within a simulation`));
        return Promise.resolve();
      });
      assert.ok(Date.now() > 0 && performance.now() > 0 && Math.random() < 1 && randomBytes(1).length === 1);
      await new Promise((resolve) => setImmediate(resolve));
    });
  }
});
