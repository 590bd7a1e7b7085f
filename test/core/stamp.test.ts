import assert from 'node:assert/strict';
import fc from 'fast-check';
import { hasCode } from '../../src/core/errors.ts';
import {
  compareStamps,
  logicalOf,
  makeStamp,
  parseInstance,
  parseStamp,
  physicalMsMax,
  physicalMsOf,
  stampFromHex,
  stampToHex,
  successorStamp,
} from '../../src/core/stamp.ts';
import { stamps } from './arbitraries.ts';
import { refuses } from './strict.ts';

const instance = parseInstance(new Uint8Array(8).fill(9));

describe('stamp', () => {
  it('G12: C3: byte order is order by physical part, logical part, instance', () => {
    fc.assert(
      fc.property(stamps, stamps, (a, b) => {
        const parts = [physicalMsOf(a) - physicalMsOf(b), logicalOf(a) - logicalOf(b), Buffer.compare(a.subarray(8), b.subarray(8))];
        assert.equal(Math.sign(compareStamps(a, b)), Math.sign(parts.find((part) => part !== 0) ?? 0));
      }),
    );
  });

  it('C3: the successor is the least stamp of its instance with a greater clock part, and carries into the ms', () => {
    fc.assert(
      fc.property(
        stamps.filter((stamp) => physicalMsOf(stamp) < physicalMsMax),
        (stamp) => {
          const next = successorStamp(stamp, instance);
          assert.ok(compareStamps(next, stamp) > 0);
          const clockPart = (of: typeof stamp): number => physicalMsOf(of) * 65_536 + logicalOf(of);
          if (physicalMsOf(stamp) < 2 ** 36) assert.equal(clockPart(next), clockPart(stamp) + 1);
        },
      ),
    );
    const full = makeStamp(5, 0xffff, instance);
    assert.deepEqual([physicalMsOf(successorStamp(full, instance)), logicalOf(successorStamp(full, instance))], [6, 0]);
    assert.throws(
      () => successorStamp(makeStamp(physicalMsMax, 0xffff, instance), instance),
      (error) => hasCode(error, 'internal'),
    );
  });

  it('C3: a stamp has 16 bytes, an instance 8', () => {
    for (const [parse, length] of [
      [parseStamp, 16],
      [parseInstance, 8],
    ] as const) {
      assert.equal(parse(new Uint8Array(length)).length, length);
      for (const other of [0, length - 1, length + 1]) assert.ok(refuses(parse, new Uint8Array(other)), `${other} bytes`);
    }
  });

  it('C3: hex comes back as it went, and nothing but 32 lower-case digits is taken', () => {
    fc.assert(
      fc.property(stamps, (stamp) => {
        assert.equal(compareStamps(stampFromHex(stampToHex(stamp)), stamp), 0);
      }),
    );
    for (const bad of ['', 'ab', 'A'.repeat(32), 'g'.repeat(32), '0'.repeat(33), `${'0'.repeat(32)}\n`]) {
      assert.throws(
        () => stampFromHex(bad),
        (error) => hasCode(error, 'malformed'),
        JSON.stringify(bad),
      );
    }
  });
});
