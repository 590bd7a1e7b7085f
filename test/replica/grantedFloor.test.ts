/** Three replicas of one history, with floor, collection, revocations and exchanges between: they end the same, and no delete is undone. */
import assert from 'node:assert/strict';
import { Driver } from '../../src/aae/driver.ts';
import { Responder, type WriteSink } from '../../src/aae/responder.ts';
import { toHex } from '../../src/core/bytes.ts';
import { allKeys } from '../../src/core/key.ts';
import { limits } from '../../src/core/limits.ts';
import { type Random } from '../../src/core/ports.ts';
import { compareStamps, makeStamp, parseInstance, physicalMsOf } from '../../src/core/stamp.ts';
import { parseGrantId } from '../../src/core/write.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { type ReceivedWrite } from '../../src/replica/proposal.ts';
import { assertTree } from '../aae/oracle.ts';
import { key, openInstance, type Instance } from '../aae/world.ts';
import { anyOf, Mesh, person } from '../grant/world.ts';
import { FakeClock, seededRandom } from '../support.ts';
import { always, below, historyOf, isGreater, nowMs, oneOf, shuffled, signedBy, type History, type MadeWrite } from './grantedHistory.ts';
import { rowsOf } from './rows.ts';

const seeds = Number(process.env['GKVMESH_TEST_ORDERS'] ?? 40);
const never = new AbortController().signal;
const floor = makeStamp(nowMs - 10, 0, parseInstance(new Uint8Array(8)));
const isOld = ({ received }: MadeWrite): boolean => compareStamps(received.write.version, floor) < 0;

const receivedOf = (writes: readonly MadeWrite[]): ReceivedWrite[] => writes.map(({ received }) => received);

/** As members do that know of the floor. */
function sinkOf({ replica }: Instance): WriteSink {
  return { receive: (writes, peer, asOf) => replica.receive(writes, peer, 'repairs', asOf) };
}

async function exchange(from: Instance, to: Instance): Promise<void> {
  const responder = new Responder({ ...to, sink: sinkOf(to) });
  const link = { ask: (frame: Uint8Array) => responder.answer(frame) };
  const options = { scope: allKeys, direction: 'both', onProgress: () => undefined, signal: never } as const;
  await new Driver({ ...from, sink: sinkOf(from) }, link, options).run();
}

/** Everything below the floor came everywhere before anybody has the floor; all else comes in any order. */
async function live({ mesh, grants, revocations, writes }: History, random: Random): Promise<Instance[]> {
  const granted = { meshId: mesh.id, records: grants, signer: person('w0') };
  const replicas = await Promise.all([1, 2, 3].map((cluster) => openInstance({ granted, cluster, seed: cluster })));
  const left = new Map(
    replicas.map((each) => [
      each,
      { old: shuffled(random, writes.filter(isOld)), young: shuffled(random, writes), ended: shuffled(random, revocations) },
    ]),
  );
  const step = async (each: Instance, hasFloor: boolean): Promise<void> => {
    const { old, young, ended } = left.get(each) ?? { old: [], young: [], ended: [] };
    const next = (from: MadeWrite[]): ReceivedWrite[] => receivedOf(from.splice(0, 1 + below(random, 4)));
    const other = oneOf(random, replicas);
    const steps = [
      () => each.replica.receive(next(hasFloor ? young : old), 'peer'),
      () => each.ledger?.takeAll(ended.splice(0, 1)),
      () => each.replica.settleAuthority(never),
      () => (other === each ? undefined : exchange(each, other)),
      () => (hasFloor ? each.replica.raiseFloor(floor) : undefined),
      async () => each.replica.collect(await each.replica.floor(), never),
    ];
    await oneOf(random, steps)();
  };
  for (let i = 0; i < 12; i += 1) await step(oneOf(random, replicas), false);
  for (const each of replicas) await each.replica.receive(receivedOf(left.get(each)?.old ?? []), 'peer');
  for (let i = 0; i < 40; i += 1) await step(oneOf(random, replicas), true);
  for (const each of replicas) {
    const { young = [], ended = [] } = left.get(each) ?? {};
    await each.replica.receive(receivedOf(young), 'peer');
    await each.ledger?.takeAll(ended);
    await each.replica.settleAuthority(never);
    await each.replica.raiseFloor(floor);
    await each.replica.collect(floor, never);
  }
  for (const from of replicas) for (const to of replicas) if (from !== to) await exchange(from, to);
  for (const each of replicas) await each.replica.collect(floor, never);
  return replicas;
}

