import assert from 'node:assert/strict';
import fc from 'fast-check';
import { hasCode } from '../../src/core/errors.ts';
import { parseKey, type Key } from '../../src/core/key.ts';
import { Automaton, type Segment } from '../../src/grant/automaton.ts';
import { contains } from '../../src/grant/containment.ts';
import { Pattern } from '../../src/grant/pattern.ts';

const pattern = (text: string): Pattern => Pattern.parse(Buffer.from(text, 'latin1'));
const key = (text: string): Key => parseKey(Buffer.from(text, 'latin1'));

/** Whether the segments match, by trying every way; the definition, spelled out. */
function matchesSlowly(segments: readonly string[], words: readonly string[]): boolean {
  const [first, ...rest] = segments;
  if (first === undefined) return words.length === 0;
  if (first === '**') return matchesSlowly(rest, words) || (words.length > 0 && matchesSlowly(segments, words.slice(1)));
  const [word, ...after] = words;
  return word !== undefined && (first === '*' || first === word) && matchesSlowly(rest, after);
}

/** Every row of 1 to `length` words. */
function* rows(words: readonly string[], length: number): Generator<string[]> {
  let layer: string[][] = [[]];
  for (let i = 0; i < length; i += 1) {
    layer = layer.flatMap((row) => words.map((word) => [...row, word]));
    yield* layer;
  }
}

const small = fc
  .array(fc.constantFrom('a', 'b', '', '*', '**'), { minLength: 1, maxLength: 4 })
  .filter((segments) => segments.join('/') !== '' && segments.filter((segment) => segment === '**').length <= 3);
/** "c" stands for every word that no pattern names; five words tell apart what patterns of four segments can tell. */
const samples = [...rows(['a', 'b', '', 'c'], 6)].filter((row) => row.join('/') !== '');

