import assert from 'node:assert/strict';
import { defaults, replayCommand } from './options.ts';
import { runSeed } from './run.ts';

/** A slice of what `npm run sim` does. */
const slice = Array.from({ length: 8 }, (_, index) => index + 1);

describe('simulation', () => {
  for (const seed of slice) {
    it(`I1, I2, I3, I5, I6, I8, I11: seed ${seed}`, async () => {
      const { violation } = await runSeed({ ...defaults, seed });
      assert.equal(violation, null, `${violation?.stack ?? ''}\n${replayCommand({ ...defaults, seed }, undefined)}`);
    });
  }

  for (const seed of slice.slice(0, 4)) {
    it(`I1, I2, I3, I4, K3, K10: seed ${seed}, granted`, async () => {
      const options = { ...defaults, seed, authority: 'granted' } as const;
      const { violation } = await runSeed(options);
      assert.equal(violation, null, `${violation?.stack ?? ''}\n${replayCommand(options, undefined)}`);
    });
  }

  for (const seed of slice.slice(0, 3)) {
    it(`I2, I7, M37, M38, T22: seed ${seed}, narrow`, async () => {
      const options = { ...defaults, seed, authority: 'narrow' } as const;
      const { violation } = await runSeed(options);
      assert.equal(violation, null, `${violation?.stack ?? ''}\n${replayCommand(options, undefined)}`);
    });
  }

  for (const seed of [510604, 532612]) {
    it(`M25: seed ${seed}, in which a cluster had to begin anew when it was found`, async () => {
      const options = { ...defaults, seed, operations: 100, regions: 3, authority: 'granted' } as const;
      const { violation } = await runSeed(options);
      assert.equal(violation, null, `${violation?.stack ?? ''}\n${replayCommand(options, undefined)}`);
    });
  }

  const restored = { 40: 'M21', 55: 'M28', 94: 'M31', 129: 'M21', 230: 'M32' };
  for (const [seed, rule] of Object.entries(restored)) {
    it(`${rule}: seed ${seed}, in which a store is restored from a copy`, async () => {
      const options = { ...defaults, seed: Number(seed), operations: 200, regions: 3, also: ['diskRestoredUnheard'] } as const;
      const { violation } = await runSeed(options);
      assert.equal(violation, null, `${violation?.stack ?? ''}\n${replayCommand(options, undefined)}`);
    });
  }

  it('M17: M22: seed 20, in which a copy is refused by nobody but who joins from it', async () => {
    const options = { ...defaults, seed: 20 };
    const { violation } = await runSeed(options);
    assert.equal(violation, null, `${violation?.stack ?? ''}\n${replayCommand(options, undefined)}`);
  });

  it('M25: seed 65, in which a store is renewed before there is a floor', async () => {
    const options = { ...defaults, seed: 65, operations: 300, regions: 3, authority: 'granted' } as const;
    const { violation } = await runSeed(options);
    assert.equal(violation, null, `${violation?.stack ?? ''}\n${replayCommand(options, undefined)}`);
  });

  for (const authority of ['open', 'granted', 'narrow'] as const) {
    it(`the same seed gives the same trace twice: ${authority}`, async () => {
      const options = { ...defaults, seed: 7, operations: 100, authority };
      const [once, twice] = [await runSeed(options), await runSeed(options)];
      assert.equal(once.hash, twice.hash);
      assert.notEqual((await runSeed({ ...options, seed: 8 })).hash, once.hash);
    });
  }
});
