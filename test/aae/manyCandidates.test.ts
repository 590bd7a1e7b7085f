import assert from 'node:assert/strict';
import { toHex } from '../../src/core/bytes.ts';
import { makeStamp, parseInstance } from '../../src/core/stamp.ts';
import { parseGrantId } from '../../src/core/write.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { signWrites } from '../../src/grant/signatureBlock.ts';
import { bodyOf } from '../../src/replica/batch.ts';
import { type ReceivedWrite } from '../../src/replica/proposal.ts';
import { anyOf, Mesh, person } from '../grant/world.ts';
import { FakeClock } from '../support.ts';
import { exchange, key, linkTo, openInstance, type Instance } from './world.ts';

const always = { notBeforeMs: 0, expiresMs: 2 ** 48 };
const mesh = new Mesh();
const [a, b] = [mesh.grant('a', always), mesh.grant('b', always)];
const leaves = Array.from({ length: 66 }, () => mesh.grant('c', always));
const clock = new FakeClock();
const granted = { meshId: mesh.id, records: [mesh.root, a, b, ...leaves].map(anyOf), signer: person('a') };
const instance = parseInstance(new Uint8Array(8).fill(0xee));
const peer = 'aa'.repeat(16);
const open = (cluster: number): Promise<Instance> => openInstance({ granted, clock, cluster });

/** One write to each key, signed together; `nth`: the later the greater. */
function writes({ digests }: Instance, grant: Grant, by: string, nth: number, keys: readonly string[], bytes = 1): ReceivedWrite[] {
  const shapes = keys.map((name, i) => ({
    key: key(name),
    version: makeStamp(clock.now(), nth * 300 + i, instance),
    ...{ tombstone: false, expiresAt: 0, leaf: parseGrantId(grant.id), value: Buffer.alloc(bytes, 'v') },
  }));
  const ids = shapes.map((shape) => digests.writeId(bodyOf(shape)));
  const blocks = signWrites(mesh.id, ids, person(by));
  return shapes.map((shape, i) => ({
    write: { ...shape, signature: blocks[i] ?? new Uint8Array(0) },
    id: ids[i] ?? digests.writeId(bodyOf(shape)),
    accepted: shape.version,
  }));
}

/** A link that takes so many requests and no more. */
function bounded(to: Instance, most: number): ReturnType<typeof linkTo> {
  let asked = 0;
  return linkTo(to, (part) => {
    if (part === 'request') asked += 1;
    if (asked > most) throw new Error(`more than ${most} requests`);
  });
}

describe('keys with many candidates', function () {
  this.timeout(60_000);

  for (const direction of ['pulled', 'pushed'] as const) {
    it(`I9: A8: candidates of one key that fit no page together are ${direction} by two exchanges`, async () => {
      const [full, empty] = [await open(1), await open(2)];
      for (const [nth, grant] of [a, b].entries())
        await full.replica.receive(writes(full, grant, nth === 0 ? 'a' : 'b', nth, ['k'], 700_000), peer);
      const [driver, responder] = direction === 'pulled' ? [empty, full] : [full, empty];
      await exchange(driver, bounded(responder, 20));
      assert.equal((await exchange(driver, bounded(responder, 20))).converged, true);
      assert.equal((await empty.replica.candidates(key('k'))).length, 2);
    });
  }

  it('I7: and where the key is fetched, by one, whose frontier is joined', async () => {
    const [full, empty] = [await open(1), await open(2)];
    for (const [nth, grant] of [a, b].entries())
      await full.replica.receive(writes(full, grant, nth === 0 ? 'a' : 'b', nth, ['k', 'l'], 700_000), peer);
    const { converged, missed, received } = await exchange(empty, bounded(full, 20));
    assert.deepEqual([converged, missed, received], [true, 0, 4]);
  });

  it('I9: A13: where 66 candidates are held and 65 by the peer, on each of 150 keys, three requests find them', async () => {
    const [full, other] = [await open(1), await open(2)];
    const keys = Array.from({ length: 150 }, (_, i) => `k${String(i).padStart(3, '0')}`);
    for (const [nth, leaf] of leaves.entries()) {
      const sent = writes(full, leaf, 'c', nth, keys);
      await full.replica.receive(sent, peer);
      if (nth > 0) await other.replica.receive(sent, peer);
    }
    assert.equal((await exchange(other, bounded(full, 10))).converged, true);
    assert.equal((await other.replica.candidates(key('k149'))).length, 66);
  });

  it('I7: R31: a forged write in whatever part of a page keeps its frontier from being joined, and that of the next', async () => {
    for (const keyBytes of [10, 600]) {
      const one = await open(1);
      const page = writes(
        one,
        b,
        'b',
        0,
        Array.from({ length: 200 }, (_, i) => String(i).padStart(keyBytes, '0')),
      );
      const [first] = page;
      assert.ok(first !== undefined);
      const signature = Buffer.from(first.write.signature);
      signature[signature.length - 1] = (signature[signature.length - 1] ?? 0) ^ 1;
      const forged = [{ ...first, write: { ...first.write, signature } }, ...page.slice(1)];
      const joins = new Map([[toHex(Buffer.alloc(6, 0xee)), { base: makeStamp(clock.now(), 999, instance), slots: new Map() }]]);
      let from;
      for (const [nth, received] of [forged, []].entries()) {
        const to = { incarnation: 1, position: new Uint8Array(12).fill(nth + 1) };
        await one.replica.receivePage(received, peer, { peerId: Buffer.from(peer, 'hex'), cursor: { from, to }, joins });
        from = to;
      }
      assert.equal((await one.replica.frontier()).has('eeeeeeeeeeee'), false);
      assert.equal(await one.replica.lapsedCount(), 1);
    }
  });
});
