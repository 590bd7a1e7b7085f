/** Three replicas of one history, with floor, collection, revocations and exchanges between: they end the same, and no delete is undone. */
import assert from 'node:assert/strict';
import { Driver } from '../../src/aae/driver.ts';
import { Responder, takeIn, type WriteSink } from '../../src/aae/responder.ts';
import { toHex } from '../../src/core/bytes.ts';
import { allKeys } from '../../src/core/key.ts';
import { limits } from '../../src/core/limits.ts';
import { type Random } from '../../src/core/ports.ts';
import { compareStamps, makeStamp, parseInstance, physicalMsOf } from '../../src/core/stamp.ts';
import { parseGrantId } from '../../src/core/write.ts';
import { inlineSignatures, nativeSignatures } from '../../src/crypto/ed25519.ts';
import { setLapsed } from '../../src/replica/lapsed.ts';
import { type ReceivedWrite } from '../../src/replica/proposal.ts';
import { assertTree } from '../aae/oracle.ts';
import { key, openInstance, type Instance } from '../aae/world.ts';
import { anyOf, Mesh, patternsOf, person } from '../grant/world.ts';
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
});

interface Hidden {
  /** Has collected ann's delete and what of ben's it hid. */
  readonly here: Instance;
  /** Has a later delete of ann's in its place, which `make` made, and so what it hides. */
  readonly there: Instance;
  readonly clock: FakeClock;
  readonly ahead: FakeClock;
  readonly make: (name: 'ann' | 'ben' | 'eve', ms: number, shape?: { of?: string; value?: string }) => ReceivedWrite;
  readonly hidden: ReceivedWrite;
}

/** `later`: when the later delete is made, by the clock of who has it, in ms. `signatures`: those of who receives. */
async function hide(later: (there: FakeClock) => number, signatures = inlineSignatures()): Promise<Hidden> {
  const mesh = new Mesh();
  const grants = {
    ann: mesh.grant('ann', always),
    ben: mesh.grant('ben', always),
    eve: mesh.grant('eve', { ...always, patterns: patternsOf('/x/**') }),
  };
  const granted = { meshId: mesh.id, records: [mesh.root, ...Object.values(grants)].map(anyOf), signer: person('ann') };
  const [clock, ahead] = [new FakeClock(), new FakeClock()];
  ahead.ms += 2 * limits.futureMsMax;
  const here = await openInstance({ granted, clock, signatures });
  const there = await openInstance({ granted, clock: ahead, cluster: 2, seed: 2 });
  const make: Hidden['make'] = (name, ms, { of = '/k', value } = {}) => {
    const version = makeStamp(ms, 0, parseInstance(new Uint8Array(8).fill(0xee)));
    const statement = { key: key(of), version, tombstone: value === undefined, expiresAt: 0, leaf: parseGrantId(grants[name].id) };
    return signedBy(name, { ...statement, value: Buffer.from(value ?? '') }, here.digests);
  };
  const hidden = make('ben', nowMs - 30, { value: 'hidden' });
  for (const { replica } of [here, there]) await replica.receive([hidden, make('ann', nowMs - 20)], 'peer');
  await there.replica.receive([make('ann', later(ahead))], 'peer');
  for (const { replica } of [here, there]) {
    await replica.raiseFloor(floor);
    await replica.collect(floor, never);
  }
  assert.deepEqual([(await here.replica.candidates(key('/k'))).length, (await there.replica.candidates(key('/k'))).length], [0, 2]);
  return { here, there, clock, ahead, make, hidden };
}

const isSeen = async ({ replica }: Instance): Promise<boolean> => (await replica.get(key('/k'))).exists;

describe('R23: what a delete that was collected had hidden, where a later delete hides it elsewhere', () => {
  it('I3: does not come back while that one waits for our clock', async () => {
    const { here, there, clock, ahead } = await hide((at) => at.now());
    for (let round = 0; round < 2; round += 1) {
      await exchange(here, there);
      assert.equal(await isSeen(here), false);
    }
    clock.ms = ahead.ms;
    await here.replica.retryParked();
    await exchange(here, there);
    assert.equal(await isSeen(here), false);
    assert.deepEqual(await rowsOf(here.store, 'content'), await rowsOf(there.store, 'content'));
  });

  it('I2: comes behind that one, whatever else of that peer waits', async () => {
    const { here, there, ahead, make } = await hide(() => nowMs - 5);
    await there.replica.receive([make('eve', ahead.now(), { of: '/x/1', value: 'ahead' })], 'client');
    await exchange(here, there);
    assert.equal((await here.replica.parkedCount()).writes, 1);
    assert.equal(await isSeen(here), false);
    assert.equal((await here.replica.candidates(key('/k'))).length, 2);
  });

  for (const kind of ['native signatures', 'a peer that has lapsed'] as const) {
    it(`I3: nor in the commit after that one’s, with ${kind}`, async () => {
      const { here, make, ahead, hidden } = await hide((at) => at.now(), kind === 'native signatures' ? nativeSignatures() : undefined);
      const peer = toHex(new Uint8Array(16).fill(2));
      if (kind === 'a peer that has lapsed') await here.store.transact((tx) => setLapsed(tx, peer, nowMs));
      const page = Array.from({ length: 499 }, (_, i) => make('ann', nowMs - 5, { of: `a${i}`, value: 'v' }));
      await takeIn(sinkOf(here), [...page, make('ann', ahead.now()), hidden], peer, floor);
      assert.equal(await isSeen(here), false);
    });
  }

  it('I3: nor where another takes that one’s place between the listing and the sending', async () => {
    const { here, there, make } = await hide(() => nowMs - 5);
    // Ours differs, so that the peer lists; and more than a page goes before it.
    await here.replica.receive([make('ann', nowMs - 5, { of: 'j', value: 'v' })], 'peer');
    for (let i = 0; i < 4; i += 1)
      await there.replica.receive([make('ann', nowMs - 5, { of: `a${i}`, value: 'v'.repeat(300_000) })], 'peer');
    const responder = new Responder({ ...here, sink: sinkOf(here) });
    let asked = 0;
    const link = {
      ask: async (frame: Uint8Array) => {
        asked += 1;
        const answer = await responder.answer(frame);
        if (asked === 2) await there.replica.receive([make('ann', nowMs - 1)], 'peer');
        return answer;
      },
    };
    const options = { scope: allKeys, direction: 'both', onProgress: () => undefined, signal: never } as const;
    await new Driver({ ...there, sink: sinkOf(there) }, link, options).run();
    assert.ok(asked > 2);
    assert.equal(await isSeen(here), false);
  });
});
