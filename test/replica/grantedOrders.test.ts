/** The same writes, grants and revocations, in other orders: what is left is the same, and is what the rules say, told without the code. */
import assert from 'node:assert/strict';
import { toHex } from '../../src/core/bytes.ts';
import { isFinal } from '../../src/grant/known.ts';
import { assertTree } from '../aae/oracle.ts';
import { key, openInstance, type Instance } from '../aae/world.ts';
import { person } from '../grant/world.ts';
import { seededRandom } from '../support.ts';
import { below, historyOf, shuffled, type History } from './grantedHistory.ts';

const seeds = Number(process.env['GKVMESH_TEST_ORDERS'] ?? 40);

/** Gives a store all of a history, piece by piece, some of it twice. */
async function live({ mesh, grants, revocations, writes: made }: History, seed: number): Promise<Instance> {
  const random = seededRandom(seed);
  const granted = { meshId: mesh.id, records: [], signer: person('w0') };
  const region = await openInstance({ granted, seed, feedPartitions: 1 });
  const { replica, ledger } = region;
  const signal = new AbortController().signal;
  const writes = made.map(({ received }) => received);
  let recordsLeft = shuffled(random, [...grants, ...revocations]);
  let writesLeft = shuffled(random, [...writes, ...writes.slice(0, 5)]);
  while (recordsLeft.length + writesLeft.length > 0) {
    const step = below(random, 5);
    if (step < 2) {
      const count = 1 + below(random, 4);
      const refused = (await ledger?.takeAll(recordsLeft.slice(0, count))) ?? [];
      assert.ok(refused.every(({ refusal }) => !isFinal(refusal)));
      recordsLeft = [...recordsLeft.slice(count), ...refused.map(({ any }) => any)]; // they wait for others, and come again
    } else if (step < 4) {
      const count = 1 + below(random, 6);
      await replica.receive(writesLeft.slice(0, count), `peer ${below(random, 2)}`);
      writesLeft = writesLeft.slice(count);
    } else await replica.settleAuthority(signal);
  }
  await replica.settleAuthority(signal);
  return region;
}

describe('orders of writes and their authority', () => {
  it(`I2: I4: R25: R26: R28: R29: ${seeds} histories, each in three orders, leave what stands and nothing else`, async () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const history = historyOf(seed);
      for (const order of [1, 2, 3]) {
        const region = await live(history, seed * 10 + order);
        for (const [name, expected] of history.expected) {
          const found = (await region.replica.candidates(key(name))).map(({ id }) => toHex(id)).sort();
          assert.deepEqual(found, expected, `seed ${seed}, order ${order}, ${name}`);
        }
        assert.equal((await region.replica.parkedCount()).writes, 0, `seed ${seed}, order ${order}: nothing waits`);
        await assertTree(region.store, region.digests);
      }
    }
  });
});
