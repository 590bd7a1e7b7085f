import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { hasCode } from '../../src/core/errors.ts';
import { latestOf } from '../../src/core/frontier.ts';
import { type Clock } from '../../src/core/ports.ts';
import { compareStamps, makeStamp, parseInstance, stampZero } from '../../src/core/stamp.ts';
import { isAboveFloor } from '../../src/mesh/floor.ts';
import { realClock } from '../../src/server/real.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { raiseFloor } from '../../src/replica/floor.ts';
import { joinFrontier, readFrontier } from '../../src/replica/frontier.ts';
import { fenceAll } from '../../src/replica/unserved.ts';
import { removedOp } from '../../src/mesh/removal.ts';
import { noteRenewal } from '../../src/mesh/renewed.ts';
import { partOf } from '../../src/mesh/words.ts';
import { readIdentity, setIdentity } from '../../src/server/identity.ts';
import { seededRandom, TestClock, until } from '../support.ts';
import { areLevel, Region, renew, startMesh } from './region.ts';
import { Network } from './world.ts';

const dayMs = 86_400_000;

describe('a store that is restored or cloned', function () {
  this.timeout(60_000);
  const running = new Set<Region>();
  let network = new Network();
  afterEach(async () => {
    await Promise.all([...running].map((region) => region.stop()));
    running.clear();
    network = new Network();
  });

  function started(...regions: readonly Region[]): void {
    for (const region of regions) running.add(region);
  }

  async function mesh(count: number, clock?: Clock): Promise<Region[]> {
    const regions = await startMesh(network, count, clock);
    started(...regions);
    await until(() => areLevel(regions));
    return regions;
  }

  async function stop(region: Region | undefined): Promise<void> {
    assert(region !== undefined);
    running.delete(region);
    await region.stop();
  }

  async function startOn(database: MemoryDatabase, port: number, clock: Clock = realClock): Promise<Region> {
    const region = await Region.start({ network, port, database, clock });
    started(region);
    return region;
  }

  async function faultOf(region: Region, peer: string): Promise<string | undefined> {
    const { members } = await region.mesh.view();
    return members.find(({ record }) => Buffer.from(record.clusterId).toString('hex') === peer)?.fault?.code;
  }

  it('M20: a restored copy is detected by every peer it speaks to, however long the store ran before; its pages and claims change nothing', async () => {
    const [one, two, three] = await mesh(3);
    assert(one !== undefined && two !== undefined && three !== undefined);
    await one.set('kept', '1');
    await until(() => areLevel([one, two, three]));
    const copy = new MemoryDatabase(one.database);
    await one.set('later', '2');
    await until(() => areLevel([one, two, three]));
    await stop(one);
    const before = await two.sum();
    const restored = await startOn(copy, 1);
    await restored.set('from the copy', '3');
    await until(
      async () => (await faultOf(two, one.name)) === 'rollback_detected' && (await faultOf(three, one.name)) === 'rollback_detected',
    );
    await until(() => hasCode(restored.mesh.fault(), 'rollback_detected'));
    assert.equal(await two.sum(), before);
    assert.equal(await three.sum(), before);
    assert.equal(two.mesh.standing(one.name), 'plain');
    assert.equal(two.mesh.faults(), 1);
  });

  it('M22: after renew all converge: what was accepted after the copy was made comes back, and so does what the copy took in itself', async () => {
    const [one, two, three] = await mesh(3);
    assert(one !== undefined && two !== undefined && three !== undefined);
    await one.set('gone', '1');
    await until(() => areLevel([one, two, three]));
    const copy = new MemoryDatabase(one.database);
    await one.set('later', '2');
    await one.remove('gone');
    await two.set('elsewhere', '3');
    await until(() => areLevel([one, two, three]));
    await stop(one);
    const unrenewed = await startOn(copy, 1);
    await unrenewed.set('from the copy', '4');
    await until(() => unrenewed.mesh.fault() !== undefined);
    const closed = latestOf(await unrenewed.replica.frontier());
    await until(async () => compareStamps(latestOf(await unrenewed.replica.frontier()), closed) > 0); // it closes the present meanwhile
    await stop(unrenewed);
    await renew(copy);
    const renewed = await startOn(copy, 1);
    await until(async () => (await renewed.read('from the copy')) === '4' && (await areLevel([renewed, two, three])));
    for (const region of [renewed, two, three]) {
      assert.equal(await region.read('later'), '2');
      assert.equal(await region.read('gone'), undefined);
      assert.equal(await region.read('elsewhere'), '3');
      assert.equal(await region.read('from the copy'), '4');
      await until(() => region.mesh.faults() === 0); // what came by way of a third may be here before it has spoken itself
    }
    const accepted = await renewed.set('again', '5');
    assert.equal(await three.replica.waitFor(accepted, 10_000, new AbortController().signal), true);
    const { members } = await renewed.mesh.view();
    assert.equal(
      members.reduce((sum, { health }) => sum + (health?.defects ?? 0), 0),
      0,
    );
  });

  it('M21: a start after a stop, or after a crash, is not taken for a copy', async () => {
    const [one, two] = await mesh(2);
    assert(one !== undefined && two !== undefined);
    let region = one;
    for (let i = 0; i < 3; i += 1) {
      await region.set('k', String(i));
      await until(() => areLevel([region, two]));
      await stop(region);
      region = await startOn(region.database, 1);
      await two.set('k2', String(i));
      await until(async () => (await areLevel([region, two])) && (await region.read('k2')) === String(i));
      assert.equal(two.mesh.faults() + region.mesh.faults(), 0);
    }
  });

  it('M20: a clone beside the original is detected, whoever speaks first', async () => {
    const [one, two] = await mesh(2);
    assert(one !== undefined && two !== undefined);
    const clone = await startOn(new MemoryDatabase(one.database), 9);
    await until(async () => (await faultOf(two, one.name)) === 'rollback_detected');
    await until(() => clone.mesh.fault() !== undefined || one.mesh.fault() !== undefined);
  });

  it('M23: a lower incarnation than was heard is refused', async () => {
    const [one, two] = await mesh(2);
    assert(one !== undefined && two !== undefined);
    const old = new MemoryDatabase(one.database);
    await stop(one);
    await renew(one.database);
    const renewed = await startOn(one.database, 1);
    await renewed.set('renewed', '1');
    await until(() => areLevel([renewed, two]));
    await stop(renewed);
    const ended = await startOn(old, 1);
    await until(() => hasCode(ended.mesh.fault(), 'rollback_detected'));
    assert.equal(await faultOf(two, one.name), 'rollback_detected');
  });

  it('M25: a store that is older than the floor takes nothing, gives nothing, and no delete is undone', async () => {
    const clock = new TestClock();
    const [one, two] = await mesh(2, clock);
    assert(one !== undefined && two !== undefined);
    await one.set('gone', '1');
    await until(() => areLevel([one, two]));
    const copy = new MemoryDatabase(one.database);
    await one.remove('gone');
    clock.advance(2 * dayMs);
    const floor = makeStamp(clock.now() - dayMs - 20_000, 0, parseInstance(new Uint8Array(8)));
    await until(async () => isAboveFloor((await two.mesh.view()).low, floor));
    await two.replica.raiseFloor(floor);
    await two.replica.collect(floor, new AbortController().signal);
    await stop(one);
    await renew(copy);
    const before = await two.sum();
    const old = await startOn(copy, 1, clock);
    await until(() => hasCode(old.mesh.fault(), 'must_bootstrap'));
    await old.set('later', '2');
    const asked = network.asked.length;
    await until(() => network.asked.length > asked + 10);
    assert.equal(await two.sum(), before);
    assert.equal(await two.read('gone'), undefined);
    assert.equal(compareStamps(await old.replica.floor(), floor) < 0, true);
    assert.equal(two.mesh.standing(one.name), 'plain');
  });

  /** A floor a day ago, and all below it collected. */
  async function collectThere({ mesh: view, replica }: Region, clock: TestClock): Promise<void> {
    clock.advance(2 * dayMs);
    const floor = makeStamp(clock.now() - dayMs - 20_000, 0, parseInstance(new Uint8Array(8)));
    await until(async () => isAboveFloor((await view.view()).low, floor));
    await replica.raiseFloor(floor);
    await replica.collect(floor, new AbortController().signal);
  }

  async function bringsNothingBack(copy: MemoryDatabase, other: Region, clock: TestClock): Promise<void> {
    assert.equal(await other.read('gone'), undefined);
    await renew(copy);
    for (let start = 0; start < 2; start += 1) {
      const old = await startOn(copy, 1, clock);
      await until(() => hasCode(old.mesh.fault(), 'must_bootstrap'));
      await stop(old);
    }
    assert.equal(await other.read('gone'), undefined);
  }

  it('I3: M25: a renewed copy that is older than the floor is, whatever new incarnations the others have since', async () => {
    const clock = new TestClock();
    const [one, first] = await mesh(2, clock);
    assert(one !== undefined && first !== undefined);
    await one.set('gone', '1');
    await until(() => areLevel([one, first]));
    const copy = new MemoryDatabase(one.database);
    await one.remove('gone');
    await until(() => areLevel([one, first]));
    await stop(first);
    await renew(first.database);
    const two = await startOn(first.database, 2, clock);
    await until(() => areLevel([one, two]));
    await collectThere(two, clock);
    await stop(one);
    await bringsNothingBack(copy, two, clock);
  });

  /** A copy of a store from before there was anybody else, and who came since, and has collected what was deleted there. */
  async function copyOfAlone(clock: TestClock): Promise<{ copy: MemoryDatabase; two: Region }> {
    const one = await startOn(new MemoryDatabase(), 1, clock);
    await one.know(one);
    await one.set('gone', '1');
    const copy = new MemoryDatabase(one.database);
    const two = await startOn(new MemoryDatabase(), 2, clock);
    for (const each of [one, two]) await each.know(one, two);
    await until(() => areLevel([one, two]));
    await one.remove('gone');
    await until(() => areLevel([one, two]));
    await collectThere(two, clock);
    await stop(one);
    return { copy, two };
  }

  it('I3: M25: so is one from before there was anybody else', async () => {
    const clock = new TestClock();
    const { copy, two } = await copyOfAlone(clock);
    await bringsNothingBack(copy, two, clock);
  });

  it('I3: M25: nor does it bring anything back where its own floor went on while it knew of nobody', async () => {
    const clock = new TestClock();
    const { copy, two } = await copyOfAlone(clock);
    await renew(copy);
    await using store = openMemoryStore(copy, { clock, random: seededRandom(1) });
    await store.transact(async (tx) => raiseFloor(tx, await two.replica.floor()));
    const old = await startOn(copy, 1, clock);
    await until(() => hasCode(old.mesh.fault(), 'must_bootstrap'));
    assert.equal(await two.read('gone'), undefined);
  });

  it('I3: M25: nor where somebody joined it first, who has nothing but what it has', async () => {
    const clock = new TestClock();
    const { copy, two } = await copyOfAlone(clock);
    await renew(copy);
    await stop(two);
    const old = await startOn(copy, 1, clock);
    await until(async () => compareStamps(await old.replica.floor(), stampZero) > 0);
    const three = await startOn(new MemoryDatabase(), 3, clock);
    for (const each of [old, three]) await each.know(old, three);
    await until(() => areLevel([old, three]));
    await three.replica.raiseFloor(await old.replica.floor()); // before that it may refuse what is below
    await stop(old);
    const started = await startOn(copy, 1, clock);
    const back = await startOn(two.database, 2, clock);
    for (const each of [started, three, back]) await each.know(started, three, back);
    await until(() => hasCode(started.mesh.fault(), 'must_bootstrap'));
    assert.equal(await back.read('gone'), undefined);
  });

  it('I3: M25: nor as a cluster of another id, once the one that it is a copy of was removed', async () => {
    const clock = new TestClock();
    const { copy, two } = await copyOfAlone(clock);
    const other = { clusterId: new Uint8Array(16).fill(3), incarnation: 1 };
    {
      await using store = openMemoryStore(copy, { clock, random: seededRandom(1) });
      const floor = await two.replica.floor();
      await store.transact(async (tx) => {
        const read = await readIdentity(tx);
        assert(read !== undefined);
        const before = await readFrontier(tx, partOf(read.identity));
        setIdentity(tx, { ...read.identity, ...other }, read.keyDigest);
        await fenceAll(tx);
        await joinFrontier(tx, before, partOf(other));
        await noteRenewal(tx, latestOf(before), read.identity);
        await raiseFloor(tx, floor);
      });
    }
    await two.replica.write([
      removedOp({ clusterId: new Uint8Array(16).fill(1), incarnation: 1, removal: '01'.repeat(16), settled: false }, { kind: 'any' }),
    ]);
    await until(async () => (await two.mesh.view()).removed.length === 1);
    const old = await startOn(copy, 3, clock);
    await two.know(two, old);
    await until(() => hasCode(old.mesh.fault(), 'must_bootstrap'));
    assert.equal(await two.read('gone'), undefined);
  });

  it('M25: a region that was renewed while it was alone, for however long, takes in another that joins', async () => {
    const clock = new TestClock();
    const before = await startOn(new MemoryDatabase(), 1, clock);
    await before.know(before);
    await before.set('k', '1');
    await stop(before);
    await renew(before.database);
    clock.advance(10 * dayMs);
    const one = await startOn(before.database, 1, clock);
    await until(async () => compareStamps(await one.replica.floor(), stampZero) > 0);
    const two = await startOn(new MemoryDatabase(), 2, clock);
    await two.replica.raiseFloor(await one.replica.floor());
    for (const each of [one, two]) await each.know(one, two);
    await until(() => areLevel([one, two]));
    assert.deepEqual([one.mesh.fault(), two.mesh.fault()], [undefined, undefined]);
  });

  it('M25: a region that was renewed while there was no floor yet, and has all since, is not too old once there is one', async () => {
    const clock = new TestClock();
    const [first, two] = await mesh(2, clock);
    assert(first !== undefined && two !== undefined);
    await first.set('k', '1');
    await until(() => areLevel([first, two]));
    await stop(first);
    await renew(first.database);
    const one = await startOn(first.database, 1, clock);
    await two.set('k', '2');
    await until(async () => (await areLevel([one, two])) && (await one.read('k')) === '2');
    const raise = one.replica.raiseFloor.bind(one.replica);
    one.replica.raiseFloor = (floor) => new Promise((resolve) => setTimeout(resolve, 1_000)).then(() => raise(floor));
    await collectThere(two, clock);
    await until(async () => compareStamps(await one.replica.floor(), stampZero) > 0 || one.mesh.fault() !== undefined);
    assert.equal(one.mesh.fault(), undefined);
  });
});
