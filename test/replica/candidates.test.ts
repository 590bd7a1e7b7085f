import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Entry, type Head } from '../../src/core/entry.ts';
import { limits } from '../../src/core/limits.ts';
import { compareStamps, makeStamp, parseInstance, type Stamp } from '../../src/core/stamp.ts';
import { compareWrites, parseGrantId, parseWriteId, type GrantId } from '../../src/core/write.ts';
import { isSettledAgainst, settled, takeCandidate, unhidden, type CandidateBounds, type Chains } from '../../src/replica/candidates.ts';

const instance = parseInstance(new Uint8Array(8));
const atMs = (ms: number): Stamp => makeStamp(ms, 0, instance);
const leafOf = (path: string): GrantId => parseGrantId(Buffer.alloc(32).fill(Buffer.from(path), 0, path.length));

const pathOf = (leaf: GrantId): string => Buffer.from(leaf).toString().replace(/\0+$/, '');

/** Leaves are paths: 'ab' follows from 'a'. What follows from an ended one has ended. */
function chainsOf(ended: readonly string[] = []): Chains {
  return {
    covers: (over, under) => pathOf(under).startsWith(pathOf(over)),
    hasEnded: (leaf) => ended.some((path) => pathOf(leaf).startsWith(path)),
    linksOf: (leaf) => Array.from(pathOf(leaf), (_, i) => pathOf(leaf).slice(0, i + 1)),
  };
}

/** All are grants of the root's. */
const flat = (ended: readonly string[] = []): Chains => ({ ...chainsOf(ended), linksOf: (leaf) => [pathOf(leaf)] });

function head(path: string, ms: number, more: Partial<Head> = {}): Head {
  const id = parseWriteId(Buffer.concat([leafOf(path).subarray(0, 28), Buffer.from([0, 0, ms >> 8, ms & 0xff])]));
  const rest = { tombstone: false, expiresAt: 0, length: 1, accepted: atMs(ms), position: undefined, record: undefined };
  return { ...rest, version: atMs(ms), id, leaf: leafOf(path), ...more };
}

const paths = ['a', 'ab', 'abc', 'ad', 'e', 'ef'];
const heads: fc.Arbitrary<Head> = fc
  .record({ path: fc.constantFrom(...paths), ms: fc.nat(20), tombstone: fc.boolean() })
  .map(({ path, ms, tombstone }) => head(path, ms, { tombstone: tombstone && ms % 2 === 0 }));
const histories = fc.uniqueArray(heads, { maxLength: 15, selector: ({ id }) => Buffer.from(id).toString('hex') });

function takeAll(list: readonly Head[], chains = chainsOf(), from: Entry = [], bounds?: CandidateBounds): Entry {
  return list.reduce<Entry>((entry, each) => {
    const taken = takeCandidate(entry, each, chains, bounds);
    return taken.kind === 'applied' ? taken.entry : entry;
  }, from);
}

