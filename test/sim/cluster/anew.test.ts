import assert from 'node:assert/strict';
import { withBans } from '../kernel/bans.ts';
import { defaults } from '../options.ts';
import { difference } from '../oracle/final.ts';
import { World } from '../world.ts';
import { operate } from './operator.ts';

const behindMs = 90_000;

describe('M25: a cluster that is more than a day behind when it meets the others', () => {
  for (const authority of ['open', 'granted'] as const) {
    it(`begins anew, as the operator is told to, and comes level: ${authority}`, async () => {
      // Floors move in such a world; its day has 6 to 30 s.
      const world = new World({ ...defaults, seed: 1, regions: 3, without: ['diskLost'], authority });
      const { kernel, regions, counts } = world;
      const [, , late] = regions;
      assert.ok(late !== undefined);
      await withBans(() =>
        kernel.run(async () => {
          const end = new AbortController();
          for (const host of world.hosts()) if (host.region !== late) host.start();
          const operator = operate(world, end.signal);
          await kernel.sleep(behindMs, '');
          for (const host of late.hosts) {
            host.machine.jump(-behindMs);
            host.start();
          }
          while (late.lost.length === 0) await kernel.sleep(100, '');
          // Who empties it sets its clock right too.
          for (const host of late.hosts) host.machine.setRight(0);
          await kernel.sleep(behindMs, '');
          assert.equal(await difference(regions), undefined);
          assert.ok(world.isAllUp());
          end.abort();
          await operator;
        }),
      );
      assert.deepEqual([counts.toObject()['begun anew'], late.lost.length], [1, 1]);
    });
  }
});
