import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'mocha';
import { request } from 'undici';
import { command } from '../region.ts';
import { Scene, serveArgs } from './server.ts';

describe('gkvmesh backup and restore', function () {
  this.timeout(120_000);
  const scene = new Scene();
  after(() => scene.close());

  it('B1, B5: to a file, to standard output, resumed, verified and restored; a damaged one is corrupt', async () => {
    const server = await scene.server();
    await server.fill('k', 5_000, 'v'.repeat(300));
    const file = join(scene.dir(), 'backup');
    const made = await scene.run(['backup', file, '--url', server.api]);
    assert.equal(made.code, 0, made.stderr);
    const out = await scene.run(['backup', '-', '--url', server.api]);
    const sum = (await server.tree()).sum;
    const again = await scene.run(['backup', file, '--url', server.api]);
    assert.match(again.stderr, /bad_config: .* is there already/);
    const bytes = readFileSync(file);
    const cut = join(scene.dir(), 'cut');
    writeFileSync(cut, bytes.subarray(0, bytes.length / 2));
    assert.match((await scene.run(['backup', 'verify', cut])).stderr, /^gkvmesh: corrupt: /m);
    const resumed = await scene.run(['backup', cut, '--resume', '--url', server.api]);
    assert.equal(resumed.code, 0, resumed.stderr);
    writeFileSync(`${cut}-`, out.stdout);
    for (const path of [file, cut, `${cut}-`]) {
      const verified = await scene.run(['backup', 'verify', path]);
      assert.match(verified.stdout.toString(), /5000 writes in \d+ pages: whole and undamaged\n$/);
    }
    await server.stop();

    const data = join(scene.dir(), 'data');
    const odd = await scene.run(['restore', cut, '--data', data, '--mesh', scene.dir()]);
    assert.deepEqual([odd.code, /bad_config: --mesh: the backup is of an open mesh/.test(odd.stderr)], [2, true]);
    const restored = await scene.run(['restore', cut, '--data', data]);
    assert.equal(restored.stdout.toString(), `cluster ${server.clusterId} is restored: incarnation 2, 5000 writes\n`, restored.stderr);
    assert.match((await scene.run(['restore', cut, '--data', data])).stderr, /bad_config: the store is not empty.*; restore into another/);
    assert.match((await scene.run(['restore', '-', '--data', data])).stderr, /bad_config: .* not from standard input/);
    const back = await scene.server(data);
    assert.equal((await back.tree()).sum, sum);
  });

  it('B5: T18: of a granted mesh it takes the mesh key from a directory of it, and says so where it has none', async () => {
    const [mesh, other] = [join(scene.dir(), 'mesh'), join(scene.dir(), 'mesh')];
    await scene.succeeds(['init', mesh]);
    await scene.succeeds(['init', other]);
    const data = scene.dir();
    const server = await scene.wrapped(process.execPath, [command, ...serveArgs(data, ['--mesh', mesh])], data);
    await server.fill('k', 10, 'v');
    const file = join(scene.dir(), 'backup');
    await scene.succeeds(['backup', file, '--url', server.api]);
    await server.stop();
    const restore = async (more: readonly string[], env = {}): Promise<string> => {
      const args = ['restore', file, '--data', join(scene.dir(), 'data'), ...more];
      const { stdout, stderr } = await scene.run(args, { env: { ...process.env, ...env } });
      return stdout.toString() || stderr;
    };
    assert.match(await restore([]), /bad_config: the backup is of granted mesh .*, and no mesh key was given: give --mesh DIR/);
    assert.match(await restore(['--mesh', other]), /bad_config: .* is not its: give --mesh DIR/);
    const config = join(scene.dir(), 'config.yaml');
    writeFileSync(config, `mesh: ${mesh}\n`);
    for (const done of [
      await restore(['--mesh', mesh]),
      await restore([], { GKVMESH_MESH: mesh }),
      await restore(['--config', config]),
      await restore(['--mesh-key', join(mesh, 'mesh-key')], { GKVMESH_MESH: other }),
      await restore(['--mesh', mesh], { GKVMESH_MESH_KEY: join(other, 'mesh-key') }),
    ])
      assert.equal(done, `cluster ${server.clusterId} is restored: incarnation 2, 10 writes\n`);
  });

  it('B5: what cannot begin leaves no file, and a file that is no backup stays as it is', async () => {
    const server = await scene.server();
    const file = join(scene.dir(), 'none');
    assert.equal((await scene.run(['backup', file, '--url', 'http://127.0.0.1:1'])).code, 1);
    assert.equal(existsSync(file), false);
    writeFileSync(file, 'hi\n');
    assert.match((await scene.run(['backup', file, '--resume', '--url', server.api])).stderr, /^gkvmesh: corrupt: /m);
    assert.equal(readFileSync(file, 'utf8'), 'hi\n');
    writeFileSync(file, 'gkvmesh/ba');
    assert.equal((await scene.run(['backup', file, '--resume', '--url', server.api])).code, 0);
    assert.equal((await scene.run(['backup', 'verify', file])).code, 0);
  });

  it('B5: on a full disk it says so, and goes on once there is room', async () => {
    const server = await scene.server();
    await server.fill('k', 1_000, 'v'.repeat(1_000));
    const file = join(scene.dir(), 'full');
    const limited = `trap '' XFSZ; ulimit -f 64; exec "$@"`;
    const args = ['-c', limited, 'limited', process.execPath, command, 'backup', file, '--url', server.api];
    const { code, stderr } = await scene.process('bash', args).ended;
    assert.equal(code, 1);
    assert.match(stderr, /^gkvmesh: disk_full: .*go on with --resume$/m);
    assert.equal((await scene.run(['backup', file, '--resume', '--url', server.api])).code, 0);
    assert.match((await scene.run(['backup', 'verify', file])).stdout.toString(), /1000 writes/);
  });

  it('B7: a client that leaves ends its backup, and the server goes on', async () => {
    const server = await scene.server();
    await server.fill('k', 5_000, 'v'.repeat(1_000));
    for (let i = 0; i < 5; i += 1) {
      const { body, statusCode } = await request(`${server.api}/control/backup`, { method: 'POST', body: '{}' });
      assert.equal(statusCode, 200);
      body.on('error', () => undefined);
      await new Promise((resolve) => body.once('data', resolve));
      body.destroy();
    }
    const wrong = await server.post('/control/backup', { resume: { header: '', digest: '', pages: 0, writes: 0 } });
    assert.equal(wrong.status, 400);
    assert.equal(await server.read('k00001'), `${'v'.repeat(1_000)}k00001`);
    assert.equal((await server.stop()).code, 0);
  });
});
