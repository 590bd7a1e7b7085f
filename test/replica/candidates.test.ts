import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Entry, type Head } from '../../src/core/entry.ts';
import { limits } from '../../src/core/limits.ts';
import { compareStamps, makeStamp, parseInstance, type Stamp } from '../../src/core/stamp.ts';
import { compareWrites, parseGrantId, parseWriteId, type GrantId } from '../../src/core/write.ts';
import { isSettledAgainst, settled, takeCandidate, unhidden, type Chains } from '../../src/replica/candidates.ts';

const instance = parseInstance(new Uint8Array(8));
const atMs = (ms: number): Stamp => makeStamp(ms, 0, instance);
const leafOf = (path: string): GrantId => parseGrantId(Buffer.alloc(32).fill(Buffer.from(path), 0, path.length));

/** Leaves are paths: 'ab' follows from 'a'. What follows from an ended one has ended. */
function chainsOf(ended: readonly string[] = []): Chains {
  const pathOf = (leaf: GrantId): string => Buffer.from(leaf).toString().replace(/\0+$/, '');
  return {
    covers: (over, under) => pathOf(under).startsWith(pathOf(over)),
    hasEnded: (leaf) => ended.some((path) => pathOf(leaf).startsWith(path)),
  };
}

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

function takeAll(list: readonly Head[], chains = chainsOf(), from: Entry = []): Entry {
  return list.reduce<Entry>((entry, each) => {
    const taken = takeCandidate(entry, each, chains);
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
    const chains = chainsOf(['x']);
    const names = Array.from({ length: limits.candidatesKeptMax }, (_, i) => `${i < 100 ? 'x' : 'y'}${100 + i}`);
    const full = takeAll(names.map((name, i) => head(name, 1_000 + i)));
    assert.equal(full.length, limits.candidatesKeptMax);
    const honest = head('h', 1);
    const entry = takeAll([honest], chains, full);
    assert.deepEqual([entry.length, entry.at(-1)], [29, honest]);
    assert.equal(takeCandidate(full, honest, chainsOf()).kind, 'dominated', 'while all stand the least goes');
  });
});
