import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { readKeyFile } from '../../src/cli/keyFile.ts';
import { startOf } from '../../src/cli/meshDirectory.ts';
import { Client } from '../../src/client/client.ts';
import { refusedWrites } from '../../src/client/inspect.ts';
import { Signer } from '../../src/client/signer.ts';
import { MeshDigests } from '../../src/crypto/mesh.ts';
import { keyAnswer } from '../../src/http/schema.ts';
import { b64, errorIn, Scene, type Answer, type RunningServer } from '../e2e/server.ts';
import { Writers } from '../e2e/writers.ts';
import { copyOf, directoryFor, give } from '../meshDirectories.ts';
import { until } from '../support.ts';
import { alterValue } from '../tamper.ts';
import { testCluster } from './cluster.ts';
import { OwnFdb } from './fdbserver.ts';
import { defects, level, type Pair } from './pairs.ts';

const prefixOf = (name: string): string => Buffer.from(`${name}/`).toString('hex');

if (testCluster !== undefined) {
  describe('a granted mesh of two clusters of two instances each, under two prefixes of one FoundationDB', function () {
    this.timeout(120_000);
    const scene = new Scene();
    const gkvmesh = (...args: string[]): Promise<string> => scene.succeeds(args);
    const dir = scene.dir();
    const [homeDir, frDir] = [join(dir, 'home'), join(dir, 'fr')];
    let fdb: OwnFdb;
    let digests: MeshDigests;
    /** What fr writes by; the root gave it. */
    let grant: string;
    let frKey: string;
    let home: Pair;
    let fr: Pair;

    const start = (name: string, mesh: string): Promise<RunningServer> => fdb.instance(scene, prefixOf(name), ['--mesh', mesh]);
    const all = (): RunningServer[] => [...home, ...fr];

    before(async () => {
      assert(OwnFdb.isInstalled(), 'fdbserver and fdbcli must be on the PATH: these tests run a server of their own');
      fdb = await OwnFdb.start(scene);
      await gkvmesh('init', homeDir);
      ({ grant, key: frKey } = await directoryFor(gkvmesh, homeDir, frDir, '/cities/FR/**', '@system/**'));
      const { meshId, meshKey } = startOf(homeDir);
      digests = new MeshDigests({ id: meshId, key: meshKey, kind: 'granted' });
      home = await Promise.all([start('home', homeDir), start('home', homeDir)]);
      fr = await Promise.all([start('fr', frDir), start('fr', frDir)]);
      assert.equal((await home[0].post('/control/members/add', { peer: fr[0].mesh })).status, 200);
    });
    after(() => scene.close());

    /** An instance whose process has ended, again, where others reach it. */
    const again = (name: string, mesh: string, { api, mesh: address }: RunningServer): Promise<RunningServer> =>
      fdb.instance(scene, prefixOf(name), ['--mesh', mesh, '--listen', new URL(api).host, '--mesh-listen', address]);

    const write = (server: RunningServer, key: string, value: string): Promise<Answer> =>
      server.post('/data/set', { key: b64(key), value: b64(value) });

    async function arrives(servers: readonly RunningServer[], key: string, value: string | undefined): Promise<void> {
      for (const server of servers) await until(async () => (await server.read(key)) === value);
    }

    async function assertLevel(): Promise<void> {
      await level(all());
      for (const name of ['home', 'fr']) await fdb.assertSound(prefixOf(name), digests);
    }

    /** Who signed each candidate that is held for a key. */
    async function signersOf(server: RunningServer, key: string): Promise<(string | undefined)[]> {
      const { candidates } = keyAnswer.parse((await server.get(`/control/key?key=${Buffer.from(key).toString('base64url')}`)).json);
      return candidates.map(({ chain }) => chain?.grants.at(-1)?.audience);
    }

    async function keysBelow(server: RunningServer, prefix: string): Promise<string[]> {
      const { entries } = await server.list({ prefix: b64(prefix), limit: 1_000, keysOnly: true });
      return entries.map(({ key }) => Buffer.from(key, 'base64').toString());
    }

    it('M33: K1: what any instance takes in is signed, and read through any of the other cluster by its accepted stamp', async () => {
      for (const [from, to] of [
        [home[0], fr[1]],
        [home[1], fr[0]],
        [fr[0], home[1]],
        [fr[1], home[0]],
      ] as const) {
        const key = `/cities/FR/from ${from.port}`;
        const { accepted } = await from.set(key, 'a city');
        await until(async () => (await to.post('/data/get', { key: b64(key), atLeast: accepted })).status === 200); // at first nobody follows yet
        assert.equal(await to.read(key), 'a city');
        assert.equal((await signersOf(to, key)).includes(frKey), fr.includes(from));
      }
    });

    it('K11: K20: who may write /cities/FR/** is refused elsewhere by both its instances, with check, link and grant', async () => {
      for (const server of fr) {
        const refused = await write(server, '/cities/DE/1', 'Bonn');
        assert.equal(refused.status, 403);
        const { code, link, grant: named, endedBy } = errorIn(refused);
        assert.deepEqual([code, link, named, endedBy], ['key_denied', 0, grant, null]);
      }
      assert.equal(await home[1].read('/cities/DE/1'), undefined);
    });

    it('K1: K21: T40: what a client signs goes in by any instance of either cluster, where its grant allows it', async () => {
      const keyFile = join(dir, 'writer.key');
      const given = await give(gkvmesh, homeDir, await gkvmesh('keygen', keyFile), 'write', '/cities/ES/**');
      const key = readKeyFile(keyFile);
      const signer = new Signer({ meshId: digests.meshId, grantId: Buffer.from(given, 'hex'), key, now: () => Date.now() });
      const signed = async (server: RunningServer, name: string): Promise<Answer> => {
        const [made] = signer.sign([{ kind: 'set', key: Buffer.from(name), value: Buffer.from(`by ${server.port}`) }]);
        return server.post('/data/set', made);
      };
      for (const server of all()) {
        await until(async () => errorIn(await signed(server, '/cities/PT/1')).code === 'key_denied'); // it hears of the grant, first by home's directory
        assert.equal((await signed(server, `/cities/ES/${server.port}`)).status, 200);
      }
      for (const { port } of all()) await arrives(all(), `/cities/ES/${port}`, `by ${port}`);
      await gkvmesh('set', '/cities/ES/1', 'Madrid', '--sign-with', keyFile, '--grant', given, '--url', fr[1].api);
      await arrives(all(), '/cities/ES/1', 'Madrid');
    });

    it('I1, I2, I5: kill -9 of the instance that is followed, amid writers at all four, and its restart: nothing acknowledged is lost', async () => {
      const writers = new Writers('allowed', { prefix: '/cities/FR/written/' });
      const stop = new AbortController();
      const writing = writers.writeAll(all(), 0, stop.signal);
      await writers.more(500);
      await fr[0].crash();
      await writers.more(300);
      fr = [await again('fr', frDir, fr[0]), fr[1]];
      await writers.more(300);
      stop.abort();
      await writing;
      await assertLevel();
      for (const server of [home[1], ...fr]) await writers.check(server);
      assert.equal(await defects(all()), 0);
    });

    it('I4: R25: T42: a write that was changed in its store is refused by the other cluster as bad_signature, and listed; the rest comes', async () => {
      for (const server of home) await server.stop();
      for (const city of ['true', 'forged']) assert.equal((await write(fr[0], `/cities/FR/${city}`, 'a city')).status, 200);
      {
        await using store = await fdb.store(prefixOf('fr'));
        await alterValue(store, '/cities/FR/forged', 'a city', 'a ruin');
      }
      assert.equal(await fr[1].read('/cities/FR/forged'), 'a ruin');
      home = await Promise.all([again('home', homeDir, home[0]), again('home', homeDir, home[1])]);
      await arrives(home, '/cities/FR/true', 'a city');
      const codes = async (): Promise<string[]> => {
        const lists = await Promise.all(home.map(async ({ api }) => refusedWrites(new Client(api))));
        return lists.flat().flatMap(({ via, code, key }) => (via === 'peer' && key === b64('/cities/FR/forged') ? [code] : []));
      };
      await until(async () => (await codes()).length > 0);
      assert.deepEqual(new Set(await codes()), new Set(['bad_signature']));
      await arrives(home, '/cities/FR/forged', undefined);
      assert.equal((await write(fr[1], '/cities/FR/forged', 'true again')).status, 200);
      await arrives(all(), '/cities/FR/forged', 'true again');
      await assertLevel();
    });

    it('M33: a cluster that has the mesh key and no grants writes nothing, and neither gives nor gets anything', async () => {
      const mesh = join(dir, 'stranger');
      await copyOf(gkvmesh, homeDir, mesh);
      const stranger = await start('stranger', mesh);
      const codes = [
        await write(stranger, '/cities/FR/1', 'Paris'),
        await stranger.post('/control/aae/pull', { peer: home[0].mesh }),
        await stranger.post('/control/aae/pull', { peer: fr[1].mesh }),
        await home[1].post('/control/aae/pull', { peer: stranger.mesh }),
        await fr[0].post('/control/members/add', { peer: stranger.mesh }),
      ].map((answer) => errorIn(answer).code);
      assert.deepEqual(new Set(codes), new Set(['grant_unknown']));
      assert.deepEqual((await stranger.list()).entries, []);
      await stranger.stop();
    });

    it('K10: I4: I5: its grant revoked, what fr wrote is gone from all four instances, and they are equal', async () => {
      const mine = '/cities/FR/mine';
      assert.equal((await write(fr[1], mine, 'of fr')).status, 200);
      await arrives(all(), mine, 'of fr');
      const keys = await keysBelow(home[0], '/cities/FR/');
      const revocation = await gkvmesh('revoke', grant, '--mesh', homeDir);
      await arrives(all(), mine, undefined);
      for (const server of fr) {
        const refused = await write(server, mine, 'of fr');
        assert.equal(refused.status, 403);
        const { code, grant: named, endedBy } = errorIn(refused);
        assert.deepEqual([code, named, endedBy], ['grant_revoked', grant, revocation]);
      }
      assert.equal((await write(home[0], mine, 'of home')).status, 200);
      await arrives(all(), mine, 'of home');
      for (const server of [home[1], fr[0]])
        // of what home wrote too: a revoked one may lie below
        for (const key of keys) await until(async () => !(await signersOf(server, key)).includes(frKey));
      await arrives(all(), '/cities/ES/1', 'Madrid');
      await assertLevel();
    });
  });
}
