import assert from 'node:assert/strict';
import { inlineSignatures } from '../../src/crypto/ed25519.ts';
import { makeStamp, parseInstance, type Stamp } from '../../src/core/stamp.ts';
import { parseGrantId } from '../../src/core/write.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { signWrites } from '../../src/grant/signatureBlock.ts';
import { bodyOf } from '../../src/replica/batch.ts';
import { collectBelow } from '../../src/replica/collect.ts';
import { Guard } from '../../src/replica/guard.ts';
import { sweepEnded } from '../../src/replica/sweep.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { type Store } from '../../src/store/store.ts';
import { assertTree } from '../aae/oracle.ts';
import { key, openInstance, set, type Instance } from '../aae/world.ts';
import { anyOf, Mesh, person } from '../grant/world.ts';
import { FakeClock } from '../support.ts';
import { received } from './received.ts';

const never = new AbortController().signal;
const clock = new FakeClock();

interface World {
  readonly mesh: Mesh;
  readonly database: MemoryDatabase;
  readonly grants: readonly Grant[];
  readonly open: (slot: number) => Promise<Instance>;
  readonly revoke: (instance: Instance, ...which: number[]) => Promise<void>;
  readonly write: (instance: Instance, name: string, under: number, version: Stamp) => Promise<void>;
}

const atMs = (ms: number): Stamp => makeStamp(ms, 0, parseInstance(new Uint8Array(8).fill(0xee)));

function world(): World {
  const mesh = new Mesh();
  const held = mesh.grant('a', { notBeforeMs: 0, expiresMs: 2 ** 48 });
  const grants = Array.from({ length: 3 }, (_, i) => mesh.given(held, 'a', `w${i}`));
  const database = new MemoryDatabase();
  const granted = { meshId: mesh.id, records: [mesh.root, held, ...grants].map(anyOf), signer: person('a') };
  return {
    mesh,
    database,
    grants,
    open: (slot) => openInstance({ granted, clock, database, slot }),
    revoke: async ({ ledger }, ...which) => {
      await ledger?.take(which.flatMap((i) => grants[i] ?? []).map((grant) => anyOf(mesh.revocation(grant, 'a'))));
    },
    write: async ({ digests, replica }, name, under, version) => {
      const leaf = parseGrantId(grants[under]?.id ?? new Uint8Array(32));
      const write = { key: key(name), version, tombstone: false, expiresAt: 0, leaf, value: Buffer.from(`of w${under}`) };
      const id = digests.writeId(bodyOf(write));
      const [signature = new Uint8Array(0)] = signWrites(mesh.id, [id], person(`w${under}`));
      const [result] = await replica.receive([{ write: { ...write, signature }, id, accepted: version }], 'peer');
      assert.equal(result?.status, 'applied');
    },
  };
}

/** The store, where something else happens once behind the reads of a first transaction and before its commit. */
function interrupted(store: Store, meanwhile: () => Promise<unknown>): Store {
  let isDone = false;
  return {
    ...store,
    read: (work) => store.read(work),
    transact: (work, options) =>
      store.transact(async (tx) => {
        const result = await work(tx);
        if (!isDone) {
          isDone = true;
          await meanwhile();
        }
        return result;
      }, options),
  };
}

function guardOf({ ledger }: Instance): Guard {
  assert.ok(ledger);
  return new Guard(ledger, inlineSignatures(), undefined);
}

describe('R28: sweeps and what happens meanwhile', () => {
  it('a write to a key that is swept is not lost, where it comes between the reads and the commit of the sweep', async () => {
    const { open, write, revoke } = world();
    const instance = await open(0);
    const names = Array.from({ length: 8 }, (_, i) => `k${i}`);
    for (const name of names) {
      await write(instance, name, 0, atMs(clock.now()));
      await write(instance, name, 1, atMs(clock.now() - 1));
    }
    await revoke(instance, 0);
    const store = interrupted(instance.store, () => instance.replica.write([set('k3', 'later')]));
    await sweepEnded(store, guardOf(instance), [instance.tree], never);
    const { value } = await instance.replica.get(key('k3'));
    assert.equal(Buffer.from(value).toString(), 'later');
    await assertTree(instance.store, instance.digests);
  });

  it('one that was told to stop is not done: the next takes away what it left', async () => {
    const { open, write, revoke } = world();
    const instance = await open(0);
    await write(instance, 'k', 0, atMs(clock.now()));
    await revoke(instance, 0);
    assert.equal(await sweepEnded(instance.store, guardOf(instance), [instance.tree], AbortSignal.abort()), 0);
    assert.equal(await sweepEnded(instance.store, guardOf(instance), [instance.tree], never), 1);
    assert.deepEqual(await instance.replica.candidates(key('k')), []);
  });

  it('keys so long that a commit takes few of them are all taken away', async () => {
    const { open, revoke, write } = world();
    const instance = await open(0);
    for (let i = 0; i < 200; i += 1) await write(instance, `k${i}`.padEnd(1_024, '/'), 0, atMs(clock.now() - 1_000 + i));
    await revoke(instance, 0);
    assert.equal(await sweepEnded(instance.store, guardOf(instance), [instance.tree], never), 200);
  });

  it('what ends behind the scan, while it goes on, is taken away by the next', async () => {
    const { open, write, revoke } = world();
    const instance = await open(0);
    for (let i = 0; i < 250; i += 1) await write(instance, `k${String(i).padStart(3, '0')}`, i < 100 ? 1 : 0, atMs(clock.now() + i));
    await revoke(instance, 0);
    let slices = 0;
    const store: Store = {
      ...instance.store,
      read: (work) => instance.store.read(work),
      transact: async (work, options) => {
        slices += 1;
        if (slices === 2) await revoke(instance, 1);
        return instance.store.transact(work, options);
      },
    };
    const swept = await sweepEnded(store, guardOf(instance), [instance.tree], never);
    const more = await sweepEnded(instance.store, guardOf(instance), [instance.tree], never);
    assert.deepEqual([swept, more], [150, 100]);
    assert.deepEqual(await instance.replica.candidates(key('k000')), []);
  });

  it('R12: a collection goes by what another instance has taken in: what stands is not dropped for what has ended', async () => {
    const { open, write, revoke } = world();
    const [one, two] = [await open(0), await open(1)];
    const ms = clock.now() - 10_000;
    await write(one, 'k', 1, atMs(ms));
    await write(one, 'k', 0, atMs(ms + 1));
    await revoke(one, 0);
    await two.replica.collect(atMs(ms + 5_000), never);
    assert.equal(Buffer.from((await one.replica.get(key('k'))).value).toString(), 'of w1');
  });

  it('I2: R12: a write to a key that is collected is not lost, where it comes between the reads and the commit of the collection', async () => {
    const instance = await openInstance({ clock });
    const ms = clock.now() - 10_000;
    const names = Array.from({ length: 8 }, (_, i) => `k${i}`);
    const leaf = parseGrantId(new Uint8Array(32).fill(1));
    await instance.replica.receive(
      names.flatMap((name) => [
        received(instance.digests, name, atMs(ms + 1)),
        received(instance.digests, name, atMs(ms), atMs(ms), { leaf, tombstone: true }),
      ]),
      'peer',
    );
    const store = interrupted(instance.store, () => instance.replica.write([set('k3', 'later')]));
    await collectBelow({ store, followers: [instance.tree], guard: undefined }, atMs(ms + 5_000), never);
    assert.equal(Buffer.from((await instance.replica.get(key('k3'))).value).toString(), 'later');
    await assertTree(instance.store, instance.digests);
  });
});
