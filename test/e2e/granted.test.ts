import assert from 'node:assert/strict';
import { chmodSync, cpSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { statusAnswer } from '../../src/http/schema.ts';
import { copyOf, copyRecords, directoryFor, give } from '../meshDirectories.ts';
import { command } from '../region.ts';
import { until } from '../support.ts';
import { b64, errorIn, Scene, serveArgs, type RunningServer } from './server.ts';

/** Regions of one granted mesh, as an operator starts them. */
describe('gkvmesh serve --mesh', () => {
  const scene = new Scene();
  let dir: string;

  after(() => scene.close());

  const succeeds = (...args: string[]): Promise<string> => scene.succeeds(args);

  const argsOf = (mesh: string, data: string): string[] => serveArgs(data, ['--mesh', mesh]);

  const serve = (mesh: string, data = scene.dir()): Promise<RunningServer> =>
    scene.wrapped(process.execPath, [command, ...argsOf(mesh, data)], data);

  const write = (server: RunningServer, key: string, value: string): ReturnType<RunningServer['post']> =>
    server.post('/data/set', { key: b64(key), value: b64(value) });

  beforeEach(async () => {
    dir = scene.dir();
    await succeeds('init', join(dir, 'a'));
  });

  it('K1: T18: a region signs what comes over HTTP with its own key, over a restart, and never starts as an open one', async () => {
    const data = scene.dir();
    const mesh = join(dir, 'a');
    const first = await serve(mesh, data);
    assert.equal((await write(first, 'k', 'v')).status, 200);
    assert.equal((await first.process.kill('SIGTERM')).code, 0);
    const { code, stderr } = await scene.run(serveArgs(data));
    assert.equal(code, 2);
    assert.match(stderr, /bad_config: .*granted mesh: start it with --mesh/);
    const again = await serve(mesh, data);
    assert.equal(await again.read('k'), 'v');
    assert.equal(again.meshId, first.meshId);
    const open = await scene.server();
    assert.equal((await open.process.kill('SIGTERM')).code, 0);
    const asGranted = await scene.run(argsOf(mesh, open.data));
    assert.equal(asGranted.code, 2);
    assert.match(asGranted.stderr, /bad_config: .*open mesh: start it with --open/);
  });

  it('K10: K11: K20: a region confined to /cities/FR/** is refused elsewhere, and once revoked its writes go everywhere', async () => {
    const [meshA, meshB] = [join(dir, 'a'), join(dir, 'b')];
    const { grant } = await directoryFor(succeeds, meshA, meshB, '/cities/FR/**', '@system/**');
    const a = await serve(meshA);
    const b = await serve(meshB);
    assert.equal((await a.post('/control/members/add', { peer: b.mesh })).status, 200);
    assert.equal((await write(b, '/cities/FR/1', 'Paris')).status, 200);
    const refused = await write(b, '/cities/DE/1', 'Bonn');
    assert.equal(refused.status, 403);
    const { code, link, grant: named, endedBy } = errorIn(refused);
    assert.deepEqual([code, link, named, endedBy], ['key_denied', 0, grant, null]);
    await until(async () => (await a.read('/cities/FR/1')) === 'Paris');
    const revocation = await succeeds('revoke', grant, '--mesh', meshA);
    for (const each of [a, b]) await until(async () => (await each.read('/cities/FR/1')) === undefined);
    const ended = errorIn(await write(b, '/cities/FR/2', 'Lyon'));
    assert.deepEqual([ended.code, ended['grant'], ended['endedBy']], ['grant_revoked', grant, revocation]);
    assert.equal((await write(a, '/cities/FR/2', 'Lyon')).status, 200);
    await until(async () => (await b.read('/cities/FR/2')) === 'Lyon');
  });

  /** Requests that were refused on the mesh port, by route and code. */
  async function refusals(server: RunningServer): Promise<string[]> {
    const text = (await server.get('/metrics')).text;
    return [...text.matchAll(/mesh_frames_total\{route="([^"]+)",code="(?!ok")([^"]+)"\}/g)].map(
      ([, route, code]) => `${route ?? ''} ${code ?? ''}`,
    );
  }

  it('M33: K10: a region joins with a chain that its donor has never seen; once it may not replicate, it gets nothing and gives nothing', async () => {
    const [meshA, office, meshB] = [join(dir, 'a'), join(dir, 'office'), join(dir, 'b')];
    cpSync(meshA, office, { recursive: true });
    const { replicate } = await directoryFor(succeeds, office, meshB, '**');
    const a = await serve(meshA);
    for (const [key, value] of [
      ['k', 'of a'],
      ['large', 'x'.repeat(1_048_576)],
    ] as const)
      assert.equal((await write(a, key, value)).status, 200);
    const data = scene.dir();
    const b = await scene.wrapped(process.execPath, [command, ...argsOf(meshB, data), '--join', a.mesh], data);
    assert.deepEqual([await b.read('k'), (await b.read('large'))?.length], ['of a', 1_048_576]);
    assert.equal((await write(b, 'k', 'of b')).status, 200);
    await until(async () => (await a.read('k')) === 'of b');
    await succeeds('revoke', replicate, '--mesh', office);
    copyRecords(office, meshA);
    await until(async () => (await refusals(a)).some((refused) => refused.endsWith(' grant_revoked')));
    for (const [server, value] of [
      [a, 'later, of a'],
      [b, 'later, of b'],
    ] as const)
      assert.equal((await write(server, 'later', value)).status, 200);
    for (const [server, peer] of [
      [a, b],
      [b, a],
    ] as const)
      assert.equal(errorIn(await server.post('/control/aae/pull', { peer: peer.mesh })).code, 'grant_revoked');
    assert.deepEqual([await a.read('later'), await b.read('later')], ['later, of a', 'later, of b']);
  });

  it('M17: M33: who joins and may not waits, and says with a code why and what to do; once its directory has a grant it is filled', async () => {
    const [meshA, meshB] = [join(dir, 'a'), join(dir, 'b')];
    const a = await serve(meshA);
    assert.equal((await write(a, 'k', 'v')).status, 200);
    const key = await copyOf(succeeds, meshA, meshB);
    const b = await scene.joining(a.mesh, scene.dir(), [], ['--mesh', meshB]);
    const why = /grant_unknown: .*its key holds no grant that is known here.* grant to replicate on .*gkvmesh grant create/;
    await until(async () => why.test(errorIn(await b.get('/readyz')).message));
    const { ready, unready } = statusAnswer.parse((await b.get('/control/status')).json);
    assert.equal(ready, false);
    assert.match(unready ?? '', why);
    assert.match(b.process.stderr, /"code":"grant_unknown","msg":"its key needs a grant to replicate/);
    for (const rights of ['replicate', 'write']) await give(succeeds, meshA, key, rights, '**');
    copyRecords(meshA, meshB);
    await b.ready();
    assert.equal(await b.read('k'), 'v');
    assert.equal(statusAnswer.parse((await b.get('/control/status')).json).unready, null);
  });

  it('M33: K20: whoever has the mesh key alone, or may write alone, gets nothing', async () => {
    const meshA = join(dir, 'a');
    const a = await serve(meshA);
    assert.equal((await write(a, 'k', 'v')).status, 200);
    for (const [name, code, patterns] of [
      ['stranger', 'grant_unknown', []],
      ['confined', 'right_denied', ['/cities/FR/**']],
    ] as const) {
      const mesh = join(dir, name);
      const key = await copyOf(succeeds, meshA, mesh);
      if (patterns.length > 0) await give(succeeds, meshA, key, 'read,write', ...patterns);
      copyRecords(meshA, mesh);
      const server = await serve(mesh);
      assert.equal(errorIn(await server.post('/control/aae/pull', { peer: a.mesh })).code, code);
      assert.equal(errorIn(await a.post('/control/aae/pull', { peer: server.mesh })).code, code);
      assert.equal(errorIn(await a.post('/control/members/add', { peer: server.mesh })).code, code);
      assert.equal(await server.read('k'), undefined);
    }
    assert.deepEqual(((await a.get('/peers')).json as { peers: unknown[] }).peers, []); // as the schema says
  });

  it('T22: M37: R33: a region whose grant is on a part holds and sees that alone, and says so', async () => {
    const [meshA, meshB] = [join(dir, 'a'), join(dir, 'part')];
    const a = await serve(meshA);
    for (const name of ['cities/FR/1', 'k']) assert.equal((await write(a, name, 'of a')).status, 200);
    const key = await copyOf(succeeds, meshA, meshB);
    await give(succeeds, meshA, key, 'replicate,write,delete', 'cities/FR/**', '@system/peers/**');
    copyRecords(meshA, meshB);
    const b = await serve(meshB);
    assert.equal((await a.post('/control/members/add', { peer: b.mesh })).status, 200);
    await until(async () => (await b.read('cities/FR/1')) === 'of a');
    assert.equal((await write(b, 'cities/FR/2', 'of b')).status, 200);
    const denied = errorIn(await write(b, 'k', 'of b'));
    assert.deepEqual([denied.code, /this cluster is for .*cities\/FR\/\*\*/.test(denied.message)], ['key_denied', true]);
    await until(async () => (await a.read('cities/FR/2')) === 'of b');
    assert.deepEqual([await b.read('k'), await a.read('k')], [undefined, 'of a']);
    const scopes = async (server: RunningServer): Promise<unknown[]> => {
      const { mesh } = statusAnswer.parse((await server.get('/control/status')).json);
      return [mesh?.scope, mesh?.peers.map(({ scope }) => scope)];
    };
    const part = ['@system/peers', '@system/peers/**', 'cities/FR', 'cities/FR/**'];
    await until(async () => JSON.stringify(await scopes(a)) === JSON.stringify([['**'], [part]]));
    await until(async () => JSON.stringify(await scopes(b)) === JSON.stringify([part, [['**']]]));
    assert.equal(
      errorIn(await b.post('/control/aae/pull', { peer: a.mesh, prefix: Buffer.from('k').toString('base64') })).code,
      'scope_mismatch',
    );
    const pulled = await b.post('/control/aae/pull', { peer: a.mesh });
    assert.equal((pulled.json as { converged: boolean }).converged, true); // as the schema says
    assert.equal(errorIn(await b.post('/control/backup', {})).code, 'scope_mismatch');
  });

  it('T16: T18: a directory that is none, a key that others may read, and a key without a grant', async () => {
    const mesh = join(dir, 'a');
    for (const name of ['serve', 'check-config']) {
      const { code, stderr } = await scene.run([name, '--mesh', join(dir, 'nowhere')]);
      assert.equal(code, 2);
      assert.match(stderr, /bad_config: .*gkvmesh init/);
    }
    chmodSync(join(mesh, 'cluster.key'), 0o644);
    assert.match((await scene.run(['check-config', '--mesh', mesh])).stderr, /bad_config: .*cluster\.key is open to others/);
    rmSync(join(mesh, 'cluster.key'));
    await succeeds('keygen', join(mesh, 'other.key'));
    renameSync(join(mesh, 'other.key'), join(mesh, 'cluster.key'));
    await succeeds('check-config', '--mesh', mesh);
    const stranger = await serve(mesh);
    assert.equal(errorIn(await write(stranger, 'k', 'v')).code, 'grant_unknown');
  });
});
