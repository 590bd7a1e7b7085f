import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { silentLog } from '../../src/core/ports.ts';
import { compareStamps } from '../../src/core/stamp.ts';
import { uuidText } from '../../src/core/uuid.ts';
import { type Members } from '../../src/mesh/members.ts';
import { peerKey } from '../../src/mesh/peers.ts';
import { headKey } from '../../src/replica/change.ts';
import { runJobs, type Job } from '../../src/replica/jobs.ts';
import { Joining, settleJoin } from '../../src/server/joining.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { key, remove, set } from '../aae/world.ts';
import { TestClock, until } from '../support.ts';
import { memberOp, membersOf, Network, openCluster, openWorld, untilEqual, type Cluster } from './world.ts';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const never = new AbortController().signal;

async function fill({ replica }: Cluster): Promise<void> {
  const names = Array.from({ length: 1_400 }, (_, i) => `k${String(i).padStart(4, '0')}`);
  for (let at = 0; at < names.length; at += 200) await replica.write(names.slice(at, at + 200).map((name) => set(name, 'v')));
}

function run({ store }: Cluster, clock: TestClock, jobs: readonly (Job | undefined)[]): AsyncDisposable {
  const known = jobs.filter((job) => job !== undefined);
  return runJobs(known, { store, leases: undefined, clock, log: silentLog });
}

const sees = async ({ replica }: Cluster): Promise<boolean> => (await replica.get(key('k0000'))).exists;
const holds = ({ store }: Cluster): Promise<boolean> =>
  store.read(async (snapshot) => (await snapshot.get(headKey(key('k0000')))) !== undefined);
const isHeld = async ({ mesh }: Cluster): Promise<boolean> => (await mesh.view()).joining.length === 1;

/** One that joins, and is stopped behind its first page, which brings k0000. Resolves with its store. */
async function halfFilled(network: Network, clock: TestClock, donor: Cluster): Promise<MemoryDatabase> {
  const database = new MemoryDatabase();
  const stop = new AbortController();
  const first = await openCluster(network, 3, { clock, database });
  first.mesh.fillFirst();
  const enough = ({ writes }: { writes: number }): void => {
    if (writes >= 500) stop.abort();
  };
  await assert.rejects(first.mesh.join(donor.address, membersOf(first, network), enough, stop.signal));
  assert.equal(await sees(first), true);
  await first[Symbol.asyncDispose]();
  await until(() => isHeld(donor));
  return database;
}

/** It goes on, and takes part then. */
async function filled(
  network: Network,
  clock: TestClock,
  donor: Cluster,
  database: MemoryDatabase,
): Promise<Cluster & { running: AsyncDisposable }> {
  const again = await openCluster(network, 3, { clock, database });
  again.mesh.fillFirst();
  await again.replica.closePresent();
  await again.mesh.join(donor.address, membersOf(again, network), () => undefined, never);
  await again.mesh.readMembers();
  return { ...again, running: run(again, clock, [...again.mesh.jobs, ...again.mesh.memberJobs]) };
}

