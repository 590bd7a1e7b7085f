import assert from 'node:assert/strict';
import fc from 'fast-check';
import { inlineSignatures } from '../../src/crypto/ed25519.ts';
import { edited, edits } from '../core/edits.ts';
import { assertNothingElse, assertStrict, refuses } from '../core/strict.ts';
import { parsers } from './samples.ts';

const signatures = inlineSignatures();
/** Mutated inputs for each parser. `GKVMESH_TEST_FUZZ=1000000` for the long run. */
const fuzzRuns = Number(process.env['GKVMESH_TEST_FUZZ'] ?? 1_000);

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
