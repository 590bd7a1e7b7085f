import assert from 'node:assert/strict';
import { decodeAnswer, decodeRequest, encodeAnswer } from '../../src/aae/frame.ts';
import { decodeFeedAnswer, encodeFeedAnswer } from '../../src/mesh/feedMessage.ts';
import { answerIdentity } from '../../src/mesh/identity.ts';
import { GkvError, hasCode, type ErrorCode } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/ports.ts';
import { compareStamps, type Stamp } from '../../src/core/stamp.ts';
import { headKey } from '../../src/replica/change.ts';
import { runJobs } from '../../src/replica/jobs.ts';
import { closeFreeSlots } from '../../src/replica/slot.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { key, remove, set } from '../aae/world.ts';
import { TestClock, until } from '../support.ts';
import { stampAt } from './hostile.ts';
import { memberOp, membersOf, openCluster, sumOf, Network, untilEqual, type Cluster } from './world.ts';

/** It says who it is, as well as what `openCluster` has it serve. */
function serve(
  network: Network,
  { mesh, responder, digests, clusterId, address }: Cluster,
  exchange = (frame: Uint8Array): Promise<Uint8Array> => responder.answer(frame),
): void {
  network.serve(address, {
    identity: (frame) => Promise.resolve(answerIdentity(frame, { clusterId, regionName: '' }, digests)),
    feed: (frame) => mesh.feedServer.answer(frame),
    exchange,
  });
}

/** Nothing is written of who joins. */
const unwritten = { joining: () => Promise.resolve(), joined: () => Promise.resolve() };

