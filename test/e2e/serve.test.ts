import assert from 'node:assert/strict';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, describe, it } from 'mocha';
import * as z from 'zod';
import { until } from '../support.ts';
import { command, freePort } from '../region.ts';
import { b64, rawExchange, Scene, serveArgs } from './server.ts';

describe('gkvmesh serve and check-config', () => {
  let scene = new Scene();
  afterEach(async () => {
    await scene.close();
    scene = new Scene();
  });
  after(() => scene.close());

  it('SIGTERM under load: exits 0 within 10 s, and every acknowledged write is there after the restart', async () => {
    const server = await scene.server();
    const acknowledged = new Set<string>();
    const writer = async (w: number): Promise<void> => {
      for (let i = 0; ; i += 1) {
        const answer = await server.post('/data/set', { key: b64(`${w}/${i}`), value: b64('v') }).catch(() => undefined);
        if (answer?.status !== 200) return;
        acknowledged.add(`${w}/${i}`);
      }
    };
    const writing = Promise.all(Array.from({ length: 32 }, (_, w) => writer(w)));
    await until(() => acknowledged.size > 300);
    const signalledMs = performance.now();
    const { code, signal } = await server.stop();
    assert.ok(performance.now() - signalledMs < 10_000);
    assert.deepEqual([code, signal], [0, null]);
    await writing;
    const again = await scene.server(server.data);
    const held = new Set<string>();
    for (let start: string | null = ''; start !== null;) {
      const page = await again.list({ start, keysOnly: true, limit: 1_000 });
      for (const { key } of page.entries) held.add(Buffer.from(key, 'base64').toString());
      start = page.next;
    }
    assert.deepEqual(
      [...acknowledged].filter((key) => !held.has(key)),
      [],
    );
  });

  it('SIGTERM ends idle connections, and those that never sent anything', async () => {
    const server = await scene.server();
    const silent = rawExchange(server.port, [], 'stay-open');
    const half = rawExchange(server.port, ['POST /data/get HTTP/1.1\r\nHost: localhost\r\nContent-'], 'stay-open');
    const kept = rawExchange(server.port, ['GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n'], 'stay-open');
    await server.get('/livez');
    const signalledMs = performance.now();
    assert.equal((await server.stop()).code, 0);
    assert.ok(performance.now() - signalledMs < 5_000);
    await Promise.all([silent, half, kept]);
  });

  it('SIGINT ends it too', async () => {
    const server = await scene.server();
    assert.equal((await server.process.kill('SIGINT')).code, 0);
  });

  it('a second signal ends it at once, with 1, though a request is still under way', async () => {
    const server = await scene.server();
    const body = rawExchange(server.port, ['POST /data/get HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{'], 'stay-open');
    await until(async () => /gkvmesh/.test((await server.get('/metrics')).text));
    server.process.child.kill('SIGTERM');
    await until(async () => {
      const refused = await server.get('/livez').then(
        () => false,
        () => true,
      );
      return refused;
    });
    const { code } = await server.process.kill('SIGTERM');
    assert.equal(code, 1);
    await body;
  });

  it('a port in use is refused with port_in_use, exit 1, and leaves the data directory free', async () => {
    const first = await scene.server();
    const data = join(scene.dir(), 'data');
    for (const flags of [
      ['--listen', `127.0.0.1:${first.port}`],
      ['--mesh-listen', first.mesh],
    ]) {
      const { code, stdout, stderr } = await scene.run([...serveArgs(data), ...flags]);
      assert.deepEqual([code, stdout.toString()], [1, '']);
      assert.match(stderr, /^gkvmesh: port_in_use: .*:\d+/m);
    }
    await scene.server(data);
  });

  it('without --open it does not start, and says what to do', async () => {
    const { code, stderr } = await scene.run(['serve', '--data', join(scene.dir(), 'data'), '--listen', '127.0.0.1:0']);
    assert.equal(code, 2);
    assert.match(stderr, /bad_config: .*--open/);
  });

  it('G36: an address beyond loopback needs --insecure-plaintext, which warns at each start', async () => {
    for (const flag of ['--listen', '--mesh-listen']) {
      const { code, stderr } = await scene.run(['check-config', '--open', flag, '0.0.0.0:0']);
      assert.equal(code, 2);
      assert.match(stderr, new RegExp(`bad_config: ${flag}: 0\\.0\\.0\\.0 .*--insecure-plaintext`));
    }
    const data = join(scene.dir(), 'data');
    const server = await scene.server(data, ['--listen', '0.0.0.0:0', '--insecure-plaintext']);
    assert.match(server.process.stderr, /"level":40.*insecure-plaintext/);
  });

  for (const [flag, wrong] of [
    ['--listen', 'localhost'],
    ['--listen', '127.0.0.1:65536'],
    ['--mesh-listen', '127.0.0.1:-1'],
    ['--mesh-id', 'abc'],
    ['--mesh-id', 'AB'.repeat(32)],
    ['--mesh-key', '/nonexistent/key'],
    ['--log-level', 'loud'],
    ['--region', ''],
    ['--config', '/nonexistent/file.yaml'],
  ] as const) {
    it(`G36: ${flag} ${JSON.stringify(wrong.slice(0, 30))} is refused, exit 2, by its name`, async () => {
      const { code, stderr } = await scene.run(['check-config', '--open', flag, wrong]);
      assert.equal(code, 2);
      assert.match(stderr, flag === '--config' ? /bad_config: .*nonexistent/ : new RegExp(`bad_config: ${flag}: `));
    });
  }

  it('a flag that there is not, a command that there is not, and a missing argument are exit 2', async () => {
    for (const args of [['serve', '--opne'], ['srve'], ['get'], ['set', 'key'], ['list', '--limit', '1'], []]) {
      assert.equal((await scene.run(args)).code, 2, args.join(' '));
    }
  });

  it('--version prints the version, --help the help, and both are exit 0', async () => {
    const { code, stdout } = await scene.run(['--version']);
    assert.deepEqual([code, /^\d+\.\d+\.\d+\n$/.test(stdout.toString())], [0, true]);
    const help = await scene.run(['serve', '--help']);
    assert.equal(help.code, 0);
    for (const flag of [
      '--open',
      '--data',
      '--listen',
      '--mesh-listen',
      '--region',
      '--mesh-id',
      '--mesh-key',
      '--insecure-plaintext',
      '--log-level',
      '--config',
    ]) {
      assert.match(help.stdout.toString(), new RegExp(`^ +${flag}[ \n]`, 'm'), flag);
    }
  });

  it('flags go over the environment, which goes over the file; a wrong value names where it came from', async () => {
    const file = join(scene.dir(), 'config.yaml');
    writeFileSync(file, 'open: true\nregion: from-file\nlogLevel: debug\nlisten: 127.0.0.1:1\nmeshListen: 127.0.0.1:2\n');
    const env = { ...process.env, GKVMESH_REGION: 'from-environment', GKVMESH_LISTEN: '127.0.0.1:3' };
    const { code, stdout, stderr } = await scene.run(['check-config', '--config', file, '--listen', '127.0.0.1:4'], { env });
    assert.equal(code, 0, stderr);
    const { region, logLevel, listen, meshListen } = z.record(z.string(), z.unknown()).parse(JSON.parse(stdout.toString()));
    assert.deepEqual(
      { region, logLevel, listen, meshListen },
      {
        region: 'from-environment',
        logLevel: 'debug',
        listen: { host: '127.0.0.1', port: 4 },
        meshListen: { host: '127.0.0.1', port: 2 },
      },
    );
    const wrongVariable = await scene.run(['check-config', '--config', file], { env: { ...process.env, GKVMESH_LOG_LEVEL: 'loud' } });
    assert.equal(wrongVariable.code, 2);
    assert.match(wrongVariable.stderr, /bad_config: GKVMESH_LOG_LEVEL: /);
    writeFileSync(file, 'open: true\nlogLevel: loud\n');
    assert.match((await scene.run(['check-config', '--config', file])).stderr, /bad_config: .*config\.yaml: logLevel: /);
    writeFileSync(file, 'open: true\ncolour: red\n');
    const unknown = await scene.run(['check-config', '--config', file]);
    assert.deepEqual([unknown.code, /config\.yaml: colour: /.test(unknown.stderr)], [2, true]);
    writeFileSync(file, '- open\n');
    assert.equal((await scene.run(['check-config', '--config', file])).code, 2);
  });

  it('a server can be configured by the environment alone', async () => {
    const data = join(scene.dir(), 'data');
    const env = {
      ...process.env,
      GKVMESH_OPEN: 'true',
      GKVMESH_DATA: data,
      GKVMESH_LISTEN: '127.0.0.1:0',
      GKVMESH_MESH_LISTEN: '[::1]:0',
    };
    const server = await scene.wrapped(process.execPath, [command, 'serve'], data, { env });
    assert.equal((await server.get('/readyz')).status, 200);
    assert.match(server.mesh, /^\[::1\]:\d+$/);
  });

  it('logs go to standard error as JSON, and standard output holds the ready line alone', async () => {
    const server = await scene.server(undefined, ['--log-level', 'info']);
    const { stdout, stderr } = await server.stop();
    assert.match(stdout.toString(), /^gkvmesh ready [^\n]+\n$/);
    const lines = stderr.trim().split('\n');
    assert.ok(lines.length >= 2);
    for (const line of lines) assert.doesNotThrow(() => JSON.parse(line), line);
  });

  it('serves on where a full disk takes neither what it logs nor what it prints', async () => {
    const full = openSync('/dev/full', 'w');
    try {
      const port = await freePort();
      for (const stdio of [
        ['ignore', 'ignore', full],
        ['ignore', full, 'ignore'],
      ] as const) {
        const args = ['serve', '--open', '--data', scene.dir(), '--listen', `127.0.0.1:${port}`, '--mesh-listen', '127.0.0.1:0'];
        const process = scene.process(globalThis.process.execPath, [command, ...args], { stdio: [...stdio] });
        await until(async () => (await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined))?.ok === true);
        assert.equal((await process.kill('SIGTERM')).code, 0);
      }
    } finally {
      closeSync(full);
    }
  });
});
