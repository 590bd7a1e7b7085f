import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, it } from 'mocha';
import { statusAnswer } from '../../src/http/schema.ts';
import { Scene, type RunningServer } from '../e2e/server.ts';
import { Writers } from '../e2e/writers.ts';
import { until } from '../support.ts';
import { testCluster } from './cluster.ts';
import { instanceFlags, OwnFdb } from './fdbserver.ts';

if (testCluster !== undefined) {
  describe('instances in processes of their own, on a FoundationDB of their own', function () {
    this.timeout(120_000);
    const scene = new Scene();
    let fdb: OwnFdb;
    let prefixes = 0;
    before(async () => {
      assert(OwnFdb.isInstalled(), 'fdbserver and fdbcli must be on the PATH: these tests kill and stop a server');
      fdb = await OwnFdb.start(scene);
    });
    after(() => scene.close());

    function freshPrefix(): string {
      prefixes += 1;
      return Buffer.from(`cluster ${prefixes}/`).toString('hex');
    }

    const start = (prefix: string): Promise<RunningServer> => fdb.instance(scene, prefix);
    const assertSound = (prefix: string): Promise<void> => fdb.assertSound(prefix);

    async function slotOf(server: RunningServer): Promise<number> {
      return statusAnswer.parse((await server.get('/control/status')).json).slot;
    }

    it('each instance of a cluster serves everything, under a slot of its own', async () => {
      const prefix = freshPrefix();
      const [one, two] = await Promise.all([start(prefix), start(prefix)]);
      assert.equal(one.clusterId, two.clusterId);
      assert.notEqual(await slotOf(one), await slotOf(two));
      await one.set('k', 'from one');
      assert.equal(await two.read('k'), 'from one');
      await two.set('k', 'from two');
      assert.equal(await one.read('k'), 'from two');
      await two.set('large', 'x'.repeat(1_000_000));
      assert.equal((await one.read('large'))?.length, 1_000_000);
      await Promise.all([one.stop(), two.stop()]);
      await assertSound(prefix);
    });

    it('G35: two clusters on one server, under two prefixes, know nothing of each other, and a pull brings them level', async () => {
      const [left, right] = [freshPrefix(), freshPrefix()];
      const [one, two] = await Promise.all([start(left), start(right)]);
      assert.notEqual(one.clusterId, two.clusterId);
      await one.fill('left/', 3_000);
      await two.fill('right/', 2_000);
      assert.equal(await two.read('left/00000'), undefined);
      const report = await two.pull(one.mesh);
      assert.deepEqual([report.converged, report.received, report.sent], [true, 3_000, 2_000]);
      assert.equal((await one.tree()).sum, (await two.tree()).sum);
      await Promise.all([one.stop(), two.stop()]);
      await Promise.all([assertSound(left), assertSound(right)]);
    });

    it('I1, I5: kill -9 of one of two instances amid writers, 5 times: nothing acknowledged is lost, and the other goes on', async () => {
      const prefix = freshPrefix();
      const all = new Writers('allowed');
      const stays = await start(prefix);
      for (let round = 0; round < 5; round += 1) {
        const dies = await start(prefix);
        const stop = new AbortController();
        const writing = all.writeAll([stays, dies], round, stop.signal);
        await all.more(500);
        await dies.crash();
        await all.more(300);
        stop.abort();
        await writing;
        await all.check(stays);
      }
      await stays.stop();
      await assertSound(prefix);
    });

    it('I1, I5: kill -9 and restart of fdbserver amid writers, 3 times: nothing acknowledged is lost', async () => {
      const prefix = freshPrefix();
      const all = new Writers('allowed');
      const servers = await Promise.all([start(prefix), start(prefix)]);
      for (let round = 0; round < 3; round += 1) {
        const stop = new AbortController();
        const writing = all.writeAll(servers, round, stop.signal);
        await all.more(500);
        await fdb.killAndRestart();
        await all.more(500);
        stop.abort();
        await writing;
        await all.check(servers[round % 2] ?? servers[0]);
      }
      await Promise.all(servers.map((server) => server.stop()));
      await assertSound(prefix);
    });

    it('fdbserver stopped for 10 s amid writers: not ready meanwhile, answers in bounded time, then goes on; nothing is lost', async () => {
      const prefix = freshPrefix();
      const all = new Writers('allowed');
      const servers = await Promise.all([start(prefix), start(prefix)]);
      const stop = new AbortController();
      const writing = all.writeAll(servers, 0, stop.signal);
      await all.more(500);
      fdb.pause();
      const pausedMs = performance.now();
      for (const server of servers) {
        await until(async () => (await server.get('/readyz')).status === 503);
        assert.equal((await server.post('/data/get', { key: 'aGk=' })).status, 503);
        assert.equal((await server.post('/data/set', { key: 'aGk=', value: '' })).status, 503);
      }
      const status = statusAnswer.parse((await servers[0].get('/control/status')).json);
      assert.deepEqual([status.ready, status.store.available, status.entries], [false, false, null]);
      await sleep(Math.max(0, 10_000 - (performance.now() - pausedMs))); // the fault itself lasts 10 s: longer than a lease and a read version
      fdb.resume();
      await all.more(500);
      await until(async () => (await servers[0].get('/readyz')).status === 200);
      stop.abort();
      await writing;
      await all.check(servers[1]);
      await Promise.all(servers.map((server) => server.stop()));
      await assertSound(prefix);
    });

    it('F8: reads and sizes that are asked for as it stops are answered in bounded time, also while a watch is being made', async () => {
      await using store = await fdb.store(freshPrefix());
      const key = Buffer.of(1);
      const stop = new AbortController();
      fdb.pause();
      try {
        const pausedMs = performance.now();
        const watching = store.watch(key, stop.signal);
        const asked = [store.read((snapshot) => snapshot.get(key)), store.approximateBytes({ start: key, end: Buffer.of(2) })];
        for (const { status } of await Promise.allSettled(asked)) assert.equal(status, 'rejected');
        await watching; // nobody would see what it missed
        assert.ok(performance.now() - pausedMs < 20_000);
      } finally {
        stop.abort();
        fdb.resume();
      }
    });

    it('I8, G32: an instance that was stopped past its lease commits nothing under it, and goes on under another', async () => {
      const prefix = freshPrefix();
      const all = new Writers('allowed');
      const [paused, other] = await Promise.all([start(prefix), start(prefix)]);
      const stop = new AbortController();
      const writing = all.writeAll([paused, other], 0, stop.signal);
      await all.more(500);
      paused.process.child.kill('SIGSTOP');
      await until(() => other.process.stderr.includes('"lease":"slot/')); // the other has ended the lease of the paused one
      paused.process.child.kill('SIGCONT');
      await all.more(500);
      stop.abort();
      await writing;
      await all.check(other);
      await paused.set('after the pause', 'yes');
      assert.equal(await other.read('after the pause'), 'yes');
      assert.match(paused.process.stderr, /lease/);
      await Promise.all([paused.stop(), other.stop()]);
      await assertSound(prefix);
    });

    it('without its FoundationDB an instance does not start, and says what to do', async () => {
      const away = await OwnFdb.start(scene);
      await away.kill();
      const args = ['serve', '--open', '--fdb', away.clusterFile, ...instanceFlags];
      const { code, stderr } = await scene.run(args);
      assert.equal(code, 1);
      assert.match(stderr, /has not answered within 30000 ms.*coordinators cannot be reached: check the cluster file/s);
    });
  });
}
