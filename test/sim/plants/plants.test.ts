import assert from 'node:assert/strict';
import { defaults } from '../options.ts';
import { runSeed } from '../run.ts';
import { plants, smallRun } from './index.ts';

/** A change to the simulation moves seeds: so many are tried from the one that is listed. Over 1,000 would be no find. */
const seedsMax = 15;

describe('simulation: planted bugs', () => {
  for (const [name, { plant, breaks, seed, run }] of Object.entries(plants)) {
    it(`${name} is found, by ${breaks.join(' or ')}`, async () => {
      for (let tried = seed; tried < seed + seedsMax; tried += 1) {
        const { violation } = await runSeed({ ...defaults, ...smallRun, ...run, seed: tried }, plant);
        if (violation === null) continue;
        assert.ok(breaks.includes(violation.invariant), `seed ${tried}: ${violation.stack}`);
        return;
      }
      assert.fail(`no seed from ${seed} to ${seed + seedsMax - 1} finds it`);
    });
  }
});
