import assert from 'node:assert/strict';
import { hasCode } from '../../src/core/errors.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { type MemoryFaults } from '../../src/store/memory/faults.ts';
import { growStep } from '../../src/aae/grow.ts';
import { compareStamps, stampToHex, type Stamp } from '../../src/core/stamp.ts';
import { seededRandom } from '../support.ts';
import { assertTree } from './oracle.ts';
import { key, openInstance, remove, set, type Instance } from './world.ts';

const never = new AbortController().signal;

/** Below whatever either of them may still mint, as a floor must be. */
function floorOf(one: Instance, two: Instance): Stamp {
  const [a, b] = [one.replica.hlc.last, two.replica.hlc.last];
  return compareStamps(a, b) < 0 ? a : b;
}

/** Lets others go first, a seeded number of turns. */
function pauses(random: { fraction(): number }): () => Promise<void> {
  return async () => {
    for (let turns = Math.floor(random.fraction() * 6); turns > 0; turns -= 1) await new Promise((resolve) => setImmediate(resolve));
  };
}

async function writers(instance: Instance, random: { fraction(): number }, acknowledged: Map<string, string[]>): Promise<void> {
  for (let i = 0; i < 25; i += 1) {
    const names = new Set(Array.from({ length: 1 + Math.floor(random.fraction() * 6) }, () => `k${Math.floor(random.fraction() * 60)}`));
    const ops = [...names].map((name) => (random.fraction() < 0.3 ? remove(name) : set(name, `v${random.fraction()}`)));
    try {
      const outcomes = await instance.replica.write(ops);
      for (const [n, name] of [...names].entries()) {
        const version = outcomes[n]?.version;
        if (version !== undefined) acknowledged.set(name, [...(acknowledged.get(name) ?? []), stampToHex(version)]);
      }
    } catch (error) {
      if (!hasCode(error, 'unavailable', 'disk_full', 'store_conflict')) throw error;
    }
  }
}

/** Returns how many tombstones were collected. */
async function run(seed: number): Promise<number> {
  const random = seededRandom(seed);
  const database = new MemoryDatabase();
  const faults: MemoryFaults = {};
  const one = await openInstance({ database, slot: 0, seed, fan: 3, faults });
  const two = await openInstance({ database, slot: 1, seed: seed + 1, fan: 3, faults });
  Object.assign(faults, {
    conflict: 0.05,
    unknownCommitted: 0.05,
    unknownLost: 0.05,
    tooOld: 0.0005,
    diskFull: 0.01,
    pause: pauses(random),
  });
  const acknowledged = new Map<string, string[]>();
  let collected = 0;
  const background = async (): Promise<void> => {
    for (let i = 0; i < 12; i += 1) {
      try {
        await growStep(two.store, two.digests, { max: 4, min: 2 }, { branches: 1 + Math.floor(random.fraction() * 4) });
        collected += await one.replica.collect(floorOf(one, two), never);
      } catch (error) {
        if (!hasCode(error, 'commit_unknown', 'disk_full', 'store_conflict')) throw error;
      }
    }
  };
  await Promise.all([writers(one, random, acknowledged), writers(two, random, acknowledged), background()]);
  Object.assign(faults, { conflict: 0, unknownCommitted: 0, unknownLost: 0, tooOld: 0, diskFull: 0 });
  await assertTree(one.store, one.digests);
  for (const [name, versions] of acknowledged) {
    const { exists, version } = await one.replica.get(key(name));
    const greatest = [...versions].sort().at(-1) ?? '';
    assert.ok(!exists || version === null || stampToHex(version) >= greatest, `${name}: an acknowledged write is lost (I1)`);
    assert.equal(new Set(versions).size, versions.length, `${name}: a version was given twice`);
  }
  return collected;
}

describe('tree under concurrency', () => {
  it('G37: A3: two instances, conflicts, unknown commits, splits, merges, collections: tree = rebuilt tree, no write lost', async () => {
    let collected = 0;
    for (let seed = 1; seed <= 60; seed += 1) {
      try {
        collected += await run(seed);
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    }
    assert.ok(collected > 60, `${collected} collected`);
  });
});
