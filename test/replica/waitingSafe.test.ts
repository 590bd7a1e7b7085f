import assert from 'node:assert/strict';
import { limits } from '../../src/core/limits.ts';
import { makeStamp, parseInstance, type Stamp } from '../../src/core/stamp.ts';
import { parseGrantId } from '../../src/core/write.ts';
import { inlineSignatures } from '../../src/crypto/ed25519.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { signWrites } from '../../src/grant/signatureBlock.ts';
import { bodyOf } from '../../src/replica/batch.ts';
import { Guard } from '../../src/replica/guard.ts';
import { setLapsed } from '../../src/replica/lapsed.ts';
import { listParked, readParkedCount } from '../../src/replica/park.ts';
import { type ReceivedWrite } from '../../src/replica/proposal.ts';
import { WaitingWrites, type WaitingDeps } from '../../src/replica/waiting.ts';
import { key, openInstance, type Instance } from '../aae/world.ts';
import { tableRange, tables } from '../../src/store/keyspace.ts';
import { anyOf, Mesh, person } from '../grant/world.ts';
import { FakeClock } from '../support.ts';
import { received } from './received.ts';

const mesh = new Mesh();
const held = mesh.grant('a', { notBeforeMs: 0, expiresMs: 2 ** 48 });
const late = mesh.given(held, 'a', 'late');
const peerInstance = parseInstance(new Uint8Array(8).fill(0xee));
const never = new AbortController().signal;

async function open(clock = new FakeClock()): Promise<Instance & { readonly fake: FakeClock }> {
  const granted = { meshId: mesh.id, records: [mesh.root, held].map(anyOf), signer: person('a') };
  return { ...(await openInstance({ granted, clock })), fake: clock };
}

function sent({ digests, clock }: Instance, name: string, grant: Grant, by: string, aheadMs = 0, valueBytes = 1): ReceivedWrite {
  const version = makeStamp(clock.now() + aheadMs, 0, peerInstance);
  const write = {
    key: key(name),
    version,
    tombstone: false,
    expiresAt: 0,
    leaf: parseGrantId(grant.id),
    value: Buffer.alloc(valueBytes, 'v'),
  };
  const id = digests.writeId(bodyOf(write));
  const [signature = new Uint8Array(0)] = signWrites(mesh.id, [id], person(by));
  return { write: { ...write, signature }, id, accepted: version };
}

/** What waits in a store, with another way in. */
function waitingOf(instance: Instance, receive: WaitingDeps['receive']): WaitingWrites {
  const { store, clock, digests, ledger } = instance;
  return new WaitingWrites({ store, clock, digests, guard: ledger && new Guard(ledger, inlineSignatures(), undefined), receive });
}

const failing: WaitingDeps['receive'] = () => Promise.reject(new Error('the disk is full'));

