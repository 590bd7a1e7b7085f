import assert from 'node:assert/strict';
import { defaults, replayCommand } from './options.ts';
import { runSeed } from './run.ts';

const slice = { from: 1, seeds: 10 };

describe('simulation', () => {
  it(`I1, I2, I3, I5, I6, I8, I11: seeds ${slice.from} to ${slice.from + slice.seeds - 1}`, async () => {
    for (let seed = slice.from; seed < slice.from + slice.seeds; seed += 1) {
      const { violation } = await runSeed({ ...defaults, seed });
      assert.equal(violation, null, `${violation?.stack ?? ''}\n${replayCommand({ ...defaults, seed }, undefined)}`);
    }
  });

  it('the same seed gives the same trace twice', async () => {
    const options = { ...defaults, seed: 7, operations: 200 };
    const [once, twice] = [await runSeed(options), await runSeed(options)];
    assert.equal(once.hash, twice.hash);
    assert.notEqual((await runSeed({ ...options, seed: 8 })).hash, once.hash);
  });
});