describe('patterns', () => {
  for (const [text, yes, no] of [
    ['hi', ['hi'], ['hi/', '/hi', 'h', 'hii', 'HI']],
    ['/a/*', ['/a/b', '/a/', '/a/*', '/a/\xff\x00'], ['/a', '/a/b/c', '/a/b/', 'a/b', '/b/b']],
    ['/a/**', ['/a', '/a/', '/a/b', '/a/b/c', '/a//', '/a/../b'], ['/ab', '/b', 'a/b', '//a']],
    ['**', ['x', '/', '//', '\x00', '/a/b', '..'], []],
    ['*', ['x', '\xc3\x28', '..'], ['/', 'a/b']],
    ['**/end', ['end', '/end', 'a/b/end'], ['end/', 'aend', 'end/x']],
    ['a/**/z', ['a/z', 'a/b/z', 'a//z', 'a/z/z'], ['a', 'z', 'az', 'a/zz']],
    ['a//b', ['a//b'], ['a/b', 'a///b']],
    ['\xff\xfe/*', ['\xff\xfe/x'], ['\xff/x', 'ÿþ/x'.normalize() + '/']],
    ['@system/**', ['@system/peers/x', '@system'], ['/@system/x', '@systems/x']],
  ] as const) {
    it(`K4: T1: ${JSON.stringify(text)} matches what it says, byte by byte`, () => {
      for (const sample of yes) assert.ok(pattern(text).matches(key(sample)), sample);
      for (const sample of no) assert.ok(!pattern(text).matches(key(sample)), sample);
    });
  }

  for (const text of ['/a**', '***', '*bar', 'bar*', '/a/b*c/d', '**a', '/***/', '/a/** ', '/* *']) {
    it(`K14: T1: ${text} is refused: a star stands for a whole segment alone (replaced)`, () => {
      assert.throws(
        () => pattern(text),
        (error) => hasCode(error, 'malformed'),
      );
    });
  }

  it('K14: T1: an empty pattern is malformed; one beyond its caps is too_large, and at them it is not (replaced)', () => {
    assert.throws(
      () => pattern(''),
      (error) => hasCode(error, 'malformed'),
    );
    for (const text of ['a'.repeat(1_024), Array(16).fill('a').join('/'), '**/**/**']) assert.ok(pattern(text).bytes.length > 0);
    for (const text of ['a'.repeat(1_025), Array(17).fill('a').join('/'), '**/**/a/**/**']) {
      assert.throws(
        () => pattern(text),
        (error) => hasCode(error, 'too_large'),
      );
    }
  });

  it('T1: matching is what the definition says', () => {
    fc.assert(
      fc.property(small, fc.array(fc.constantFrom('a', 'b', '', 'c'), { minLength: 1, maxLength: 8 }), (segments, words) => {
        fc.pre(words.join('/') !== '');
        assert.equal(pattern(segments.join('/')).matches(key(words.join('/'))), matchesSlowly(segments, words));
      }),
      { numRuns: 3_000 },
    );
  });

  it('T1: a key of 1,024 slashes is matched as any other', () => {
    assert.ok(pattern('**//**//**').matches(key('/'.repeat(1_024))));
    assert.ok(!pattern('**/a/**/a/**').matches(key('/'.repeat(1_024))));
  });

  it('K6: T2: containment is exact: a pattern contains another iff no key of up to six segments shows that it does not', () => {
    fc.assert(
      fc.property(small, small, (parent, child) => {
        const shows = samples.find((row) => matchesSlowly(child, row) && !matchesSlowly(parent, row));
        const expected = shows === undefined ? 'contained' : 'wider';
        assert.equal(pattern(parent.join('/')).contains(pattern(child.join('/'))), expected, `${parent.join('/')} ⊇ ${child.join('/')}`);
      }),
      { numRuns: Number(process.env['GKVMESH_TEST_PATTERNS'] ?? 300) },
    );
  });

  it('K6: T2: containment is reflexive and transitive, and what is contained matches only what its container does', () => {
    fc.assert(
      fc.property(small, small, small, (a, b, c) => {
        const [first, second, third] = [a, b, c].map((segments) => pattern(segments.join('/')));
        assert.ok(first !== undefined && second !== undefined && third !== undefined);
        assert.equal(first.contains(first), 'contained');
        if (first.contains(second) === 'contained' && second.contains(third) === 'contained') {
          assert.equal(first.contains(third), 'contained');
        }
      }),
      { numRuns: 2_000 },
    );
  });

  for (const [parent, child, expected] of [
    ['/a/*', '/a/**', 'wider'],
    ['/a/**', '/a/*', 'contained'],
    ['/a/**', '/a', 'contained'],
    ['*/**', '**', 'contained'],
    ['**/*', '**', 'contained'],
    ['**', '**/**/**', 'contained'],
    ['*/*/**', '**', 'wider'],
    ['**/a/**', 'a/**', 'contained'],
    ['**/a/**/a/**', '**/a/*/a/**', 'contained'],
    ['/cities/FR/**', '/cities/FR/Paris', 'contained'],
    ['/cities/FR/**', '/cities/**', 'wider'],
    ['/cities/FR/**', '/cities/FRA/**', 'wider'],
    ['a', 'A', 'wider'],
  ] as const) {
    it(`K6: T2: ${child} under ${parent} is ${expected}`, () => {
      assert.equal(pattern(parent).contains(pattern(child)), expected);
    });
  }

  it('I9: T2: patterns that take exponentially many ways are decided at once, and beyond the states that are allowed not at all', () => {
    const deep: Segment = { kind: 'deep' };
    const any: Segment = { kind: 'any' };
    const a: Segment = { kind: 'literal', text: 'a' };
    const often = (count: number, ...segments: Segment[]): Segment[] => Array.from({ length: count }, () => segments).flat();
    const left = often(15, deep, a);
    const right = [deep, a, ...often(24, any), deep];
    assert.equal(contains(new Automaton(left), right), 'wider');
    assert.equal(contains(new Automaton(right), left), 'wider');
    assert.equal(contains(new Automaton(right), [deep, a, deep, a, ...often(24, any)]), 'contained');
    assert.equal(contains(new Automaton(left), left), 'contained');
    assert.equal(contains(new Automaton(left), left, 20), 'undecided');
    for (const text of ['**/a/'.repeat(14) + '**/a', `**/a/${'*/'.repeat(24)}**`]) {
      assert.throws(
        () => pattern(text),
        (error) => hasCode(error, 'too_large'),
      );
    }
  });

  it('T1: a pattern of literal segments and ** at its end tells its prefix, others none', () => {
    for (const [text, prefix] of [
      ['/eu/**', '/eu/'],
      ['**', ''],
      ['a/b/**', 'a/b/'],
    ] as const) {
      assert.equal(Buffer.from(pattern(text).literalPrefix ?? 'none').toString(), prefix);
    }
    for (const text of ['/eu', '/*/**', '/**/**', '/eu/*', '**/a']) assert.equal(pattern(text).literalPrefix, undefined);
  });
});
