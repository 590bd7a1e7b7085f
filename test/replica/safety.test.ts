import assert from 'node:assert/strict';
import { toHex } from '../../src/core/bytes.ts';
import { GkvError, hasCode } from '../../src/core/errors.ts';
import { covers, type Frontier } from '../../src/core/frontier.ts';
import { compareStamps, makeStamp, parseInstance, stampZero, type Stamp } from '../../src/core/stamp.ts';
import { parseGrantId } from '../../src/core/write.ts';
import { signWrites } from '../../src/grant/signatureBlock.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { bodyOf } from '../../src/replica/batch.ts';
import { HybridClock } from '../../src/replica/clock.ts';
import { readReached } from '../../src/replica/ended.ts';
import { joinFrontier } from '../../src/replica/frontier.ts';
import { type FeedMove, type ReceivedWrite } from '../../src/replica/proposal.ts';
import { acquireSlot, closeFreeSlots, readClosed } from '../../src/replica/slot.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { tableRange, tables } from '../../src/store/keyspace.ts';
import { type Store } from '../../src/store/store.ts';
import { frontierOf, parts, stampOf } from '../core/frontiers.ts';
import { position } from '../mesh/hostile.ts';
import { key, openInstance, set, type Instance } from '../aae/world.ts';
import { anyOf, Mesh, person } from '../grant/world.ts';
import { FakeClock } from '../support.ts';
import { received } from './received.ts';

const peerId = new Uint8Array(16).fill(9);
const peer = toHex(peerId);
const [part] = parts;
const nowMs = new FakeClock().now();
const instance = parseInstance(new Uint8Array(8));
const at = (aheadMs: number): Stamp => makeStamp(nowMs + aheadMs, 0, instance);
const never = new AbortController().signal;

function move(joins: Frontier): FeedMove {
  return { peerId, cursor: { from: undefined, to: { incarnation: 1, position: position(1) } }, joins };
}

describe('R23: the floor', () => {
  it('only grows', async () => {
    const { replica } = await openInstance();
    assert.equal(await replica.raiseFloor(at(-1_000)), true);
    assert.deepEqual([await replica.raiseFloor(at(-2_000)), await replica.raiseFloor(at(-1_000))], [false, false]);
    assert.deepEqual(await replica.floor(), at(-1_000));
  });

  it('R12: what has the very stamp of the floor, or expires at its ms, stays, though something of its key is below', async () => {
    const { replica, digests } = await openInstance();
    const leaf = parseGrantId(new Uint8Array(32).fill(1));
    const [floor, before] = [at(-1_000), at(-5_000)];
    await replica.receive(
      [
        received(digests, 'at', floor, floor, { expiresAt: nowMs - 2_000 }),
        received(digests, 'expires', at(-2_000), undefined, { expiresAt: nowMs - 1_000 }),
        received(digests, 'expires', before, before, { leaf }),
      ],
      'peer',
    );
    assert.equal(await replica.collect(floor, never), 1);
    const left = [(await replica.candidates(key('at'))).length, (await replica.candidates(key('expires'))).length];
    assert.deepEqual(left, [1, 1]);
  });
});

describe('R20: M22: our own part of the frontier', () => {
  it('has no rows, whatever others say of it: after a renewal nothing is claimed of what we made before', async () => {
    const { store } = await openInstance();
    const theirs = frontierOf({ [part]: { base: stampOf(part, 0, nowMs) } });
    await store.transact((tx) => joinFrontier(tx, theirs, part));
    assert.deepEqual(await store.read((snapshot) => snapshot.range(tableRange(tables.frontier), { limit: 10 })), []);
  });
});

describe('R19: what is joined', () => {
  it('reaches no more than 5 s ahead of the wall clock', async () => {
    const { replica } = await openInstance();
    await replica.receivePage([], peer, move(frontierOf({ [part]: { base: stampOf(part, 0, nowMs + 60_000) } })));
    const frontier = await replica.frontier();
    assert.equal(covers(frontier, stampOf(part, 0, nowMs + 4_999)), true);
    assert.equal(covers(frontier, stampOf(part, 0, nowMs + 5_001)), false);
  });

  it('M29: nothing is reached while something of the peer is parked', async () => {
    const { replica, digests, store } = await openInstance();
    const joins = frontierOf({ [part]: { base: stampOf(part, 0, nowMs) } });
    const reached = { epoch: new Uint8Array(8).fill(1), members: [peerId] };
    await replica.receivePage([received(digests, 'k', at(60_000))], peer, { ...move(joins), reached });
    assert.deepEqual([...(await store.read(readReached))], []);
  });
});

