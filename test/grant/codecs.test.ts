import assert from 'node:assert/strict';
import fc from 'fast-check';
import { inlineSignatures } from '../../src/crypto/ed25519.ts';
import { assertNothingElse, assertStrict, refuses } from '../core/strict.ts';
import { parsers } from './samples.ts';

const signatures = inlineSignatures();
/** Mutated inputs for each parser. `GKVMESH_TEST_FUZZ=1000000` for the long run. */
const fuzzRuns = Number(process.env['GKVMESH_TEST_FUZZ'] ?? 1_000);

/** One change of some bytes, wherever it falls: flipped, cut out, put in, repeated. */
const edits = fc.record({
  kind: fc.constantFrom('set', 'flip', 'cut', 'insert', 'repeat', 'length'),
  at: fc.nat(4_095),
  length: fc.integer({ min: 1, max: 70 }),
  value: fc.oneof(fc.constantFrom(0, 1, 2, 0x2a, 0x2f, 0x7f, 0x80, 0xff), fc.nat(255)),
});

type Edit = typeof edits extends fc.Arbitrary<infer T> ? T : never;

function edited(bytes: Buffer, { kind, at, length, value }: Edit): Buffer {
  const from = bytes.length === 0 ? 0 : at % bytes.length;
  const [before, after] = [bytes.subarray(0, from), bytes.subarray(from)];
  switch (kind) {
    case 'set':
      return Buffer.concat([before, Buffer.of(value), after.subarray(1)]);
    case 'flip':
      return Buffer.concat([before, Buffer.of((after[0] ?? 0) ^ (1 << (value & 7))), after.subarray(1)]);
    case 'cut':
      return Buffer.concat([before, after.subarray(length)]);
    case 'insert':
      return Buffer.concat([before, Buffer.alloc(length, value), after]);
    case 'repeat':
      return Buffer.concat([before, after.subarray(0, length), after]);
    case 'length':
      return Buffer.concat([before, Buffer.of(0xff, 0xff, 0xff, 0xff), after.subarray(4)]);
  }
}

describe('codecs of grants', () => {
  for (const { what, samples, again, holds } of parsers) {
    it(`T4: a ${what} that is right comes back as it went, and its signatures hold`, async () => {
      for (const sample of samples) {
        assert.deepEqual(Buffer.from(again(sample)), sample);
        assert.ok(await holds(sample, signatures));
      }
    });

    it(`T4: a ${what} refuses every truncation and every extra byte`, () => {
      for (const sample of samples) assertStrict(again, sample);
      assertNothingElse(again);
    });

    it(`T4: a ${what} of which one bit is another is refused, or has no signature that holds`, async () => {
      for (const sample of samples) {
        for (let bit = 0; bit < sample.length * 8; bit += 7) {
          const changed = Buffer.from(sample);
          changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
          if (!refuses(again, changed)) assert.ok(!(await holds(changed, signatures)), `bit ${bit}`);
        }
      }
    });

    it(`T4: whatever is done to a ${what}, it is refused, or has one encoding and no signatures that hold`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(...samples), fc.array(edits, { minLength: 1, maxLength: 4 }), async (sample, all) => {
          const bytes = all.reduce(edited, sample);
          if (refuses(again, bytes)) return;
          assert.deepEqual(Buffer.from(again(bytes)), bytes);
          if (!samples.some((known) => known.equals(bytes))) assert.ok(!(await holds(bytes, signatures)));
        }),
        { numRuns: fuzzRuns },
      );
    });
  }
});
