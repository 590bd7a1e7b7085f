import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { ByteReader } from '../../src/core/bytes.ts';
import { ByteWriter } from '../../src/core/byteWriter.ts';
import { hasCode } from '../../src/core/errors.ts';
import { inRange, parseKey, prefixRange, successorKey, type Key, type KeyRange } from '../../src/core/key.ts';
import {
  areEqual,
  commonScope,
  containsScope,
  everything,
  intersection,
  isEverything,
  isInScope,
  isWithin,
  membersScope,
  outside,
  readScope,
  scopeOf,
  scopesOf,
  scopeText,
  within,
  writeScope,
  type Scope,
} from '../../src/core/scope.ts';

/** All keys of one and two bytes out of three, and what lies between and behind them. */
const bytes = [1, 2, 255];
const keys: readonly Key[] = bytes.flatMap((a) => [Uint8Array.of(a), ...bytes.map((b) => Uint8Array.of(a, b))]).map(parseKey);

const edge = fc.array(fc.constantFrom(...bytes, 0), { maxLength: 2 }).map((each) => Uint8Array.from(each));
const range: fc.Arbitrary<KeyRange> = fc
  .tuple(edge, fc.option(edge))
  .filter(([start, end]) => end === null || Buffer.compare(start, end) <= 0)
  .map(([start, end]) => ({ start, end }));
const ranges = fc.array(range, { maxLength: 5 });
const scope = ranges.map(scopeOf);

const keysOf = (held: Scope): string[] => keys.filter((key) => isInScope(key, held)).map((key) => Buffer.from(key).toString('hex'));

describe('scopes of keys', () => {
  it('T21: a scope has the keys of its ranges, and its ranges rise with keys between them', () => {
    fc.assert(
      fc.property(ranges, (of) => {
        const made = scopeOf(of);
        for (const key of keys)
          assert.equal(
            isInScope(key, made),
            of.some((each) => inRange(key, each)),
          );
        for (const [i, { start }] of made.entries()) {
          const before = i === 0 ? undefined : made[i - 1]?.end;
          assert.ok(before === undefined || (before !== null && Buffer.compare(before, start) < 0));
        }
      }),
    );
  });

  it('T21: intersection, containment and what lies outside are those of sets of keys', () => {
    fc.assert(
      fc.property(scope, scope, range, (a, b, part) => {
        assert.deepEqual(
          keysOf(intersection(a, b)),
          keysOf(a).filter((key) => keysOf(b).includes(key)),
        );
        assert.deepEqual(keysOf(scopeOf(within(part, a))), keysOf(intersection(scopeOf([part]), a)));
        assert.deepEqual(
          keysOf(scopeOf(outside(a))),
          keysOf(everything).filter((key) => !keysOf(a).includes(key)),
        );
        assert.equal(containsScope(a, b), areEqual(intersection(a, b), b));
        assert.equal(isWithin(part, a), containsScope(a, scopeOf([part])));
        if (containsScope(a, b)) for (const key of keysOf(b)) assert.ok(keysOf(a).includes(key));
        assert.equal(isEverything(a), outside(a).length === 0);
      }),
    );
  });

  it('T21: of two clusters that hold everything nothing is said; of others what both hold is common', () => {
    const eu = scopeOf([prefixRange(Buffer.from('/eu/'))]);
    assert.equal(scopesOf(everything, scopeOf([{ start: new Uint8Array(0), end: null }])), undefined);
    assert.ok(isEverything(commonScope(undefined)));
    assert.ok(areEqual(commonScope(scopesOf(everything, eu)), eu));
    assert.equal(commonScope(scopesOf(membersScope, eu)).length, 0);
  });

  it('T21: a scope is written and read, and shown as patterns', () => {
    fc.assert(
      fc.property(scope, (made) => {
        const out = new ByteWriter();
        writeScope(out, made);
        const reader = new ByteReader(out.done(), 'scope');
        assert.ok(areEqual(readScope(reader), made));
        reader.end();
      }),
    );
    const name = Buffer.from('/eu');
    const shown = scopeOf([{ start: name, end: successorKey(name) }, prefixRange(Buffer.from('/eu/')), { start: Buffer.from('a'), end: Buffer.from('c') }]); // prettier-ignore
    assert.deepEqual([scopeText(shown), scopeText(everything)], [['/eu', '/eu/**', 'a … c'], ['**']]);
    const past = new ByteReader(Uint8Array.of(1, 0xff, 0xff, 0xff, 0xff), 'scope');
    assert.throws(() => readScope(past), (error) => hasCode(error, 'malformed')); // prettier-ignore
  });
});