describe('R21: what is closed stays closed', () => {
  it('a closing by a clock that is behind takes nothing back', async () => {
    const { store } = await openInstance();
    await store.transact((tx) => closeFreeSlots(tx, at(1_000), () => Promise.resolve(true)));
    await store.transact((tx) => closeFreeSlots(tx, at(-1_000), () => Promise.resolve(true)));
    const { base, slots } = await store.read(readClosed);
    assert.deepEqual([base, slots.get(0)], [at(1_000), at(1_000)]);
  });

  it('R3: an instance that goes on as another mints above what that has closed', () => {
    const hlc = new HybridClock(new FakeClock(), instance);
    hlc.startAs(instance, at(4_000));
    assert.ok(compareStamps(hlc.next(), at(4_000)) > 0);
  });

  it('R8: I8: who takes a slot again, that another held whose clock is ahead, mints above what that one has closed', async () => {
    const database = new MemoryDatabase();
    const ahead = new FakeClock();
    ahead.ms += 4_000;
    const first = await openInstance({ database });
    const second = await openInstance({ database, seed: 2, clock: ahead });
    const [{ version: before } = { version: stampZero }] = await second.replica.write([set('other', '1')]);
    await assert.rejects(first.replica.write([set('k', '2')]), (error) => hasCode(error, 'unavailable'));
    const [{ version } = { version: stampZero }] = await first.replica.write([set('k', '3')]);
    assert.ok(compareStamps(version, before) > 0);
  });

  it('R8: M20: the batches of a slot are counted on, whoever takes it over', async () => {
    const { store, replica } = await openInstance();
    await replica.write([set('k', '1')]);
    const { batch } = await acquireSlot(store, 0);
    assert.ok(batch > 0);
    assert.equal((await acquireSlot(store, 0)).batch, batch);
  });
});

describe('R8: an outcome that stays unknown', () => {
  it('is unavailable, and the slot is taken again under another lease', async () => {
    const whole = await openInstance();
    let unknown = 0;
    const store: Store = {
      ...whole.store,
      read: (work) => whole.store.read(work),
      watch: (row, signal) => whole.store.watch(row, signal),
      transact: async (work, options) => {
        const result = await whole.store.transact(work, options);
        if (unknown > 0) {
          unknown -= 1;
          throw new GkvError('commit_unknown', 'nobody knows');
        }
        return result;
      },
    };
    const taken: number[] = [];
    const slots = {
      take: async () => {
        const record = await acquireSlot(store, 0);
        taken.push(record.lease);
        return { slot: 0, record };
      },
    };
    const { replica } = await openInstance({ store, slots });
    unknown = 1;
    await assert.rejects(replica.write([set('k', '1')]), (error) => hasCode(error, 'unavailable'));
    await replica.write([set('k', '2')]);
    assert.equal(taken.length, 2);
  });
});

describe('in a granted mesh', () => {
  const mesh = new Mesh();
  const held = mesh.grant('a', { notBeforeMs: 0, expiresMs: 2 ** 48 });
  const [one, two] = [mesh.given(held, 'a', 'one'), mesh.given(held, 'a', 'two')] as const;

  const open = (): Promise<Instance> =>
    openInstance({ granted: { meshId: mesh.id, records: [mesh.root, held, one, two].map(anyOf), signer: person('a') } });

  function signed({ digests }: Instance, name: string, version: Stamp, grant: Grant, by: string): ReceivedWrite {
    const write = { key: key(name), version, tombstone: false, expiresAt: 0, leaf: parseGrantId(grant.id), value: Buffer.from(by) };
    const id = digests.writeId(bodyOf(write));
    const [signature = new Uint8Array(0)] = signWrites(mesh.id, [id], person(by));
    return { write: { ...write, signature }, id, accepted: version };
  }

  it('R31: R25: what is forged lapses its sender in the very commit: a page of it that shares that has nothing joined', async () => {
    const region = await open();
    const { replica } = region;
    await replica.write([set('warm', '1')]);
    const joins = frontierOf({ [part]: { base: stampOf(part, 0, nowMs) } });
    const forged = signed(region, 'k', at(0), one, 'two');
    await Promise.all([replica.receive([forged], peer), replica.receivePage([], peer, move(joins))]);
    assert.equal(covers(await replica.frontier(), stampOf(part, 0, nowMs)), false);
    assert.equal(await replica.lapsedCount(), 1);
  });

  it('R12: I3: what has ended, and is not swept yet, keeps no lesser write from being repaired below the floor', async () => {
    const region = await open();
    const { replica, ledger } = region;
    const floor = at(-1_000);
    await replica.receive([signed(region, 'k', at(-5_000), one, 'one')], peer);
    await replica.raiseFloor(floor);
    await ledger?.take([anyOf(mesh.revocation(one, 'a'))]);
    const [result] = await replica.receive([signed(region, 'k', at(-6_000), two, 'two')], peer, 'repairs', floor);
    assert.equal(result?.status, 'applied');
    assert.equal(Buffer.from((await replica.get(key('k'))).value).toString(), 'two');
  });
});