describe('M17: what the donor keeps while a cluster is filled', () => {
  it('I3: a late delete, of a member that could move its floor over it before it has read who is being filled', async () => {
    const network = new Network();
    const clock = new TestClock();
    await using donor = await openCluster(network, 1, { clock, jobs: 'run' });
    await using late = await openCluster(network, 2, { clock });
    const [members, ...others] = late.mesh.jobs;
    const [follow, floor] = late.mesh.memberJobs;
    assert.deepEqual([members?.name, follow?.name, floor?.name], ['members', 'follow', 'floor']);
    for (const { replica } of [donor, late]) await replica.write([memberOp(donor), memberOp(late)]);
    await late.mesh.readMembers();
    await using following = run(late, clock, [...others, follow]);
    await fill(donor);
    await untilEqual([donor, late]);
    network.cut(donor, late);
    clock.advance(60_000);
    await late.replica.write([remove('k0000')]);
    clock.advance(120_000);
    const database = await halfFilled(network, clock, donor);
    network.heal();
    await until(async () => !(await sees(donor)));
    await untilEqual([donor, late]);
    for (let i = 0; i < 50; i += 1) {
      await floor?.work(late.store, never);
      await pause(10);
    }
    await using rest = run(late, clock, [members, floor]);
    await pause(300);
    assert.deepEqual([await holds(donor), rest !== following], [true, true]);
    await using joiner = await filled(network, clock, donor, database);
    await untilEqual([donor, joiner]);
    assert.deepEqual([await sees(donor), await sees(joiner)], [false, false]);
    await joiner.running[Symbol.asyncDispose]();
  });

  it('I3: though a member that does not hear of it moves its floor on, and says so', async () => {
    const network = new Network();
    const clock = new TestClock();
    await using donor = await openCluster(network, 1, { clock, jobs: 'run' });
    await using other = await openCluster(network, 2, { clock, jobs: 'run' });
    await using unaware = await openCluster(network, 4, { clock, jobs: 'run' });
    const all = [donor, other, unaware];
    for (const { replica } of all) await replica.write(all.map((each) => memberOp(each)));
    await fill(donor);
    await untilEqual(all);
    await pause(300); // exchanges that begin with following
    for (const each of [other, unaware]) network.cutWay(donor, each);
    clock.advance(60_000);
    await other.replica.write([remove('k0000')]);
    await until(async () => !(await sees(unaware)));
    clock.advance(120_000);
    await pause(500); // it has all of the others up to now
    for (const each of [donor, other]) network.cutWay(unaware, each);
    clock.advance(5_000);
    assert.equal(await sees(donor), true);
    const database = await halfFilled(network, clock, donor);
    await until(() => isHeld(other));
    clock.advance(10_000);
    assert.equal(await isHeld(unaware), false);
    network.heal();
    for (const each of [donor, other]) network.cutWay(unaware, each);
    await until(async () => !(await sees(donor)));
    await until(async () => !(await holds(unaware)));
    await pause(500);
    assert.equal(await holds(donor), true);
    network.heal();
    await using joiner = await filled(network, clock, donor, database);
    await untilEqual([donor, joiner]);
    assert.deepEqual(await Promise.all([...all, joiner].map(sees)), [false, false, false, false]);
    await joiner.running[Symbol.asyncDispose]();
  });

  it('also where somebody who had not heard of it makes it a member meanwhile: it says that it has nothing of anybody', async () => {
    const clock = new TestClock();
    const lowOf = async ({ mesh }: Cluster): Promise<bigint> => BigInt(`0x${Buffer.from((await mesh.view()).low).toString('hex')}`);
    await using joiner = await openCluster(new Network(), 3, { clock });
    joiner.mesh.fillFirst();
    await using other = await openCluster(new Network(), 3, { clock });
    const running = [joiner, other].map((each) => run(each, clock, each.mesh.jobs));
    for (const { replica } of [joiner, other]) await replica.write([memberOp(joiner)]);
    for (const each of [joiner, other]) await until(() => each.mesh.isMember(joiner.name));
    await until(async () => (await lowOf(other)) > 0n);
    await pause(200);
    assert.equal(await lowOf(joiner), 0n);
    for (const each of running) await each[Symbol.asyncDispose]();
  });

  it('from the moment on when its record is there, read or not; and when it is a member, until that one is counted', async () => {
    const clock = new TestClock();
    await using donor = await openCluster(new Network(), 1, { clock });
    await using joiner = await openCluster(new Network(), 3, { clock });
    const floor = donor.mesh.memberJobs.find(({ name }) => name === 'floor');
    const free = donor.mesh.jobs.find(({ name }) => name === 'free slots');
    const moves = async (): Promise<boolean> => {
      const before = await donor.replica.floor();
      clock.advance(60_000);
      await donor.replica.closePresent();
      await free?.work(donor.store, never);
      await floor?.work(donor.store, never);
      return compareStamps(await donor.replica.floor(), before) > 0;
    };
    await donor.replica.write([memberOp(donor)]);
    await donor.mesh.readMembers();
    assert.deepEqual([await moves(), await moves()], [true, true]);
    await donor.replica.write([memberOp(joiner, { joining: true })]);
    assert.equal(await moves(), false);
    await donor.replica.write([memberOp(joiner)]);
    assert.deepEqual([await moves(), await moves()], [false, false]);
    await donor.replica.write([remove(`@system/peers/${uuidText(joiner.clusterId)}`)]);
    assert.deepEqual([await moves(), await moves()], [false, true]);
  });
});