describe('what waits is not lost', () => {
  it('R9: of what is not due by then nothing is read', async () => {
    const instance = await open();
    const { store, digests, clock, replica } = instance;
    await replica.receive([sent(instance, 'k', held, 'a', 10_000), sent(instance, 'l', held, 'a', 10_001)], 'peer');
    const dueBy = (ms: number): Promise<number> =>
      store.read(async (snapshot) => (await listParked(snapshot, digests, undefined, 10, clock.now() + ms)).length);
    assert.deepEqual([await dueBy(9_999), await dueBy(10_000), await dueBy(10_001)], [0, 1, 2]);
  });

  it('R9: what has come due and could not be taken in waits on', async () => {
    const instance = await open();
    await instance.replica.receive([sent(instance, 'k', held, 'a', 10_000)], 'peer');
    instance.fake.ms += 10_000;
    await assert.rejects(waitingOf(instance, failing).retryParked());
    assert.equal((await instance.replica.parkedCount()).writes, 1);
    assert.equal(await instance.replica.retryParked(), 1);
    assert.equal((await instance.replica.get(key('k'))).exists, true);
  });

  it('R26: what waited for a grant that came, and could not be taken in, waits on', async () => {
    const instance = await open();
    await instance.replica.receive([sent(instance, 'k', late, 'late')], 'peer');
    await instance.ledger?.take([anyOf(late)]);
    await assert.rejects(waitingOf(instance, failing).retryUnproven());
    assert.equal((await instance.replica.parkedCount()).writes, 1);
    await instance.replica.settleAuthority(never);
    assert.equal((await instance.replica.get(key('k'))).exists, true);
  });

  it('R9: where the wall clock went back meanwhile, what was due is parked still', async () => {
    const instance = await open();
    await instance.replica.receive([sent(instance, 'k', held, 'a', 10_000)], 'peer');
    instance.fake.ms += 10_000;
    const { replica, fake } = instance;
    const waiting = waitingOf(instance, (writes, peer) => {
      fake.ms -= 10_000;
      return replica.receive(writes, peer);
    });
    assert.equal(await waiting.retryParked(), 0);
    assert.equal((await replica.parkedCount()).writes, 1);
    fake.ms += 10_000;
    await replica.retryParked();
    assert.equal((await replica.get(key('k'))).exists, true);
  });

  it('I7: R31: where no more peers may lapse nothing is given up', async () => {
    const instance = await open();
    const { store, replica, fake } = instance;
    await replica.receive([sent(instance, 'k', late, 'late')], 'peer');
    for (let i = 0; i < limits.lapsedPeersMax; i += 1) await store.transact((tx) => setLapsed(tx, `peer${i}`, fake.now()));
    fake.ms += limits.unprovenMsMax;
    assert.deepEqual((await replica.settleAuthority(never)).givenUp, new Map());
    assert.equal((await replica.parkedCount()).writes, 1);
  });

  it('R31: the places of peers that have lapsed are 2,000, and who has one keeps it', async () => {
    const { store, fake } = await open();
    const lapse = (peer: string): Promise<boolean> => store.transact((tx) => setLapsed(tx, peer, fake.now()));
    for (let i = 0; i < limits.lapsedPeersMax; i += 1) assert.equal(await lapse(`peer${i}`), true);
    assert.deepEqual([await lapse('one more'), await lapse('peer0')], [false, true]);
  });

  it('R26: whose grants came late, after 10 minutes, has not lapsed', async () => {
    const instance = await open();
    const { replica, fake, ledger } = instance;
    await replica.receive([sent(instance, 'k', late, 'late')], 'peer');
    fake.ms += limits.unprovenMsMax;
    await ledger?.take([anyOf(late)]);
    assert.deepEqual((await replica.settleAuthority(never)).givenUp, new Map());
    assert.deepEqual([await replica.lapsedCount(), (await replica.get(key('k'))).exists], [0, true]);
  });

  it('I9: R26: where few and large writes take nine tenths of the bytes, the peer with the most bytes goes, with all that is parked of it', async () => {
    const instance = await open();
    const { replica } = instance;
    const full = Math.ceil((0.9 * limits.parkedBytesMax) / limits.valueBytesMax);
    const peers = Math.ceil(full / 6);
    for (let i = 0; i < 20; i += 1) await replica.receive([sent(instance, `small${i}`, held, 'a', 60_000)], 'small');
    for (let peer = 0; peer < peers; peer += 1) {
      for (let i = 0; i < 6; i += 1)
        await replica.receive([sent(instance, `k${peer}-${i}`, held, 'a', 60_000, limits.valueBytesMax)], `large${peer}`);
    }
    const { givenUp } = await replica.settleAuthority(never);
    const [gone] = [...givenUp.keys()];
    assert.match(gone ?? '', /^large/);
    assert.equal(givenUp.get(gone ?? ''), 6);
    assert.equal((await replica.parkedCount()).writes, 20 + 6 * (peers - 1));
  }).timeout(30_000);
});

describe('R9: what is parked', () => {
  it('comes due in the order of the greater of version and accepted stamp, whatever waits longer', async () => {
    for (const far of ['version', 'accepted'] as const) {
      const clock = new FakeClock();
      const { replica, digests } = await openInstance({ clock });
      const at = (aheadMs: number): Stamp => makeStamp(clock.now() + aheadMs, 0, peerInstance);
      const [version, accepted] = far === 'version' ? [at(60_000), at(0)] : [at(0), at(60_000)];
      await replica.receive(
        Array.from({ length: limits.commitWritesMax }, (_, i) => received(digests, `far${i}`, version, accepted)),
        'peer',
      );
      await replica.receive([received(digests, 'near', at(10_000))], 'peer');
      clock.ms += 10_000;
      assert.equal(await replica.retryParked(), 1, far);
      assert.equal((await replica.get(key('near'))).exists, true);
    }
  });

  it('is counted in bytes too, less what was taken in, and without a row for who has nothing', async () => {
    const clock = new FakeClock();
    const { replica, digests, store } = await openInstance({ clock });
    const at = (aheadMs: number): Stamp => makeStamp(clock.now() + aheadMs, 0, peerInstance);
    await replica.receive([received(digests, 'later', at(60_000))], 'peer');
    const alone = await replica.parkedCount();
    await replica.receive([received(digests, 'soon', at(10_000), undefined, { value: 'x'.repeat(1_000) })], 'peer');
    clock.ms += 10_000;
    await replica.retryParked();
    assert.deepEqual([await replica.parkedCount(), await store.read((snapshot) => readParkedCount(snapshot, 'peer'))], [alone, alone]);
    clock.ms += 60_000;
    await replica.retryParked();
    assert.deepEqual(await store.read((snapshot) => snapshot.range(tableRange(tables.parkedCount), { limit: 10 })), []);
  });
});
