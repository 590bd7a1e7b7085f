import assert from 'node:assert/strict';
import fc from 'fast-check';
import { ByteReader } from '../../src/core/bytes.ts';
import { ByteWriter } from '../../src/core/byteWriter.ts';
import {
  cappedFrontier,
  clusterPartOf,
  covers,
  frontierZero,
  isBehind,
  latestOf,
  lowOf,
  readFrontier,
  slotOf,
  writeFrontier,
  type Frontier,
} from '../../src/core/frontier.ts';
import { compareStamps, stampZero } from '../../src/core/stamp.ts';
import { askedStamps, frontierOf, frontiers, joinFrontiers, parts, stampOf } from './frontiers.ts';
import { assertNothingElse, assertStrict, refuses } from './strict.ts';

function encode(frontier: Frontier): Uint8Array {
  const out = new ByteWriter();
  writeFrontier(out, frontier);
  return out.done();
}

function decode(bytes: Uint8Array): Frontier {
  const reader = new ByteReader(bytes, 'frontier');
  const frontier = readFrontier(reader);
  reader.end();
  return frontier;
}

const hexOf = (frontier: Frontier): string => Buffer.from(encode(frontier)).toString('hex');
const [p1, p2] = parts;

describe('M2: frontiers', () => {
  it('joining is commutative, associative and idempotent, and zero is its unit', () => {
    fc.assert(
      fc.property(frontiers, frontiers, frontiers, (a, b, c) => {
        assert.equal(hexOf(joinFrontiers(a, b)), hexOf(joinFrontiers(b, a)));
        assert.equal(hexOf(joinFrontiers(joinFrontiers(a, b), c)), hexOf(joinFrontiers(a, joinFrontiers(b, c))));
        assert.equal(hexOf(joinFrontiers(a, a)), hexOf(a));
        assert.equal(hexOf(joinFrontiers(a, frontierZero)), hexOf(a));
      }),
    );
  });

  it('a join covers what either covers, and nothing else', () => {
    fc.assert(
      fc.property(frontiers, frontiers, askedStamps, (a, b, stamp) => {
        assert.equal(covers(joinFrontiers(a, b), stamp), covers(a, stamp) || covers(b, stamp));
      }),
      { numRuns: 1_000 },
    );
  });

  it('one is behind another of its cluster where that covers what it does not', () => {
    const slots = [0, 1, 2, 3, 255];
    // Bounds have 0 as their logical part: what lies between two of them has more.
    const asked = slots.flatMap((slot) => [0, 1, 2, 3, 4].flatMap((ms) => [0, 1].map((logical) => stampOf(p1, slot, ms, logical))));
    fc.assert(
      fc.property(frontiers, frontiers, (ours, theirs) => {
        const misses = asked.some((stamp) => covers(theirs, stamp) && !covers(ours, stamp));
        assert.equal(isBehind(ours.get(p1), theirs.get(p1)), misses);
      }),
      { numRuns: 1_000 },
    );
  });

  it('a base holds for the slots that are not named, and for no others', () => {
    const frontier = frontierOf({ [p1]: { base: stampOf(p1, 0, 10), slots: { 1: stampOf(p1, 1, 5) } } });
    assert.equal(covers(frontier, stampOf(p1, 1, 6)), false, 'a named slot that is behind the base');
    assert.equal(covers(frontier, stampOf(p1, 1, 5)), true);
    assert.equal(covers(frontier, stampOf(p1, 2, 9)), true);
    assert.equal(covers(frontier, stampOf(p1, 2, 11)), false);
    assert.equal(covers(frontier, stampOf(p2, 1, 1)), false, 'a cluster that is not named is at zero');
    assert.equal(clusterPartOf(stampOf(p1, 1, 6)), p1);
    assert.equal(slotOf(stampOf(p1, 0x0102, 6)), 0x0102, 'both bytes of it');
  });

  it('a capped frontier covers what it covered up to the cap, and nothing beyond', () => {
    fc.assert(
      fc.property(frontiers, askedStamps, askedStamps, (frontier, cap, stamp) => {
        const capped = cappedFrontier(frontier, cap);
        assert.equal(covers(capped, stamp), covers(frontier, stamp) && compareStamps(stamp, cap) <= 0);
        assert.ok(compareStamps(latestOf(capped), cap) <= 0);
      }),
      { numRuns: 1_000 },
    );
  });

  it('its low is the least of bases and slots of the clusters asked for, zero where one is not known', () => {
    const frontier = frontierOf({
      [p1]: { base: stampOf(p1, 0, 10), slots: { 1: stampOf(p1, 1, 5) } },
      [p2]: { base: stampOf(p2, 0, 7) },
    });
    assert.deepEqual(lowOf(frontier, [p1, p2]), stampOf(p1, 1, 5));
    assert.deepEqual(lowOf(frontier, [p2]), stampOf(p2, 0, 7));
    assert.deepEqual(lowOf(frontier, [p1, parts[2]]), stampZero);
    assert.deepEqual(lowOf(frontier, []), stampZero);
  });
});

describe('M2: bytes of a frontier', () => {
  it('come back as they went, and have one encoding: cut, extended and garbled ones are refused', () => {
    fc.assert(
      fc.property(frontiers, (frontier) => {
        const bytes = encode(frontier);
        assert.equal(hexOf(decode(bytes)), Buffer.from(bytes).toString('hex'));
        assertStrict(decode, bytes);
      }),
      { numRuns: 50 },
    );
    assertNothingElse(decode);
  });

  it('clusters and slots that do not rise, that are too many, and slots that no cluster has are refused', () => {
    const cluster = (part: string, ...slots: number[]): Buffer => {
      const head = [Buffer.from(part, 'hex'), Buffer.alloc(16, 1), Buffer.of(slots.length >> 8, slots.length & 0xff)];
      return Buffer.concat([...head, ...slots.map((slot) => Buffer.concat([Buffer.of(slot >> 8, slot & 0xff), Buffer.alloc(16, 2)]))]);
    };
    const whole = (...clusters: Buffer[]): Buffer => Buffer.concat([Buffer.of(clusters.length >> 8, clusters.length & 0xff), ...clusters]);
    assert.equal(decode(whole(cluster(p1, 0, 255), cluster(p2))).size, 2);
    assert.equal(refuses(decode, whole(cluster(p2), cluster(p1))), true, 'clusters that fall');
    assert.equal(refuses(decode, whole(cluster(p1), cluster(p1))), true, 'a cluster twice');
    assert.equal(refuses(decode, whole(cluster(p1, 2, 1))), true, 'slots that fall');
    assert.equal(refuses(decode, whole(cluster(p1, 2, 2))), true, 'a slot twice');
    assert.equal(refuses(decode, whole(cluster(p1, 256))), true, 'a slot beyond 255');
    assert.equal(refuses(decode, whole(cluster(p1, ...Array.from({ length: 257 }, (_, i) => i)))), true, '257 slots');
    const many = (count: number): Buffer =>
      whole(...Array.from({ length: count }, (_, i) => cluster((i + 1).toString(16).padStart(12, '0'))));
    assert.equal(decode(many(1_000)).size, 1_000);
    assert.equal(refuses(decode, many(1_001)), true, '1,001 clusters');
  });
});