describe('M17: that a cluster is a member now', () => {
  it('is written again where somebody who had not heard of it wrote that it joins, and it is not ready before', async () => {
    await using world = await openWorld(2);
    const { network, clock } = world;
    const [donor, other] = world.clusters as [Cluster, Cluster];
    await fill(donor);
    await untilEqual(world.clusters);
    await using joiner = await openCluster(network, 3, { clock, times: { repairMs: 200 } }); // who takes it for one that joins does not follow it
    await settleJoin(joiner.store, donor.address, { isMember: false, entries: 0 });
    const members = membersOf(joiner, network);
    const overwritten: Pick<Members, 'joining' | 'joined'> = {
      joining: () => members.joining(),
      joined: async (found, address) => {
        await members.joined(found, address);
        clock.advance(1_000);
        await joiner.replica.write([memberOp(joiner, { joining: true })]);
      },
    };
    const { store, mesh } = joiner;
    const joining = new Joining(donor.address, { store, mesh, members: overwritten, kind: 'open', clock, log: silentLog, signal: never });
    const running = [run(joiner, clock, mesh.jobs)];
    const done = joining.run(
      () => undefined,
      () => void running.push(run(joiner, clock, mesh.memberJobs.filter(({ name }) => name !== 'floor'))), // prettier-ignore
    );
    await until(() => running.length > 1);
    await pause(300);
    assert.match(joining.unready() ?? '', /waits until these know of it too: /);
    running.push(
      run(
        joiner,
        clock,
        mesh.memberJobs.filter(({ name }) => name === 'floor'),
      ),
    );
    await done;
    for (const each of [donor, other, joiner]) await until(async () => each.mesh.isMember(joiner.name) && !(await isHeld(each)));
    for (const each of running) await each[Symbol.asyncDispose]();
  });

  it('is not overwritten by another instance that looked before', async () => {
    const network = new Network();
    await using donor = await openCluster(network, 1);
    const database = new MemoryDatabase();
    await using one = await openCluster(network, 3, { database, slot: 0 });
    await using two = await openCluster(network, 3, { database, slot: 1 });
    let go = (): void => undefined;
    const through = new Promise<void>((resolve) => (go = resolve));
    const slow = membersOf(two, network, {
      get: (name) => two.replica.get(name),
      ended: () => two.replica.ended(),
      write: async (ops) => through.then(() => two.replica.write(ops)),
    }).joining();
    await pause(20);
    await membersOf(one, network).joining();
    await membersOf(one, network).joined({ clusterId: donor.clusterId, regionName: '' }, donor.address);
    go();
    await slow;
    const record = Buffer.from((await one.replica.get(peerKey(one.clusterId))).value).toString();
    assert.deepEqual(JSON.parse(record), { address: 'cluster:3', regionName: '' });
  });

  it('M28: does not undo that it was removed meanwhile', async () => {
    await using world = await openWorld(2);
    const { network, clock } = world;
    const [donor, other] = world.clusters as [Cluster, Cluster];
    await fill(donor);
    await untilEqual(world.clusters);
    await using joiner = await openCluster(network, 3, { clock });
    joiner.mesh.fillFirst();
    const members = membersOf(joiner, network);
    const removed: Pick<Members, 'joining' | 'joined'> = {
      joining: () => members.joining(),
      joined: async (...to) => {
        await until(() => isHeld(other));
        network.cut(donor, other);
        assert.equal(await membersOf(other, network).remove(joiner.clusterId), true);
        clock.advance(1_000);
        await members.joined(...to);
      },
    };
    await joiner.mesh.join(donor.address, removed, () => undefined, never);
    await using running = run(joiner, clock, [...joiner.mesh.jobs, ...joiner.mesh.memberJobs]);
    network.heal();
    for (const { mesh } of [donor, other]) await until(() => mesh.refusalOf(joiner.name) !== undefined);
    await until(() => joiner.mesh.unready() !== undefined);
    await running[Symbol.asyncDispose]();
  });
});

describe('M6: after the members have changed', () => {
  it('an upstream is asked again at once', async () => {
    await using world = await openWorld(2, { times: { waitMs: 10_000, membersMs: 100 } });
    const [a, b] = world.clusters as [Cluster, Cluster];
    await untilEqual(world.clusters);
    await pause(1_500);
    const epoch = async (): Promise<string> => Buffer.from((await a.mesh.view()).epoch).toString('hex');
    const before = await epoch();
    await a.replica.write([set('@system/peers/09090909-0909-0909-0909-090909090909', '{"address":"nobody:1"}')]);
    await until(async () => (await epoch()) !== before);
    await pause(20);
    const started = performance.now();
    await a.replica.write([set('after', 'v')]);
    await until(async () => (await b.replica.get(key('after'))).exists);
    assert.ok(performance.now() - started < 600, 'one that takes an early answer for that of a server that stops waits for a second');
  });
});