describe('joining a mesh', () => {
  it('M17: where the donor is replaced by another cluster, joining begins anew with that one', async () => {
    const network = new Network();
    await using gone = await openCluster(network, 1);
    await using donor = await openCluster(network, 2);
    await using joiner = await openCluster(network, 3);
    await donor.replica.write([set('a', '1'), set('b', '2')]);
    serve(network, gone);
    const { feedServer } = gone.mesh;
    const answer = feedServer.answer.bind(feedServer);
    // Before the first page: what is at its address then is another cluster.
    feedServer.answer = (frame) => {
      serve(network, { ...donor, address: gone.address });
      return donor.mesh.feedServer.answer(frame).finally(() => (feedServer.answer = answer));
    };
    const announced: string[] = [];
    const joined = ({ clusterId }: { clusterId: Uint8Array }): Promise<void> => {
      announced.push(Buffer.from(clusterId).toString('hex'));
      return Promise.resolve();
    };
    await joiner.mesh.join(gone.address, { ...unwritten, joined }, () => undefined, new AbortController().signal);
    assert.deepEqual(announced, [donor.name]);
    assert.equal(await sumOf(joiner), await sumOf(donor));
  });

  it('M17: the same where that shows in the exchange that comes last', async () => {
    const network = new Network();
    await using gone = await openCluster(network, 1);
    await using donor = await openCluster(network, 2);
    await using joiner = await openCluster(network, 3);
    await donor.replica.write([set('a', '1')]);
    serve(network, gone);
    const announced: string[] = [];
    const joined = ({ clusterId }: { clusterId: Uint8Array }): Promise<void> => {
      announced.push(Buffer.from(clusterId).toString('hex'));
      return Promise.resolve();
    };
    const { responder } = gone;
    const answer = responder.answer.bind(responder);
    responder.answer = (...asked) => {
      if (announced.length === 0) return answer(...asked);
      serve(network, { ...donor, address: gone.address });
      return donor.responder.answer(...asked);
    };
    await joiner.mesh.join(gone.address, { ...unwritten, joined }, () => undefined, new AbortController().signal);
    assert.deepEqual(announced, [gone.name, donor.name]);
    assert.equal(await sumOf(joiner), await sumOf(donor));
  });

  for (const code of ['unavailable', 'session_unknown', 'peer_protocol', 'must_bootstrap', 'grant_time'] as const satisfies ErrorCode[]) {
    it(`M17: ${code} in the exchange at its end does not end it, is told once, and with what to do where there is something`, async () => {
      const network = new Network();
      await using donor = await openCluster(network, 1);
      await using joiner = await openCluster(network, 3);
      await donor.replica.write([set('a', '1'), set('b', '2')]);
      let faultsLeft = 0;
      const exchange = (frame: Uint8Array): Promise<Uint8Array> => {
        faultsLeft -= 1;
        return faultsLeft < 0 ? donor.responder.answer(frame) : Promise.reject(new GkvError(code, 'twice'));
      };
      serve(network, donor, exchange);
      const joined = (): Promise<void> => {
        faultsLeft = 2;
        return Promise.resolve();
      };
      await joiner.mesh.join(donor.address, { ...unwritten, joined }, () => undefined, new AbortController().signal);
      assert.ok(faultsLeft < 0);
      assert.equal(await sumOf(joiner), await sumOf(donor));
      const warnings = joiner.lines.filter(({ level }) => level === 'warn').map(({ message }) => message);
      const [first, advice, ...more] = warnings;
      assert.deepEqual([first, more], ['cannot join yet; it is tried again', []]);
      assert.equal(/gkvmesh grant create/.test(advice ?? ''), code === 'grant_time');
    });
  }

  it('M17: where its record cannot be written as a member’s, it is tried again; without an address by which others reach it, never', async () => {
    const network = new Network();
    await using donor = await openCluster(network, 1);
    await using joiner = await openCluster(network, 3);
    await donor.replica.write([set('a', '1')]);
    const failing: ErrorCode[] = ['version_mismatch', 'unavailable'];
    const join = (): Promise<void> => {
      const joined = (): Promise<void> => {
        const code = failing.shift();
        return code === undefined ? Promise.resolve() : Promise.reject(new GkvError(code, 'not now'));
      };
      return joiner.mesh.join(donor.address, { ...unwritten, joined }, () => undefined, new AbortController().signal);
    };
    await join();
    assert.equal(await sumOf(joiner), await sumOf(donor));
    failing.push('not_advertised');
    await assert.rejects(join(), (error) => hasCode(error, 'not_advertised'));
  });

  it('M17: another mesh ends it, whenever it answers, and who is asked first and speaks another protocol', async () => {
    const network = new Network();
    await using donor = await openCluster(network, 1);
    await using joiner = await openCluster(network, 3);
    const fails = (code: ErrorCode) => () => Promise.reject(new GkvError(code, 'for good'));
    const { clusterId, digests, address } = donor;
    const identity = (frame: Uint8Array): Promise<Uint8Array> =>
      Promise.resolve(answerIdentity(frame, { clusterId, regionName: '' }, digests));
    const feed = (frame: Uint8Array): Promise<Uint8Array> => donor.mesh.feedServer.answer(frame);
    for (const [answering, ends] of [
      [{ identity: fails('mesh_mismatch') }, 'mesh_mismatch'],
      [{ identity: fails('peer_protocol') }, 'peer_protocol'],
      [{ identity, feed, exchange: fails('mesh_mismatch') }, 'mesh_mismatch'],
    ] as const) {
      network.serve(address, answering);
      const joining = joiner.mesh.join(address, unwritten, () => undefined, new AbortController().signal);
      await assert.rejects(joining, (error) => hasCode(error, ends));
    }
  });

  it('M17: who is filled itself is no donor until it has everything', async () => {
    const network = new Network();
    await using first = await openCluster(network, 1);
    await using between = await openCluster(network, 2);
    await using joiner = await openCluster(network, 3);
    await first.replica.write([set('a', '1')]);
    serve(network, between);
    between.mesh.fillFirst();
    const { signal } = new AbortController();
    const joined = joiner.mesh.join(between.address, unwritten, () => undefined, signal);
    await until(() => Promise.resolve(joiner.lines.some(({ message }) => message.startsWith('upstream cannot be followed'))));
    serve(network, first);
    await between.mesh.join(first.address, unwritten, () => undefined, signal);
    await joined;
    assert.equal(await sumOf(joiner), await sumOf(first));
  });

  it('I3: M17: a join that goes on after more than a day ends, and brings nothing back that was deleted meanwhile', async () => {
    const network = new Network();
    const clock = new TestClock();
    const times = { dayMs: 3_600_000 };
    await using donor = await openCluster(network, 1, { clock, times });
    serve(network, donor);
    const names = Array.from({ length: 1_400 }, (_, i) => `k${String(i).padStart(4, '0')}`);
    for (let at = 0; at < names.length; at += 200) await donor.replica.write(names.slice(at, at + 200).map((name) => set(name, 'v')));
    const database = new MemoryDatabase();
    const stop = new AbortController();
    const first = await openCluster(network, 3, { clock, times, database });
    first.mesh.fillFirst();
    const stopped = first.mesh.join(
      donor.address,
      unwritten,
      ({ writes }) => {
        if (writes >= 500) stop.abort();
      },
      stop.signal,
    );
    await assert.rejects(stopped);
    assert.equal((await first.replica.get(key('k0000'))).exists, true);
    await first[Symbol.asyncDispose]();
    await donor.replica.write([remove('k0000')]);
    clock.advance(4 * times.dayMs);
    await donor.replica.raiseFloor(stampAt(clock.now() - 2 * times.dayMs));
    await donor.replica.collect(await donor.replica.floor(), new AbortController().signal);

    await using again = await openCluster(network, 3, { clock, times, database });
    again.mesh.fillFirst();
    // Where its clock was right all the time the donor has no other reason to refuse it.
    await again.replica.closePresent();
    await again.store.transact((tx) => closeFreeSlots(tx, stampAt(clock.now()), () => Promise.resolve(true)));
    const { signal } = new AbortController();
    await assert.rejects(
      again.mesh.join(donor.address, unwritten, () => undefined, signal),
      (error) => hasCode(error, 'must_bootstrap'),
    );
    assert.equal((await donor.replica.get(key('k0000'))).exists, false);
  });

  it('I3: M17: the mesh holds its floor while one is filled, however long that takes, and collects what was deleted once it is a member', async () => {
    const network = new Network();
    const clock = new TestClock();
    await using donor = await openCluster(network, 1, { clock, jobs: 'run' });
    await using other = await openCluster(network, 2, { clock, jobs: 'run' });
    await donor.replica.write([memberOp(donor), memberOp(other)]);
    const names = Array.from({ length: 1_400 }, (_, i) => `k${String(i).padStart(4, '0')}`);
    for (let at = 0; at < names.length; at += 200) await donor.replica.write(names.slice(at, at + 200).map((name) => set(name, 'v')));
    await untilEqual([donor, other]);
    const database = new MemoryDatabase();
    const stop = new AbortController();
    const enough = ({ writes }: { writes: number }): void => {
      if (writes >= 500) stop.abort();
    };
    const first = await openCluster(network, 3, { clock, database });
    first.mesh.fillFirst();
    await assert.rejects(first.mesh.join(donor.address, membersOf(first, network), enough, stop.signal));
    assert.equal((await first.replica.get(key('k0000'))).exists, true);
    await first[Symbol.asyncDispose]();

    const isHeld = async ({ mesh }: Cluster): Promise<boolean> => (await mesh.view()).joining.some(({ address }) => address.port === 3);
    for (const cluster of [donor, other]) await until(() => isHeld(cluster));
    await donor.replica.write([remove('k0000')]);
    const floors = (): Promise<Stamp[]> => Promise.all([donor, other].map(({ replica }) => replica.floor()));
    await new Promise((resolve) => setTimeout(resolve, 300)); // a move that is under way
    const before = await floors();
    for (let days = 0; days < 20; days += 1) {
      clock.advance(3_000);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await untilEqual([donor, other]);
    assert.deepEqual(await floors(), before);
    const hasDelete = ({ store }: Cluster): Promise<boolean> =>
      store.read(async (snapshot) => (await snapshot.get(headKey(key('k0000')))) !== undefined);
    assert.equal(await hasDelete(donor), true);

    await using again = await openCluster(network, 3, { clock, database });
    again.mesh.fillFirst();
    await again.replica.closePresent();
    const running = new AbortController();
    await again.mesh.join(donor.address, membersOf(again, network), () => undefined, running.signal);
    assert.equal((await again.replica.get(key('k0000'))).exists, false);
    for (const cluster of [donor, other]) await until(async () => !(await isHeld(cluster)));
    assert.equal(donor.mesh.isMember(again.name), true);
    assert.equal(await sumOf(again), await sumOf(donor));
    const jobs = runJobs([...again.mesh.jobs, ...again.mesh.memberJobs], {
      store: again.store,
      leases: undefined,
      clock,
      log: silentLog,
    });
    for (const cluster of [donor, other, again]) {
      await until(async () => {
        clock.advance(500);
        return !(await hasDelete(cluster));
      });
    }
    await jobs[Symbol.asyncDispose]();
  });

  it('M17: who is given up while it is filled holds the floor until it is removed', async () => {
    const network = new Network();
    const clock = new TestClock();
    await using donor = await openCluster(network, 1, { clock, jobs: 'run' });
    await using joiner = await openCluster(network, 3, { clock });
    await donor.replica.write([memberOp(donor), memberOp(joiner, { joining: true })]);
    await until(async () => (await donor.mesh.view()).joining.length === 1);
    const before = await donor.replica.floor();
    clock.advance(60_000);
    await donor.replica.closePresent();
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.deepEqual(await donor.replica.floor(), before);
    assert.equal(await membersOf(donor, network).remove(joiner.clusterId), true);
    await until(async () => {
      clock.advance(500);
      return compareStamps(await donor.replica.floor(), before) > 0;
    });
    assert.deepEqual((await donor.mesh.view()).joining, []);
  });

  it('M17: who has no address by which others reach it is told so before it is filled', async () => {
    const network = new Network();
    await using donor = await openCluster(network, 1);
    await using joiner = await openCluster(network, 3);
    await donor.replica.write([set('a', '1')]);
    joiner.mesh.fillFirst();
    const joining = (): Promise<void> => Promise.reject(new GkvError('not_advertised', 'nowhere'));
    const joined = joiner.mesh.join(donor.address, { ...unwritten, joining }, () => undefined, new AbortController().signal);
    await assert.rejects(joined, (error) => hasCode(error, 'not_advertised'));
    assert.equal((await joiner.replica.get(key('a'))).exists, false);
  });

  it('I3: M17: nothing is taken of what the donor had before it was asked to hold its floor', async () => {
    const network = new Network();
    await using donor = await openCluster(network, 1);
    await using joiner = await openCluster(network, 3);
    await donor.replica.write([set('a', '1')]);
    joiner.mesh.fillFirst();
    const came: number[] = [];
    const joining = async (): Promise<void> => {
      await donor.replica.write([set('b', '2')]);
    };
    const note = ({ writes }: { writes: number }): void => void came.push(writes);
    await joiner.mesh.join(donor.address, { ...unwritten, joining }, note, new AbortController().signal);
    assert.deepEqual(came, [2]);
  });

  it('I3: M17: nor before the donor has its record, which is parked there while our clock is ahead', async () => {
    const network = new Network();
    const clock = new TestClock();
    const ahead = new TestClock();
    ahead.advance(60_000);
    await using donor = await openCluster(network, 1, { clock });
    await using joiner = await openCluster(network, 3, { clock: ahead });
    await donor.replica.write([set('a', '1')]);
    serve(network, donor);
    joiner.mesh.fillFirst();
    const joined = joiner.mesh.join(donor.address, membersOf(joiner, network), () => undefined, new AbortController().signal);
    await until(async () => (await donor.replica.parkedCount()).writes === 1 && joiner.mesh.donorError()?.code === 'unavailable');
    assert.match(joiner.mesh.donorError()?.message ?? '', /this region’s clock is 60 s ahead of the donor’s/);
    assert.equal((await joiner.replica.get(key('a'))).exists, false);
    clock.advance(60_000);
    await donor.replica.retryParked();
    ahead.advance(1_000);
    await joined;
    assert.equal((await joiner.replica.get(key('a'))).exists, true);
  });

  it('M17: M25: who is filled with what is older than the floor, and closes its slots by it, is not told that it is too old', async () => {
    const network = new Network();
    const clock = new TestClock();
    const times = { dayMs: 86_400_000, closingMs: { least: 1_000, most: 10_000 } };
    await using donor = await openCluster(network, 1, { clock, times });
    serve(network, donor);
    for (let at = 0; at < 3_000; at += 200) await donor.replica.write(Array.from({ length: 200 }, (_, i) => set(`k${at + i}`, 'v')));
    clock.advance(4 * times.dayMs);
    await donor.replica.raiseFloor(stampAt(clock.now() - 2 * times.dayMs));
    await donor.replica.closePresent();
    await using joiner = await openCluster(network, 3, { clock, times });
    joiner.mesh.fillFirst();
    const errors = new Set<string | undefined>();
    const look = (): void => void errors.add(joiner.mesh.donorError()?.code);
    await joiner.mesh.join(donor.address, unwritten, look, new AbortController().signal);
    assert.equal(await sumOf(joiner), await sumOf(donor));
    assert.deepEqual([...errors], [undefined]);
  });

  it('M17: a clock that is behind the floor is told at once, by how much, and nothing is written or taken in until it is right', async () => {
    const network = new Network();
    const [clock, late] = [new TestClock(), new TestClock()];
    const times = { dayMs: 86_400_000, closingMs: { least: 1_000, most: 10_000 } };
    await using donor = await openCluster(network, 1, { clock, times });
    serve(network, donor);
    clock.advance(3 * times.dayMs);
    await donor.replica.write([set('a', '1')]);
    await donor.replica.raiseFloor(stampAt(clock.now() - times.dayMs - 3_600_000));
    await using joiner = await openCluster(network, 3, { clock: late, times });
    joiner.mesh.fillFirst();
    let joinings = 0;
    const joining = (): Promise<void> => Promise.resolve(void (joinings += 1));
    const came: number[] = [];
    const note = ({ writes }: { writes: number }): void => void came.push(writes);
    const joined = joiner.mesh.join(donor.address, { ...unwritten, joining }, note, new AbortController().signal);
    await until(() => joiner.mesh.donorError()?.code === 'below_floor');
    assert.match(joiner.mesh.donorError()?.message ?? '', /^this region’s clock is 260000 s behind the donor’s/);
    assert.deepEqual([joinings, came], [0, []]);
    late.advance(3 * times.dayMs);
    await joined;
    assert.deepEqual([joinings > 0, joiner.mesh.donorError()], [true, undefined]);
    assert.equal(await sumOf(joiner), await sumOf(donor));
  });

  it('M17: a wall clock that no stamp can tell is refused as malformed, and the store can be filled by another', async () => {
    const network = new Network();
    await using donor = await openCluster(network, 1);
    await using joiner = await openCluster(network, 3);
    await donor.replica.write([set('a', '1')]);
    serve(network, donor);
    const { feedServer } = donor.mesh;
    const answer = feedServer.answer.bind(feedServer);
    feedServer.answer = async (frame) => {
      const { clusterId, body } = decodeAnswer(await answer(frame), frame, donor.digests, 'feed');
      const page = decodeFeedAnswer(body, 'open');
      const changed = encodeFeedAnswer({ ...page, statement: { ...page.statement, wallMs: 2 ** 48 } });
      return encodeAnswer({ clusterId, body: changed }, decodeRequest(frame, donor.digests, 'feed'), donor.digests, 'feed');
    };
    joiner.mesh.fillFirst();
    const stop = new AbortController();
    const joining = joiner.mesh.join(donor.address, unwritten, () => undefined, stop.signal);
    joining.catch(() => undefined);
    await until(() => joiner.mesh.donorError()?.code === 'peer_protocol');
    feedServer.answer = answer;
    await joining;
    assert.equal(await sumOf(joiner), await sumOf(donor));
    stop.abort();
  });
});
