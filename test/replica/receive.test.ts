import assert from 'node:assert/strict';
import fc from 'fast-check';
import { makeStamp, parseInstance, physicalMsOf, stampToHex } from '../../src/core/stamp.ts';
import { instanceOf } from '../../src/crypto/mesh.ts';
import { grantZero, parseGrantId } from '../../src/core/write.ts';
import { key, openInstance, set } from '../aae/world.ts';
import { assertTree } from '../aae/oracle.ts';
import { rowsOf } from './rows.ts';
import { received } from './received.ts';
import { FakeClock } from '../support.ts';

const { digests } = await openInstance();
const baseMs = new FakeClock().now();
const grants = [grantZero, parseGrantId(new Uint8Array(32).fill(1))];
const stamps = fc
  .tuple(fc.integer({ min: -3, max: 0 }), fc.nat(1))
  .map(([ms, cluster]) => makeStamp(baseMs + ms, 0, parseInstance(new Uint8Array(8).fill(cluster))));
const writes = fc
  .record({
    name: fc.constantFrom('a', 'b', 'c'),
    stamp: stamps,
    value: fc.constantFrom('x', 'y'),
    tombstone: fc.boolean(),
    expires: fc.boolean(),
    leaf: fc.constantFrom(...grants),
  })
  .map(({ name, stamp, value, tombstone, expires, leaf }) =>
    received(digests, name, stamp, stamp, { value, tombstone, leaf, expiresAt: expires ? baseMs + 1_000 : 0 }),
  );

describe('receive', () => {
  it('G13: R10: deliveries repeated, reordered and cut differently end in equal content (I2)', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc
          .array(writes, { maxLength: 20 })
          .chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray([...list, ...list], { minLength: list.length * 2 }))),
        fc.integer({ min: 1, max: 5 }),
        async ([list, again], page) => {
          const one = await openInstance();
          const two = await openInstance({ cluster: 2, seed: 2 });
          if (list.length > 0) await one.replica.receive(list, 'peer');
          for (let at = 0; at < again.length; at += page) await two.replica.receive(again.slice(at, at + page), 'peer');
          assert.deepEqual(await rowsOf(two.store, 'content'), await rowsOf(one.store, 'content'));
          await assertTree(two.store, two.digests);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('G13: R10: says what became of each write', async () => {
    const { replica } = await openInstance();
    const at = (ms: number): ReturnType<typeof makeStamp> => makeStamp(baseMs + ms, 0, parseInstance(new Uint8Array(8)));
    const older = received(digests, 'k', at(-2));
    const newer = received(digests, 'k', at(-1));
    const statuses = (await replica.receive([newer, newer, older], 'peer')).map(({ status }) => status);
    assert.deepEqual(statuses, ['applied', 'duplicate', 'dominated']);
  });

  it('S4: R10: what is written here bears our slot and is greater than a received one that is ahead of the clock', async () => {
    const { replica, clusterId } = await openInstance();
    const ahead = makeStamp(baseMs + 4_000, 0xffff, parseInstance(new Uint8Array(8).fill(0xff)));
    await replica.receive([received(digests, 'k', ahead)], 'peer');
    const [outcome] = await replica.write([set('k', 'mine')]);
    assert.ok(outcome?.applied === true && stampToHex(outcome.version) > stampToHex(ahead));
    assert.deepEqual(Buffer.from(outcome.version.subarray(8)), Buffer.from(instanceOf(clusterId, 1, 0)));
    assert.equal(physicalMsOf(outcome.version), baseMs + 4_001, 'the logical part carried into the ms');
    assert.equal(Buffer.from((await replica.get(key('k'))).value).toString(), 'mine');
  });
});
