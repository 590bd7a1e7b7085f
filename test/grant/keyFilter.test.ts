import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parseKey } from '../../src/core/key.ts';
import { KeyFilter } from '../../src/grant/keyFilter.ts';
import { Pattern } from '../../src/grant/pattern.ts';

function filterOf(texts: readonly string[]): KeyFilter {
  return new KeyFilter(
    texts.map((text) => ({ removes: text.startsWith('!'), pattern: Pattern.parse(Buffer.from(text.replace(/^!/, ''))) })),
  );
}

const keeps = (key: string, texts: readonly string[]): boolean => filterOf(texts).look(parseKey(Buffer.from(key))).isKept;

describe('filters of keys', () => {
  const cases: readonly (readonly [string, readonly string[], boolean])[] = [
    ['/test.fb.io/', ['**'], true],
    ['/test.fb.io/', ['!**'], false],
    ['/test.fb.io/', ['**', '!**'], false],
    ['/test.fb.io/', ['**', '!**', '/*/'], true],
    ['/test.fb.io/', [], false],
    ['/test.fb.io/', ['/other/**'], false],
    ['/a/b', ['/a/**', '!/a/b', '!/a/c'], false],
    ['/a/c', ['!/a/c', '/a/**'], true],
    ['/a/d', ['/a/**', '!/a/b', '!/a/c'], true],
    ['!', ['!!', '*'], true],
  ];
  for (const [key, texts, kept] of cases)
    it(`K22: ${key} is ${kept ? 'kept' : 'left out'} by ${texts.join(' ') || 'no pattern'} (replaced: a star stands for a whole segment)`, () => {
      assert.equal(keeps(key, texts), kept);
    });

  it('K22: the last that matches decides, as if each in turn took what is there away, or what is not in', () => {
    const text = fc.constantFrom('**', '/a/**', '/a/*', '/*/b', '/a/b', '/**/b', '!**', '!/a/**', '!/a/*', '!/*/b', '!/a/b', '!/**/b');
    const key = fc.constantFrom('/a', '/a/', '/a/b', '/b/b', '/a/c', '/a/x/b', 'b');
    fc.assert(
      fc.property(fc.array(text, { maxLength: 8 }), key, (texts, name) => {
        const inTurn = texts.reduce((isIn, each) => {
          const matches = Pattern.parse(Buffer.from(each.replace(/^!/, ''))).matches(parseKey(Buffer.from(name)));
          return matches ? !each.startsWith('!') : isIn;
        }, false);
        assert.equal(keeps(name, texts), inTurn);
      }),
    );
  });
});
