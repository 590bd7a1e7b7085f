import assert from 'node:assert/strict';
import { type Removal } from '../../src/replica/ended.ts';
import { openInstance } from '../aae/world.ts';

describe('M28: that a cluster was removed', () => {
  it('stays as it was told first, until it is settled, and as it was settled for good', async () => {
    const { replica } = await openInstance();
    const removal = (name: string, incarnation: number, settled: boolean): Removal => ({
      clusterId: Buffer.alloc(16, 7),
      ...{ removal: name, incarnation, settled },
    });
    const after = async (...removals: readonly Removal[]): Promise<readonly string[]> => {
      await replica.end(removals);
      return (await replica.ended()).map((each) => `${each.removal} ${each.incarnation} ${each.settled}`);
    };
    assert.deepEqual(await after(removal('first', 1, false)), ['first 1 false']);
    assert.deepEqual(await after(removal('second', 2, false)), ['first 1 false']);
    assert.deepEqual(await after(removal('first', 1, true)), ['first 1 true']);
    assert.deepEqual(await after(removal('second', 2, true), removal('second', 2, false)), ['first 1 true']);
  });
});
