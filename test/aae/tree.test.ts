import assert from 'node:assert/strict';
import fc from 'fast-check';
import { growStep } from '../../src/aae/grow.ts';
import { rootSum } from '../../src/aae/tree.ts';
import { isZeroSum } from '../../src/core/sum.ts';
import { makeStamp, parseInstance, physicalMsMax } from '../../src/core/stamp.ts';
import { assertTree } from './oracle.ts';
import { openInstance, remove, set } from './world.ts';

const never = new AbortController().signal;
const floorTop = makeStamp(physicalMsMax, 0, parseInstance(new Uint8Array(8)));

type Step = { kind: 'write'; ops: { name: string; value: string | null }[] } | { kind: 'collect' } | { kind: 'grow' };

const names = fc.integer({ min: 0, max: 60 }).map((n) => `k${n}`);
const write = fc
  .uniqueArray(fc.record({ name: names, value: fc.option(fc.string({ maxLength: 8 })) }), {
    minLength: 1,
    maxLength: 20,
    selector: (op) => op.name,
  })
  .map((ops): Step => ({ kind: 'write', ops }));
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: write },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'collect' }) },
  { weight: 2, arbitrary: fc.constant<Step>({ kind: 'grow' }) },
);

describe('tree', () => {
  it('G19: A1: the tree after any history is the rebuilt tree (I5) (replaced)', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.integer({ min: 2, max: 4 }), async (steps, fan) => {
        const instance = await openInstance({ fan });
        for (const one of steps) {
          if (one.kind === 'write')
            await instance.replica.write(one.ops.map(({ name, value }) => (value === null ? remove(name) : set(name, value))));
          else if (one.kind === 'collect') await instance.replica.collect(floorTop, never);
          else await growStep(instance.store, instance.digests, { max: 4, min: 2 });
          await assertTree(instance.store, instance.digests);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('A2: everything deleted and collected leaves a sum of zero', async () => {
    const instance = await openInstance();
    const all = Array.from({ length: 100 }, (_, i) => `k${i}`);
    await instance.replica.write(all.map((name) => set(name, 'v')));
    await instance.replica.write(all.map(remove));
    await instance.replica.collect(floorTop, never);
    await assertTree(instance.store, instance.digests);
    assert.ok(isZeroSum(await instance.store.read((snapshot) => rootSum(snapshot, instance.digests))));
  });
});
