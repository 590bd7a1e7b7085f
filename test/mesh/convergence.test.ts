import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { toHex } from '../../src/core/bytes.ts';
import { covers } from '../../src/core/frontier.ts';
import { compareStamps } from '../../src/core/stamp.ts';
import { assertTree } from '../aae/oracle.ts';
import { key, remove, set } from '../aae/world.ts';
import { rowsOf } from '../replica/rows.ts';
import { until } from '../support.ts';
import { memberOp, openCluster, openWorld, untilEqual, type Cluster } from './world.ts';

async function valueOf({ replica }: Cluster, name: string): Promise<string> {
  return Buffer.from((await replica.get(key(name))).value).toString();
}

/** Writes that came by feeds. */
async function writesSeen({ mesh }: Cluster): Promise<number> {
  return (await mesh.view()).members.reduce((sum, { health }) => sum + (health?.writes ?? 0), 0);
}

describe('I2: clusters converge', () => {
  it('G27: S13: M7: what is written anywhere reaches all, in any number, and nothing is dropped', async () => {
    await using world = await openWorld(3);
    const [a, b, c] = world.clusters as [Cluster, Cluster, Cluster];
    await Promise.all(
      [a, b, c].map(async ({ replica }, n) => {
        for (let i = 0; i < 30; i += 1)
          await replica.write(Array.from({ length: 100 }, (_, j) => set(`k${n}/${i}/${j}`, 'x'.repeat(j * 10))));
      }),
    );
    await untilEqual([a, b, c]);
    for (const { store, digests } of [a, b, c]) await assertTree(store, digests);
    assert.deepEqual(await rowsOf(a.store, 'content'), await rowsOf(b.store, 'content'));
    assert.equal(await valueOf(c, 'k0/29/99'), 'x'.repeat(990));
  });

  it('K19: I2: the greater of two writes of a key wins everywhere, deletes too', async () => {
    await using world = await openWorld(3);
    const [a, b, c] = world.clusters as [Cluster, Cluster, Cluster];
    for (let round = 0; round < 20; round += 1) {
      await Promise.all(
        [a, b, c].map(({ replica, name }, n) => replica.write([round % 5 === n ? remove('k') : set('k', `${name} ${round}`)])),
      );
    }
    await untilEqual([a, b, c]);
    assert.equal(await valueOf(a, 'k'), await valueOf(b, 'k'));
    assert.equal(await valueOf(b, 'k'), await valueOf(c, 'k'));
  });

  it('S3: M7: two that cannot reach each other are level through a third, and cover what the other accepted', async () => {
    await using world = await openWorld(3);
    const [a, b, c] = world.clusters as [Cluster, Cluster, Cluster];
    world.network.cut(a, c);
    const [outcome] = await a.replica.write([set('far', 'away')]);
    assert(outcome !== undefined);
    assert.equal(await c.replica.waitFor(outcome.accepted, 20_000, new AbortController().signal), true);
    assert.equal(await valueOf(c, 'far'), 'away');
    await untilEqual([a, b, c]);
  });

  it('G13: I2: parted for a while and healed, all is level again', async () => {
    await using world = await openWorld(3);
    const [a, b, c] = world.clusters as [Cluster, Cluster, Cluster];
    await untilEqual([a, b, c]);
    world.network.cut(a, b);
    world.network.cut(a, c);
    const [ofA] = await a.replica.write([set('k', 'of a'), set('a', '1'), remove('gone')]);
    const [ofB] = await b.replica.write([set('k', 'of b'), set('b', '1'), set('gone', 'not yet')]);
    assert.ok(ofA !== undefined && ofB !== undefined);
    await c.replica.write([set('c', '1')]);
    await until(async () => (await valueOf(c, 'b')) === '1');
    assert.equal(await valueOf(c, 'a'), '');
    world.network.heal();
    await untilEqual([a, b, c]);
    // Within one ms the greater version is that of the greater instance.
    assert.equal(await valueOf(a, 'k'), compareStamps(ofA.version, ofB.version) < 0 ? 'of b' : 'of a', 'the later one');
  });

  it('S2: M1: a write crosses each way between two clusters once at most: what the reader has is left out', async () => {
    await using world = await openWorld(3);
    const [a, b, c] = world.clusters as [Cluster, Cluster, Cluster];
    await untilEqual([a, b, c]);
    const before = await Promise.all([a, b, c].map(writesSeen));
    for (let i = 0; i < 200; i += 1) await a.replica.write([set(`k${i}`, 'v')]);
    await untilEqual([a, b, c]);
    const seen = (await Promise.all([a, b, c].map(writesSeen))).map((writes, n) => writes - (before[n] ?? 0));
    // A question that waits tells what the reader had when it asked: what came since may come once more from each other peer.
    assert.ok(
      seen.every((writes) => writes <= 400),
      seen.join(),
    );
  });

  it('I7: M7: what a frontier covers is here', async () => {
    await using world = await openWorld(3);
    const [a, b, c] = world.clusters as [Cluster, Cluster, Cluster];
    const accepted = new Map<string, Parameters<typeof covers>[1]>();
    for (let i = 0; i < 100; i += 1) {
      const writer = [a, b, c][i % 3] ?? a;
      const [outcome] = await writer.replica.write([set(`k${i}`, 'v')]);
      if (outcome !== undefined) accepted.set(`k${i}`, outcome.accepted);
      for (const { replica } of [a, b, c]) {
        const frontier = await replica.frontier();
        for (const [name, stamp] of accepted) {
          if (covers(frontier, stamp)) assert.equal((await replica.get(key(name))).exists, true, `${name} ${toHex(stamp)}`);
        }
      }
    }
  });
});

describe('M13: incarnations', () => {
  it('a peer that begins anew is read from the start of its new feed', async () => {
    await using world = await openWorld(2);
    const [a, b] = world.clusters as [Cluster, Cluster];
    await b.replica.write(Array.from({ length: 50 }, (_, i) => set(`old${i}`, 'v')));
    await untilEqual([a, b]);
    await b[Symbol.asyncDispose]();
    await using anew = await openCluster(world.network, 2, { clock: world.clock, jobs: 'run', incarnation: 2, seed: 77 });
    await anew.replica.write([set('new', 'v'), memberOp(a), memberOp(anew)]);
    await until(async () => (await valueOf(a, 'new')) === 'v');
    await untilEqual([a, anew]);
    await until(async () => (await a.replica.cursor(anew.clusterId))?.incarnation === 2);
  });
});