describe('candidates', () => {
  it('I2: R29: taking candidates commutes and is idempotent, with chains that cover one another', () => {
    fc.assert(
      fc.property(
        histories.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))),
        ([list, shuffled]) => {
          const entry = takeAll(list);
          assert.deepEqual(takeAll(shuffled), entry);
          assert.deepEqual(takeAll(shuffled, chainsOf(), entry), entry);
        },
      ),
    );
  });

  it('I7: R29: what is not kept has a greater one whose chain is part of its own; of those kept none has', () => {
    fc.assert(
      fc.property(histories, (list) => {
        const entry = takeAll(list);
        const chains = chainsOf();
        const isDominated = (each: Head): boolean => entry.some((by) => compareWrites(by, each) > 0 && chains.covers(by.leaf, each.leaf));
        for (const each of list) assert.equal(entry.includes(each), !isDominated(each));
      }),
    );
  });

  it('I3: K10: R29: the end of any grant leaves to see what would be seen if nothing had ever been written under it', () => {
    fc.assert(
      fc.property(histories, fc.subarray(paths), (list, ended) => {
        const chains = chainsOf(ended);
        const left = takeAll(list).filter(({ leaf }) => !chains.hasEnded(leaf));
        assert.deepEqual(left, takeAll(list.filter(({ leaf }) => !chains.hasEnded(leaf))));
      }),
    );
  });

  it('R12: the floor leaves at most one candidate below it, the greatest that stands, and is idempotent', () => {
    fc.assert(
      fc.property(histories, fc.nat(22), fc.subarray(paths), (list, floorMs, ended) => {
        const [entry, floor, chains] = [takeAll(list), atMs(floorMs), chainsOf(ended)];
        const left = settled(entry, floor, chains);
        const standing = entry.filter(({ leaf }) => !chains.hasEnded(leaf));
        const below = standing.filter(({ version }) => compareStamps(version, floor) < 0);
        const above = standing.filter(({ version }) => compareStamps(version, floor) >= 0);
        assert.deepEqual(left, [...above, ...below.slice(0, 1).filter(({ tombstone }) => !tombstone)]);
        assert.deepEqual(settled(left, floor, chains), left);
        for (const each of below.slice(1)) assert.ok(isSettledAgainst(entry, each, floor, chains), 'it does not come in again');
      }),
    );
  });

  it('I3: A19: what is told in an exchange is what the floor leaves, or more where it is about to be swept', () => {
    fc.assert(
      fc.property(histories, fc.nat(22), (list, floorMs) => {
        const entry = takeAll(list);
        const told = unhidden(entry, atMs(floorMs));
        const left = settled(entry, atMs(floorMs), chainsOf());
        assert.deepEqual(told.slice(0, left.length), left);
        assert.ok(told.slice(left.length).every(({ tombstone }, i) => tombstone && i === 0));
      }),
    );
  });

  it('I9: R29: of more than 128 those that have ended give way before the least', () => {
    const chains = flat(['x']);
    const names = Array.from({ length: limits.candidatesKeptMax }, (_, i) => `${i < 100 ? 'x' : 'y'}${100 + i}`);
    const full = takeAll(
      names.map((name, i) => head(name, 1_000 + i)),
      flat(),
    );
    assert.equal(full.length, limits.candidatesKeptMax);
    const honest = head('h', 1);
    const entry = takeAll([honest], chains, full);
    assert.deepEqual([entry.length, entry.at(-1)], [29, honest]);
    assert.equal(takeCandidate(full, honest, flat()).kind, 'dominated', 'while all stand the least goes');
  });

  it('I9: R29: whatever one grant is given on to, an honest write of another, or under another link, keeps its place', () => {
    const honest = [head('h', 1), head('am', 2), head('abm', 3)];
    for (const place of [1, 2, 3, 4, 5, 6, 7]) {
      const attacker = 'abcdefgh'.slice(0, place);
      const many = Array.from({ length: 64 }, (_, i) => head(`${attacker}${String.fromCharCode(33 + i)}`, 1_000 + i));
      for (const list of [
        [...honest, ...many],
        [...many, ...honest],
      ]) {
        const entry = takeAll(list);
        const kept = honest.filter((each) => entry.includes(each));
        assert.deepEqual(kept, honest.slice(0, Math.min(place, 3)), attacker); // 'am' follows from 'a'
        assert.equal(entry.length, kept.length + 36 - 4 * place);
        assert.equal(entry[0], many.at(-1));
      }
    }
  });

  const few: CandidateBounds = { all: 6, byLink: [4, 3, 2, 1] };
  const pathsOf = (...lengths: number[]): fc.Arbitrary<string> =>
    fc.tuple(...[0, 1, 2, 3].map(() => fc.constantFrom('a', 'b', 'c')), fc.constantFrom(...lengths)).map((parts) => {
      const length = parts.pop();
      return parts.slice(0, Number(length)).join('');
    });
  const manyOf = (path: fc.Arbitrary<string>): fc.Arbitrary<Head[]> =>
    fc
      .uniqueArray(fc.tuple(path, fc.nat(60)), { maxLength: 40, selector: ([, ms]) => ms })
      .map((list) => list.map(([to, ms]) => head(to, ms)));

  it('I2: R29: where none covers another’s, which of too many stay depends on the set of writes alone', () => {
    fc.assert(
      fc.property(
        manyOf(pathsOf(4)).chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))),
        ([list, shuffled]) => {
          const entry = takeAll(list, chainsOf(), [], few);
          assert.deepEqual(takeAll(shuffled, chainsOf(), [], few), entry);
          assert.deepEqual(takeAll(shuffled, chainsOf(), entry, few), entry);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('I2: R29: clusters that bring each other what they keep are soon equal, whatever each had, and in whatever order it comes', () => {
    let most = 0;
    fc.assert(
      fc.property(manyOf(pathsOf(1, 2, 3, 4)), fc.infiniteStream(fc.nat()), (list, draw) => {
        const drawn = (): number => draw.next().value as number; // it never ends
        const mixed = (heads: readonly Head[]): Head[] =>
          heads
            .map((each) => ({ each, at: drawn() }))
            .sort((x, y) => x.at - y.at)
            .map(({ each }) => each);
        let clusters = [0, 1, 2].map((i) => takeAll(mixed(list.filter(() => drawn() % 3 !== i)), chainsOf(), [], few));
        let rounds = 0;
        const areEqual = (): boolean =>
          clusters.every((entry) => entry.length === clusters[0]?.length && entry.every((each, i) => each === clusters[0]?.[i]));
        for (; !areEqual(); rounds += 1) {
          assert.ok(rounds < 8, 'they go round');
          clusters = clusters.map((entry) => takeAll(mixed(clusters.flat()), chainsOf(), entry, few));
        }
        most = Math.max(most, rounds);
      }),
      { numRuns: Number(process.env['GKVMESH_TEST_ORDERS'] ?? 1_000) },
    );
    assert.ok(most > 0);
  });

  it('R29: a write that covers several gives their places back: what one cluster had no room for another may have, until they bring it', () => {
    const [greatest, second, least, over] = [head('aab', 3), head('aac', 2), head('ab', 1), head('aa', 4)];
    const two: CandidateBounds = { all: 6, byLink: [2, 2, 1] };
    const early = takeAll([greatest, second, least, over], chainsOf(), [], two);
    const late = takeAll([over, greatest, second, least], chainsOf(), [], two);
    assert.deepEqual([early, late], [[over], [over, least]]);
    assert.deepEqual(takeAll(late, chainsOf(), early, two), late);
    assert.deepEqual(takeAll(early, chainsOf(), late, two), late);
  });
});
