import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import { b64, Scene, type RunningServer } from '../e2e/server.ts';
import { Writers } from '../e2e/writers.ts';
import { until } from '../support.ts';
import { testCluster } from './cluster.ts';
import { OwnFdb } from './fdbserver.ts';
import { defects, level, type Pair } from './pairs.ts';

if (testCluster !== undefined) {
  describe('a mesh of two clusters of two instances each, under two prefixes of one FoundationDB', function () {
    this.timeout(120_000);
    const scene = new Scene();
    const [left, right] = [Buffer.from('left/').toString('hex'), Buffer.from('right/').toString('hex')];
    let fdb: OwnFdb;
    const all = new Writers('allowed');
    let one: Pair;
    let two: Pair;
    before(async () => {
      assert(OwnFdb.isInstalled(), 'fdbserver and fdbcli must be on the PATH: these tests kill and stop a server');
      fdb = await OwnFdb.start(scene);
      const start = (prefix: string): Promise<RunningServer> => fdb.instance(scene, prefix);
      one = await Promise.all([start(left), start(left)]);
      two = await Promise.all([start(right), start(right)]);
      for (const to of [one[0], two[0]]) for (const member of [one[0], two[0]]) await introduce(to, member);
    });
    after(() => scene.close());

    /** The record of a member's cluster, written in another or the same. */
    async function introduce(to: RunningServer, member: RunningServer): Promise<void> {
      await to.set(`@system/peers/${member.clusterId}`, JSON.stringify({ address: member.mesh }));
    }

    async function assertLevel(): Promise<void> {
      await level([...one, ...two]);
      await fdb.assertSound(left);
      await fdb.assertSound(right);
    }

    it('a write that any instance takes in is read through any other, by its accepted stamp', async () => {
      for (const [from, to] of [
        [one[0], two[1]],
        [one[1], two[0]],
        [two[1], one[1]],
      ] as const) {
        const { accepted } = await from.set('k', `from ${from.api}`);
        await until(async () => (await to.post('/data/get', { key: b64('k'), atLeast: accepted })).status === 200); // at first nobody follows yet
        assert.equal(await to.read('k'), `from ${from.api}`);
      }
      await one[0].post('/data/set', { key: b64('k'), delete: true });
    });

    it('64 writers at all four, then all agree; no exchange had to repair anything', async () => {
      const stop = new AbortController();
      const writing = all.writeAll([...one, ...two], 0, stop.signal);
      await all.more(3_000);
      stop.abort();
      await writing;
      await assertLevel();
      await all.check(two[1]);
      assert.equal(await defects([...one, ...two]), 0);
    });

    it('fdbserver killed amid writers and restarted: all agree, nothing is lost', async () => {
      const stop = new AbortController();
      const writing = all.writeAll([...one, ...two], 1, stop.signal);
      await all.more(500);
      await fdb.killAndRestart();
      await all.more(500);
      stop.abort();
      await writing;
      await assertLevel();
      await all.check(one[1]);
      assert.equal(await defects([...one, ...two]), 0);
    });

    it('the instance that follows is killed: the other one goes on', async () => {
      await two[1].crash();
      const { accepted } = await one[1].set('after', 'the crash');
      await until(async () => (await two[0].post('/data/get', { key: b64('after'), atLeast: accepted })).status === 200);
      assert.equal(await two[0].read('after'), 'the crash');
    });
  });
}
