import assert from 'node:assert/strict';
import { setMaxListeners } from 'node:events';
import { describe, it } from 'mocha';
import { frontierZero, type Frontier } from '../../src/core/frontier.ts';
import { CoverWaits } from '../../src/replica/coverWaits.ts';
import { frontierOf, parts, stampOf } from '../core/frontiers.ts';
import { ManualClock, until } from '../support.ts';

const [part] = parts;
const never = new AbortController().signal;
setMaxListeners(0, never);
const slot = 3;

/** A frontier that the test moves, and how often it was looked at. */
class World {
  readonly clock = new ManualClock();
  looks = 0;
  #read: () => Promise<Frontier> = () => Promise.resolve(frontierZero);
  #changed: () => void = () => undefined;
  readonly waits = new CoverWaits({
    clock: this.clock,
    store: {
      watch: (_row, signal) =>
        new Promise((resolve) => {
          this.#changed = resolve;
          signal.addEventListener('abort', () => {
            resolve();
          });
        }),
    },
    frontier: () => {
      this.looks += 1;
      return this.#read();
    },
  });

  /** Resolves false unless it is covered within 5 s. */
  wait(ms: number, signal = never): Promise<boolean> {
    return this.waits.wait(stampOf(part, slot, ms), 5_000, signal);
  }

  move(ms: number): void {
    const frontier = frontierOf({ [part]: { base: stampOf(part, 0, 0), slots: { [slot]: stampOf(part, slot, ms) } } });
    this.#read = () => Promise.resolve(frontier);
    this.#changed();
  }

  fail(error: Error): void {
    this.#read = () => Promise.reject(error);
    this.#changed();
  }
}

describe('R22: who waits for one slot looks together', () => {
  it('a change takes one look, ends the waits that it covers, and leaves the others', async () => {
    const world = new World();
    const done: number[] = [];
    const waits = Array.from({ length: 50 }, async (_, at) => {
      assert.equal(await world.wait(at + 1), true);
      done.push(at + 1);
    });
    await until(() => world.looks > 0);
    await world.clock.advance(1);
    const before = world.looks;
    world.move(20);
    await until(() => done.length === 20);
    assert.deepEqual([Math.max(...done), world.looks - before], [20, 1]);
    world.move(50);
    await Promise.all(waits);
    assert.equal(world.looks - before, 2);
  });

  it('who comes while others wait is looked for at once', async () => {
    const world = new World();
    const first = world.wait(9);
    await until(() => world.looks === 1);
    world.move(5);
    await until(() => world.looks === 2);
    assert.equal(await world.wait(5), true);
    world.move(9);
    assert.equal(await first, true);
  });

  it('one that is aborted, or has waited for its bound, ends alone', async () => {
    const world = new World();
    const stop = new AbortController();
    const aborted = world.wait(1, stop.signal);
    const early = world.wait(1);
    await until(() => world.looks > 0);
    await world.clock.advance(3_000);
    const late = world.wait(1);
    stop.abort();
    assert.equal(await aborted, false);
    await world.clock.advance(2_100);
    assert.equal(await early, false);
    world.move(1);
    assert.equal(await late, true);
    assert.equal(await world.wait(2, AbortSignal.abort()), false);
  });

  it('a look that fails is told to all who wait, and the next one begins anew', async () => {
    const world = new World();
    const waits = [world.wait(1), world.wait(2)].map((waiting) => assert.rejects(waiting, /away/));
    await until(() => world.looks > 0);
    world.fail(new Error('the store is away'));
    await Promise.all(waits);
    world.move(3);
    assert.equal(await world.wait(3), true);
  });
});
