import assert from 'node:assert/strict';
import { toHex } from '../../src/core/bytes.ts';
import { hasCode } from '../../src/core/errors.ts';
import { stampToHex } from '../../src/core/stamp.ts';
import { parseGrantId } from '../../src/core/write.ts';
import { inlineSignatures, type Signatures } from '../../src/crypto/ed25519.ts';
import { Ledger } from '../../src/grant/ledger.ts';
import { Guard } from '../../src/replica/guard.ts';
import { Prover, type SignedStatement } from '../../src/replica/signed.ts';
import { type MemoryFaults } from '../../src/store/memory/faults.ts';
import { assertTree } from '../aae/oracle.ts';
import { key, set, type Instance } from '../aae/world.ts';
import { anyOf, patternsOf } from '../grant/world.ts';
import { FakeClock, until } from '../support.ts';
import { errorOf, type TestApi } from './harness.ts';
import {
  french,
  held,
  mesh,
  one,
  openRegion,
  readIn,
  said,
  sendSet,
  sent,
  servedByEach,
  statementsOf,
  versionOf,
  type Json,
  type Sent,
} from './signing.ts';

describe('commits of what clients sign', () => {
  let region: Instance;
  let api: TestApi;
  let clock: FakeClock;
  const serve = servedByEach();

  beforeEach(async () => {
    clock = new FakeClock();
    region = await openRegion({ clock });
    api = await serve(region);
  });

  const sets = (write: Sent): Promise<Json> => sendSet(api, write);
  const read = (name?: string): Promise<string | undefined> => readIn(region, name);

  it('I2: T40: regions that took different writes of one client, of equal versions too, come to the same, whichever was there first', async () => {
    const other = await openRegion({ cluster: 2 });
    const [here, there] = [
      sent({}, { key: '/cities/FR/2' }),
      sent({ value: 'Lyon' }, { key: '/cities/FR/2', version: versionOf('writer', 1), tombstone: true }),
    ];
    await region.replica.writeSigned(statementsOf(...here));
    await other.replica.writeSigned(statementsOf(...there));
    for (const [from, to] of [
      [region, other],
      [other, region],
    ] as const) {
      const { writes } = await from.replica.feedPage(new Uint8Array(12), new Map());
      await to.replica.receive(writes, 'peer');
    }
    for (const name of ['/cities/FR/1', '/cities/FR/2']) {
      const [ours, theirs] = await Promise.all([region, other].map(({ replica }) => replica.candidates(key(name))));
      assert.deepEqual(
        ours?.map(({ id, accepted }) => [toHex(id), stampToHex(accepted)]),
        theirs?.map(({ id, accepted }) => [toHex(id), stampToHex(accepted)]),
      );
    }
    assert.equal(await read('/cities/FR/2'), undefined);
    for (const { store, digests } of [region, other]) await assertTree(store, digests);
  });

  it('T40: what another instance of the cluster has been told of is known here at once', async () => {
    const late = mesh.given(held, 'a', 'late', { patterns: patternsOf('/late/**') });
    const sibling = await openRegion({ store: region.store, slot: 1 });
    await sibling.ledger?.take([anyOf(late)]);
    assert.equal(said(await sets(one({ leaf: parseGrantId(late.id), by: 'late', key: '/late/1' }))), '200');
  });

  it('K9: I4: T40: a revocation that overtakes the commit is heard: nothing slips by', async () => {
    const faults: MemoryFaults = {};
    region = await openRegion({ faults });
    api = await serve(region);
    faults.pause = async (point) => {
      if (point !== 'commit') return;
      delete faults.pause;
      await region.ledger?.take([anyOf(mesh.revocation(french, 'a'))]);
    };
    assert.equal(said(await sets(one())), '403 grant_revoked');
    assert.deepEqual(await region.replica.candidates(key('/cities/FR/1')), []);
  });

  it('R8: T40: after an answer that was lost it is taken in once, and a refusal stays one', async () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      region = await openRegion({ seed, faults: { unknownCommitted: 0.5 } });
      api = await serve(region);
      const [taken, refused] = await Promise.all([sets(one()), sets(one({ key: '/cities/DE/1' })), region.replica.write([set('k', 'v')])]);
      const [head] = await region.replica.candidates(key('/cities/FR/1'));
      assert.deepEqual([taken.json['applied'], taken.json['accepted']], [true, stampToHex(head!.accepted)], `seed ${seed}`);
      assert.deepEqual([said(refused), errorOf(refused.json)['index']], ['403 key_denied', 0]);
    }
  });

  it('I9: T40: of a batch that is not signed one signature is looked at, and of so many requests at a time: more are unavailable', async () => {
    let asked = 0;
    let answer = (): void => undefined;
    const answered = new Promise<void>((resolve) => (answer = resolve));
    const slow: Signatures = { isKey: () => true, verify: () => ((asked += 1), answered.then(() => false)) };
    const ledger = await Ledger.open(region.store, mesh.id, inlineSignatures());
    const prover = new Prover(new Guard(ledger, slow, undefined), region.digests, clock);
    const statements = (from: number, count: number): readonly SignedStatement[] =>
      statementsOf(...sent(...Array.from({ length: count }, (_, n) => ({ key: `/cities/FR/${from + n}` }))));
    const waiting = [prover.prove(statements(0, 256))];
    await until(() => asked === 1);
    for (let i = 0; i < 999; i += 1) waiting.push(prover.prove(statements(i, 1)));
    await assert.rejects(prover.prove(statements(0, 1)), { code: 'unavailable' });
    answer();
    for (const each of await Promise.allSettled(waiting)) assert.ok(each.status === 'rejected' && hasCode(each.reason, 'bad_signature'));
    assert.equal(asked, 1_000);
    await assert.rejects(prover.prove(statements(0, 1)), { code: 'bad_signature' });
  });

  it('I9: T40: what is not signed by who holds a grant takes no place in a commit', async () => {
    const before = region.replica.hlc.last;
    await Promise.all(Array.from({ length: 50 }, (_, i) => sets({ ...one({ key: `/cities/FR/x${i}` }), signature: one().signature })));
    assert.equal(stampToHex(region.replica.hlc.last), stampToHex(before));
  });
});
