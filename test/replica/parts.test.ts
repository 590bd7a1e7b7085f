import assert from 'node:assert/strict';
import { stampZero } from '../../src/core/stamp.ts';
import { limits } from '../../src/core/limits.ts';
import { costOfSubmission, partsOfWrites, type ReceivedWrite } from '../../src/replica/proposal.ts';
import { openInstance } from '../aae/world.ts';
import { received } from './received.ts';

describe('parts of what is received', () => {
  it('I9: each part costs no more than a commit may, all together are what came, in order', async () => {
    const { digests, replica } = await openInstance();
    const version = replica.hlc.next();
    for (const keyLength of [12, 200, 1_024]) {
      const writes: ReceivedWrite[] = Array.from({ length: 500 }, (_, index) => {
        return received(digests, String(index).padStart(keyLength, 'k'), version, undefined, { value: 'v'.repeat(100) });
      });
      const parts = partsOfWrites(writes);
      assert.deepEqual(parts.flat(), writes);
      for (const part of parts)
        assert(costOfSubmission({ kind: 'received', writes: part, peer: 'p', standing: 'plain', asOf: stampZero }) <= limits.commitCostMax);
      assert.equal(parts.length, keyLength > 250 ? Math.ceil((500 * (65 * keyLength + 100)) / limits.commitCostMax) : 1);
    }
    assert.deepEqual(partsOfWrites([]), []);
  });
});
