import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compareStamps, makeStamp, parseInstance, physicalMsOf, type Stamp } from '../../src/core/stamp.ts';
import { HybridClock } from '../../src/replica/clock.ts';
import { stamps } from '../core/arbitraries.ts';
import { FakeClock } from '../support.ts';

const instance = parseInstance(new Uint8Array(8).fill(3));
const steps = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('wall'), ms: fc.integer({ min: -5_000, max: 5_000 }) }),
    fc.record({ kind: fc.constant('next'), ms: fc.constant(0) }),
    fc.record({ kind: fc.constantFrom('observe', 'above'), ms: fc.integer({ min: -6_000, max: 6_000 }) }),
  ),
  { maxLength: 60 },
);

describe('hybrid clock', () => {
  it('G14: G15: R3: (replaced) stamps rise with every call, whatever the wall clock does and whatever is observed', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const wall = new FakeClock();
        const clock = new HybridClock(wall, instance);
        let last: Stamp | undefined;
        for (const { kind, ms } of list) {
          const other = makeStamp(wall.now() + ms, 0xffff, parseInstance(new Uint8Array(8).fill(0xff)));
          if (kind === 'wall') wall.ms += ms;
          else if (kind === 'observe') {
            clock.observe(other);
            if (last === undefined || compareStamps(other, last) > 0) last = other;
          } else {
            const minted = kind === 'next' ? clock.next() : clock.nextAbove(other);
            assert.ok(last === undefined || compareStamps(minted, last) > 0);
            assert.ok(kind === 'next' || compareStamps(minted, other) > 0, 'above what it overwrites');
            assert.deepEqual(Buffer.from(minted.subarray(8)), Buffer.from(instance));
            last = minted;
          }
        }
      }),
    );
  });

  it('R3: I11: a stamp is no further ahead than the wall clock was, or what was observed, but for carries', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const wall = new FakeClock();
        const clock = new HybridClock(wall, instance);
        let greatestMs = 0;
        for (const { kind, ms } of list) {
          if (kind === 'wall') wall.ms += ms;
          greatestMs = Math.max(greatestMs, wall.now());
          if (kind === 'observe') {
            clock.observe(makeStamp(wall.now() + ms, 0, instance));
            greatestMs = Math.max(greatestMs, wall.now() + ms);
          }
          if (kind === 'next') assert.ok(physicalMsOf(clock.next()) <= greatestMs);
        }
      }),
    );
  });

  it('R3: follows the wall clock again once that has passed it', () => {
    const wall = new FakeClock(1_000);
    const clock = new HybridClock(wall, instance);
    clock.observe(makeStamp(3_000, 5, instance));
    assert.deepEqual(clock.next(), makeStamp(3_000, 6, instance));
    assert.equal(clock.aheadMs(), 2_000);
    wall.ms = 4_000;
    assert.deepEqual(clock.next(), makeStamp(4_000, 0, instance));
    assert.equal(clock.aheadMs(), 0);
  });

  it('R3: logical parts carry into the ms when they are used up', () => {
    const clock = new HybridClock(new FakeClock(1_000), instance);
    clock.observe(makeStamp(1_000, 0xffff, instance));
    assert.deepEqual(clock.next(), makeStamp(1_001, 0, instance));
  });

  it('R3: observing something older changes nothing', () => {
    fc.assert(
      fc.property(stamps, stamps, (a, b) => {
        const clock = new HybridClock(new FakeClock(), instance);
        clock.observe(a);
        clock.observe(b);
        assert.equal(compareStamps(clock.last, compareStamps(a, b) > 0 ? a : b), 0);
      }),
    );
  });
});
