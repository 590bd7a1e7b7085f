import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { command } from '../region.ts';
import { until } from '../support.ts';
import { b64, errorIn, Scene, serveArgs, type RunningServer } from './server.ts';

/** Regions of one granted mesh, as an operator starts them. */
describe('gkvmesh serve --mesh', () => {
  const scene = new Scene();
  let dir: string;

  after(() => scene.close());

  async function succeeds(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await scene.run(args);
    assert.equal(code, 0, `gkvmesh ${args.join(' ')}: ${stderr}`);
    return stdout.toString().trim();
  }

  const argsOf = (mesh: string, data: string): string[] => serveArgs(data).flatMap((arg) => (arg === '--open' ? ['--mesh', mesh] : [arg]));

  const serve = (mesh: string, data = scene.dir()): Promise<RunningServer> =>
    scene.wrapped(process.execPath, [command, ...argsOf(mesh, data)], data);

  const write = (server: RunningServer, key: string, value: string): ReturnType<RunningServer['post']> =>
    server.post('/data/set', { key: b64(key), value: b64(value) });

  async function read(server: RunningServer, key: string): Promise<string | undefined> {
    const { exists, value } = (await server.post('/data/get', { key: b64(key) })).json as { exists: boolean; value: string }; // as the schema says
    return exists ? Buffer.from(value, 'base64').toString() : undefined;
  }

  /** The directory of another region: with a key of its own, which is given what the patterns say. Returns the grant's id. */
  async function region(from: string, to: string, ...patterns: string[]): Promise<string> {
    mkdirSync(to, { mode: 0o700 });
    for (const name of ['mesh-id', 'mesh-key']) cpSync(join(from, name), join(to, name));
    const key = await succeeds('keygen', join(to, 'cluster.key'));
    const grant = await succeeds(
      'grant',
      'create',
      '--mesh',
      from,
      '--to',
      key,
      '--rights',
      'read,write,delete,replicate',
      '--pattern',
      ...patterns,
    );
    cpSync(join(from, 'records'), join(to, 'records'), { recursive: true });
    return grant;
  }

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
    assert.equal(await read(again, 'k'), 'v');
    assert.equal(again.meshId, first.meshId);
    const open = await scene.server();
    assert.equal((await open.process.kill('SIGTERM')).code, 0);
    const asGranted = await scene.run(argsOf(mesh, open.data));
    assert.equal(asGranted.code, 2);
    assert.match(asGranted.stderr, /bad_config: .*open mesh: start it with --open/);
  });

  it('K10: K11: K20: a region confined to /cities/FR/** is refused elsewhere, and once revoked its writes go everywhere', async () => {
    const [meshA, meshB] = [join(dir, 'a'), join(dir, 'b')];
    const grant = await region(meshA, meshB, '/cities/FR/**', '@system/**');
    const a = await serve(meshA);
    const b = await serve(meshB);
    assert.equal((await a.post('/control/members/add', { peer: b.mesh })).status, 200);
    assert.equal((await write(b, '/cities/FR/1', 'Paris')).status, 200);
    const refused = await write(b, '/cities/DE/1', 'Bonn');
    assert.equal(refused.status, 403);
    const { code, link, grant: named, endedBy } = errorIn(refused);
    assert.deepEqual([code, link, named, endedBy], ['key_denied', 0, grant, null]);
    await until(async () => (await read(a, '/cities/FR/1')) === 'Paris');
    const revocation = await succeeds('revoke', grant, '--mesh', meshA);
    for (const each of [a, b]) await until(async () => (await read(each, '/cities/FR/1')) === undefined);
    const ended = errorIn(await write(b, '/cities/FR/2', 'Lyon'));
    assert.deepEqual([ended.code, ended['grant'], ended['endedBy']], ['grant_revoked', grant, revocation]);
    assert.equal((await write(a, '/cities/FR/2', 'Lyon')).status, 200);
    await until(async () => (await read(b, '/cities/FR/2')) === 'Lyon');
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
