import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compareBytes } from '../../src/core/bytes.ts';
import { hasCode } from '../../src/core/errors.ts';
import { inRange, parseKey, prefixRange, successorKey } from '../../src/core/key.ts';

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 6 }),
  fc.array(fc.constantFrom(0, 0x7f, 0x80, 0xff), { maxLength: 4 }).map((list) => Uint8Array.from(list)),
);

describe('key', () => {
  it('C11: has 1 to 1,024 bytes', () => {
    assert.throws(
      () => parseKey(new Uint8Array(0)),
      (error) => hasCode(error, 'malformed'),
    );
    assert.throws(
      () => parseKey(new Uint8Array(1_025)),
      (error) => hasCode(error, 'too_large'),
    );
    for (const length of [1, 1_024]) assert.equal(parseKey(new Uint8Array(length)).length, length);
  });

  it('C11: the range of a prefix holds what begins with it, and nothing else', () => {
    fc.assert(
      fc.property(bytes, bytes, (prefix, key) => {
        const begins = Buffer.from(key.subarray(0, prefix.length)).equals(prefix);
        assert.equal(inRange(key, prefixRange(prefix)), begins);
        assert.ok(inRange(Buffer.concat([prefix, key]), prefixRange(prefix)));
      }),
    );
  });

  it('C11: nothing lies between a key and its successor', () => {
    fc.assert(
      fc.property(bytes, bytes, (key, other) => {
        assert.ok(compareBytes(key, successorKey(key)) < 0);
        assert.ok(!(compareBytes(key, other) < 0 && compareBytes(other, successorKey(key)) < 0));
      }),
    );
  });
});