const isGone = ({ write }: ReceivedWrite): boolean => write.tombstone || (write.expiresAt !== 0 && write.expiresAt < physicalMsOf(floor));

describe('candidates and the floor', () => {
  it(`I2: I3: I7: R12: R29: ${seeds} histories on three replicas end the same, and nothing that was deleted is seen`, async () => {
    for (let seed = 1; seed <= seeds; seed += 1) {
      const history = historyOf(seed);
      const replicas = await live(history, seededRandom(seed + 1_000));
      const [first, ...others] = await Promise.all(replicas.map(({ store }) => rowsOf(store, 'content')));
      for (const other of others) assert.deepEqual(other, first, `seed ${seed}`);
      for (const { store, digests } of replicas) await assertTree(store, digests);
      for (const name of history.expected.keys()) {
        const ofKey = history.writes.filter((each) => each.name === name);
        const greatest = ofKey.filter(({ stands }) => stands).sort((a, b) => (isGreater(a, b) ? -1 : 1))[0];
        const candidates = (await replicas[0]?.replica.candidates(key(name))) ?? [];
        assert.ok(candidates.filter(({ version }) => compareStamps(version, floor) < 0).length <= 1, `seed ${seed}, ${name}`);
        const [seen] = candidates;
        if (seen !== undefined) assert.equal(toHex(seen.id), greatest && toHex(greatest.received.id), `seed ${seed}, ${name}`);
        else if (greatest !== undefined && !(isOld(greatest) && isGone(greatest.received))) {
          // A greater one that has ended since may have hidden it while both were below the floor, and nothing else.
          const hiding = ofKey.filter((each) => isGreater(each, greatest) && isOld(each) && each.wasAllowed);
          assert.ok(isOld(greatest) && hiding.length > 0, `seed ${seed}, ${name}: what stands is gone`);
        }
      }
    }
  });

  it('I3: R23: what a delete that was collected had hidden does not come back while the delete in its place waits for our clock', async () => {
    const mesh = new Mesh();
    const [ann, ben] = [mesh.grant('ann', always), mesh.grant('ben', always)];
    const granted = { meshId: mesh.id, records: [mesh.root, ann, ben].map(anyOf), signer: person('ann') };
    const [clock, ahead] = [new FakeClock(), new FakeClock()];
    ahead.ms += 2 * limits.futureMsMax;
    const here = await openInstance({ granted, clock });
    const there = await openInstance({ granted, clock: ahead, cluster: 2, seed: 2 });
    const made = (name: string, { id }: Grant, ms: number, tombstone: boolean): ReceivedWrite => {
      const version = makeStamp(ms, 0, parseInstance(new Uint8Array(8).fill(0xee)));
      const value = Buffer.from(tombstone ? '' : 'hidden');
      return signedBy(name, { key: key('k'), version, tombstone, expiresAt: 0, leaf: parseGrantId(id), value }, here.digests);
    };
    const old = [made('ben', ben, nowMs - 30, false), made('ann', ann, nowMs - 20, true)];
    for (const { replica } of [here, there]) await replica.receive(old, 'peer');
    await there.replica.receive([made('ann', ann, ahead.now(), true)], 'peer');
    for (const { replica } of [here, there]) {
      await replica.raiseFloor(floor);
      await replica.collect(floor, never);
    }
    const seenThere = (await there.replica.candidates(key('k'))).length;
    assert.deepEqual(
      [(await here.replica.candidates(key('k'))).length, seenThere],
      [0, 2],
      'collected here, hidden by a later delete there',
    );
    for (let round = 0; round < 2; round += 1) {
      await exchange(here, there);
      assert.equal((await here.replica.get(key('k'))).exists, false, 'in what brought the delete, and in what comes after it');
    }
    clock.ms = ahead.ms;
    await here.replica.retryParked();
    await exchange(here, there);
    assert.equal((await here.replica.get(key('k'))).exists, false);
    assert.deepEqual(await rowsOf(here.store, 'content'), await rowsOf(there.store, 'content'));
  });
});
