import assert from 'node:assert/strict';
import { GkvError, hasCode } from '../../src/core/errors.ts';
import { makeStamp, parseInstance } from '../../src/core/stamp.ts';
import { parseGrantId } from '../../src/core/write.ts';
import { encodeEntry } from '../../src/core/entry.ts';
import { signWrites } from '../../src/grant/signatureBlock.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { bodyOf } from '../../src/replica/batch.ts';
import { type ReceivedWrite } from '../../src/replica/proposal.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { type Store } from '../../src/store/store.ts';
import { assertTree } from '../aae/oracle.ts';
import { key, openInstance, set, type Instance } from '../aae/world.ts';
import { anyOf, Mesh, person } from '../grant/world.ts';
import { FakeClock, seededRandom } from '../support.ts';
import { received } from './received.ts';

const mesh = new Mesh();
const held = mesh.grant('a', { notBeforeMs: 0, expiresMs: 2 ** 48 });
const peerInstance = parseInstance(new Uint8Array(8).fill(0xee));
const nowMs = new FakeClock().now();

/** One write of a grant's holder to each of the first `count` keys. */
function writesOf({ digests }: Instance, grant: Grant, by: string, count: number, ms: number): ReceivedWrite[] {
  const version = makeStamp(ms, 0, peerInstance);
  const writes = Array.from({ length: count }, (_, i) => {
    const value = Buffer.alloc(150, by);
    const write = { key: key(`k${i}`), version, tombstone: false, expiresAt: 0, leaf: parseGrantId(grant.id), value };
    return { write, id: digests.writeId(bodyOf(write)), accepted: version };
  });
  const blocks = signWrites(mesh.id, writes.map(({ id }) => id), person(by)); // prettier-ignore
  return writes.map(({ write, ...rest }, i) => ({ write: { ...write, signature: blocks[i] ?? new Uint8Array(0) }, ...rest }));
}

/** A store on which one transaction may write to so few heads alone. */
function narrowStore(headsMax: number, clock = new FakeClock()): Store {
  const store = openMemoryStore(new MemoryDatabase(), { clock, random: seededRandom(1) });
  const transact: Store['transact'] = (fn, options) =>
    store.transact(async (tx) => {
      const result = await fn(counting(tx));
      return result;
    }, options);
  const counting = (tx: Parameters<Parameters<Store['transact']>[0]>[0]): typeof tx => {
    let heads = 0;
    return new Proxy(tx, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== 'function') return member;
        return (...args: readonly unknown[]): unknown => {
          if (name === 'setVersionstampedValue' && args[2] === 1) heads += 1;
          if (heads > headsMax) throw new GkvError('transaction_too_large', 'too many heads for this test');
          return Reflect.apply(member, target, args);
        };
      },
    });
  };
  return new Proxy(store, {
    get: (target, name) => {
      if (name === 'transact') return transact;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? (member.bind(target) as unknown) : member;
    },
  });
}

describe('large entries', () => {
  it('I9: R11: R29: R30: 128 candidates with small values make an entry of less than 20 kB', async () => {
    const grants = Array.from({ length: 128 }, (_, i) => {
      const more = { rights: 2, depth: 0, notBeforeMs: 0, expiresMs: 2 ** 48 };
      return i < 32 ? mesh.given(held, 'a', `writer ${i}`, more) : mesh.grant(`writer ${i}`, more);
    });
    const region = await openInstance({
      granted: { meshId: mesh.id, records: [mesh.root, held, ...grants].map(anyOf), signer: person('a') },
    });
    for (const [i, grant] of grants.entries())
      await region.replica.receive(writesOf(region, grant, `writer ${i}`, 3, nowMs - 1_000 + i), 'peer');
    const candidates = await region.replica.candidates(key('k2'));
    assert.equal(candidates.length, 128);
    assert.ok(encodeEntry(candidates, () => 0).length < 20_000);
    await assertTree(region.store, region.digests);
    await region.replica.write([set('k2', 'v')]);
    assert.equal((await region.replica.candidates(key('k2'))).length, 97, 'whoever gave 32 of them covers these');
    await assertTree(region.store, region.digests);
  });

  it('R11: a small value that takes the place of many candidates is part of its head, received or made here', async () => {
    const grants = Array.from({ length: 5 }, (_, i) =>
      mesh.given(held, 'a', `writer ${i}`, { rights: 2, depth: 0, notBeforeMs: 0, expiresMs: 2 ** 48 }),
    );
    for (const way of ['received', 'made here'] as const) {
      const region = await openInstance({
        granted: { meshId: mesh.id, records: [mesh.root, held, ...grants].map(anyOf), signer: person('a') },
      });
      const inline = async (): Promise<boolean[]> => (await region.replica.candidates(key('k0'))).map(({ record }) => record !== undefined);
      for (const [i, grant] of grants.entries())
        await region.replica.receive(writesOf(region, grant, `writer ${i}`, 1, nowMs - 10 + i), 'peer');
      assert.deepEqual(await inline(), [false, true, true, true, true]);
      if (way === 'received') await region.replica.receive(writesOf(region, held, 'a', 1, nowMs), 'peer');
      else await region.replica.write([set('k0', 'v')]);
      assert.deepEqual(await inline(), [true], way);
    }
  });

  it('R30: what is too large for one commit is cut; a client is told', async () => {
    const region = await openInstance({ store: narrowStore(3) });
    const writes = Array.from({ length: 20 }, (_, i) => received(region.digests, `k${i}`, makeStamp(nowMs, i, peerInstance)));
    const results = await region.replica.receive(writes, 'peer');
    assert.deepEqual([results.length, new Set(results.map(({ status }) => status))], [20, new Set(['applied'])]);
    const many = [set('a', '1'), set('b', '1'), set('c', '1'), set('d', '1')];
    const [whole, ...others] = await Promise.allSettled([
      region.replica.write(many),
      region.replica.write([set('e', '1')]),
      region.replica.write([set('f', '1'), set('g', '1')]),
    ]);
    assert.ok(whole.status === 'rejected' && hasCode(whole.reason, 'transaction_too_large'));
    assert.deepEqual(others.map(({ status }) => status), ['fulfilled', 'fulfilled']); // prettier-ignore
    await assertTree(region.store, region.digests);
  });

  it('R9: R30: what has waited and is cut waits on as if it were not, whatever room its peer has', async () => {
    const clock = new FakeClock();
    const region = await openInstance({
      clock,
      store: narrowStore(4, clock),
      granted: { meshId: mesh.id, records: [mesh.root, held].map(anyOf), signer: person('a') },
    });
    const { replica } = region;
    const unknown = mesh.given(held, 'a', 'unknown', { rights: 2, depth: 0, notBeforeMs: 0, expiresMs: 2 ** 48 });
    const dueMs = nowMs + 60_000;
    const [waiting, ...rest] = writesOf(region, held, 'a', 6, dueMs);
    assert.ok(waiting !== undefined);
    await replica.receive([...writesOf(region, unknown, 'unknown', 1, dueMs - 1), ...rest], 'peer');
    for (const [i, count] of [250, 250, 250, 244].entries())
      await replica.receive(writesOf(region, unknown, 'unknown', count, nowMs - 1 - i), 'peer');
    assert.equal((await replica.parkedCount()).writes, 1_000);
    clock.ms += 60_000;
    assert.equal(await replica.retryParked(), 6);
    assert.equal((await replica.get(key('k5'))).exists, true);
  });
});
