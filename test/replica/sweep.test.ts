import assert from 'node:assert/strict';
import { inlineSignatures } from '../../src/crypto/ed25519.ts';
import { makeStamp, parseInstance } from '../../src/core/stamp.ts';
import { parseGrantId } from '../../src/core/write.ts';
import { signWrites } from '../../src/grant/signatureBlock.ts';
import { bodyOf } from '../../src/replica/batch.ts';
import { Guard } from '../../src/replica/guard.ts';
import { Sweeper } from '../../src/replica/sweep.ts';
import { type Store } from '../../src/store/store.ts';
import { key, openInstance } from '../aae/world.ts';
import { anyOf, Mesh, person } from '../grant/world.ts';
import { FakeClock } from '../support.ts';

const never = new AbortController().signal;

describe('R28: sweeps', () => {
  it('many revocations in one go make one scan, and those that come one after another leave the store its rest', async () => {
    const mesh = new Mesh();
    const held = mesh.grant('a', { notBeforeMs: 0, expiresMs: 2 ** 48 });
    const grants = Array.from({ length: 6 }, (_, i) => mesh.given(held, 'a', `w${i}`));
    const clock = new FakeClock();
    const granted = { meshId: mesh.id, records: [mesh.root, held, ...grants].map(anyOf), signer: person('a') };
    const { store, replica, ledger, digests } = await openInstance({ granted, clock });
    assert.ok(ledger);
    for (const [i, grant] of grants.entries()) {
      const version = makeStamp(clock.now(), i, parseInstance(new Uint8Array(8).fill(0xee)));
      const write = { key: key(`k${i}`), version, tombstone: false, expiresAt: 0, leaf: parseGrantId(grant.id), value: Buffer.from('v') };
      const id = digests.writeId(bodyOf(write));
      const [signature = new Uint8Array(0)] = signWrites(mesh.id, [id], person(`w${i}`));
      await replica.receive([{ write: { ...write, signature }, id, accepted: version }], 'peer');
    }
    let transactions = 0;
    const counted: Pick<Store, 'read' | 'transact'> = {
      read: (fn) => store.read(fn),
      transact: (fn, options) => {
        transactions += 1;
        clock.ms += 500;
        return store.transact(fn, options);
      },
    };
    const guard = new Guard(ledger, inlineSignatures(), undefined);
    const sweeper = new Sweeper({ store: counted as Store, guard, followers: [], clock }); // a sweep needs no more of a store
    const revoke = async (...which: number[]): Promise<void> => {
      await ledger.take(which.flatMap((i) => grants[i] ?? []).map((grant) => anyOf(mesh.revocation(grant, 'a'))));
    };
    await revoke(0, 1, 2);
    assert.deepEqual([await sweeper.run(never), transactions], [3, 2], 'one slice, and how far it went');
    assert.deepEqual([await sweeper.run(never), transactions], [0, 2]);
    await revoke(3);
    assert.deepEqual([await sweeper.run(never), transactions], [0, 2], 'it rests');
    await revoke(4);
    clock.ms += 4_000;
    assert.deepEqual([await sweeper.run(never), transactions], [2, 4]);
    assert.equal((await replica.get(key('k5'))).exists, true);
  });
});
