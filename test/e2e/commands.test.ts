import assert from 'node:assert/strict';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import * as z from 'zod';
import { pullAnswer, statusAnswer } from '../../src/http/schema.ts';
import { command } from '../region.ts';
import { b64, Scene, type Ended, type RunningServer } from './server.ts';

describe('the commands of gkvmesh', () => {
  const scene = new Scene();
  let server: RunningServer;
  before(async () => {
    server = await scene.server();
  });
  after(() => scene.close());

  /** The command against the server. */
  function gkvmesh(args: readonly string[], input?: string | Uint8Array, to = server): Promise<Ended> {
    return scene.run([...args, '--url', to.api], input === undefined ? {} : { input });
  }

  async function succeeds(args: readonly string[], input?: string | Uint8Array, to = server): Promise<string> {
    const { code, stdout, stderr } = await gkvmesh(args, input, to);
    assert.equal(code, 0, stderr);
    return stdout.toString();
  }

  it('L1, G38: set prints the version, get the value and nothing else', async () => {
    assert.match(await succeeds(['set', 'greeting', 'hällo wörld']), /^[0-9a-f]{32}\n$/);
    assert.equal(await succeeds(['get', 'greeting']), 'hällo wörld');
    assert.equal(await server.read('greeting'), 'hällo wörld');
  });

  it('L1: get of an absent key exits 3 and prints nothing to standard output', async () => {
    const { code, stdout, stderr } = await gkvmesh(['get', 'absent']);
    assert.deepEqual([code, stdout.toString()], [3, '']);
    assert.match(stderr, /"absent" is absent/);
    await succeeds(['set', 'empty', '']);
    assert.deepEqual([(await gkvmesh(['get', 'empty'])).code, await succeeds(['get', 'empty'])], [0, '']);
  });

  it('L1, G38: delete takes the key away, and is done also where there was none', async () => {
    await succeeds(['set', 'gone', 'v']);
    assert.match(await succeeds(['delete', 'gone']), /^[0-9a-f]{32}\n$/);
    assert.equal((await gkvmesh(['get', 'gone'])).code, 3);
    await succeeds(['delete', 'gone']);
  });

  it('Li7: --base64 takes and gives all bytes', async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString('base64');
    await succeeds(['set', '--base64', bytes, bytes]);
    assert.equal(await succeeds(['get', '--base64', bytes]), `${bytes}\n`);
    const wrong = await gkvmesh(['set', '--base64', 'no base64!', 'aGk=']);
    assert.equal(wrong.code, 2);
    for (const argument of [String.raw`$'\xff' v`, String.raw`k $'\xff'`]) {
      const shell = ['-c', `"$0" "$1" set ${argument} --url ${server.api}`, process.execPath, command];
      const { code, stderr } = await scene.process('bash', shell).ended;
      assert.deepEqual([code, /use --base64/.test(stderr)], [2, true]); // else U+FFFD would be written in its place
    }
  });

  it('Li7: @file takes values of all bytes, and get gives them back as they were', async () => {
    const bytes = Buffer.from(Array.from({ length: 512 }, (_, i) => 255 - (i % 256)));
    const file = join(scene.dir(), 'bytes');
    writeFileSync(file, bytes);
    await succeeds(['set', `@${file}`, `@${file}`]);
    const { stdout } = await gkvmesh(['get', `@${file}`]);
    assert.ok(stdout.equals(bytes));
    const missing = await gkvmesh(['set', 'k', '@/nonexistent']);
    assert.deepEqual([missing.code, /nonexistent/.test(missing.stderr)], [2, true]);
  });

  it('L2, G38: list prints keys and values in order, of a prefix, and as JSON', async () => {
    await server.fill('list/', 3, 'v:');
    assert.equal(
      await succeeds(['list', '--prefix', 'list/']),
      'list/00000\tv:list/00000\nlist/00001\tv:list/00001\nlist/00002\tv:list/00002\n',
    );
    assert.equal(await succeeds(['list', '--prefix', 'list/', '--keys-only']), 'list/00000\nlist/00001\nlist/00002\n');
    const [first] = (await succeeds(['list', '--prefix', 'list/', '--json'])).split('\n');
    const entry = z.strictObject({ key: z.string(), value: z.string(), version: z.string() }).parse(JSON.parse(first ?? ''));
    assert.deepEqual([entry.key, entry.value], [b64('list/00000'), b64('v:list/00000')]);
    assert.equal(await succeeds(['list', '--prefix', 'nothing/']), '');
    const matching = ['--match', 'list/*', '--match', '!list/00001'];
    assert.equal(await succeeds(['list', '--keys-only', ...matching]), 'list/00000\nlist/00002\n', 'K22');
    assert.equal(await succeeds(['list', '--keys-only', '--base64', '--match', b64('list/00001')]), `${b64('list/00001')}\n`);
  });

  it('L2: list goes over all pages', async () => {
    await server.fill('pages/', 2_345);
    assert.equal((await succeeds(['list', '--prefix', 'pages/', '--keys-only'])).trim().split('\n').length, 2_345);
  });

  it('list | head -1 ends with 0 and without a complaint, though nobody reads the rest', async () => {
    await server.fill('epipe/', 3_000, 'x'.repeat(100));
    const pipe = `set -o pipefail; "$@" | head -1`;
    const args = ['-c', pipe, 'bash', process.execPath, command, 'list', '--prefix', 'epipe/', '--url', server.api];
    const { code, stdout, stderr } = await scene.process('bash', args).ended;
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout.toString(), /^epipe\/00000\t[^\n]+\n$/);
  });

  it('where standard output is full a command ends with 1 and one line, and where standard error is it goes on', async () => {
    const full = openSync('/dev/full', 'w');
    try {
      for (const args of [['status'], ['export'], ['backup', '-'], ['set', 'full', 'v']]) {
        const { code, stderr } = await scene.run([...args, '--url', server.api], { stdio: ['ignore', full, 'pipe'] });
        assert.match(stderr, /^gkvmesh: disk_full: standard output cannot be written: ENOSPC[^\n]+\n$/, args.join(' '));
        assert.equal(code, 1);
      }
      const { code, stdout } = await scene.run(['export', '--prefix', 'full', '--url', server.api], { stdio: ['ignore', 'pipe', full] });
      assert.deepEqual([code, stdout.toString()], [0, `{"key":"${b64('full')}","value":"${b64('v')}"}\n`]);
    } finally {
      closeSync(full);
    }
  });

  it('status tells the cluster, readiness, the store and what it holds, and as JSON too', async () => {
    const text = await succeeds(['status']);
    assert.match(text, new RegExp(`^clusterId +${server.clusterId}$`, 'm'));
    assert.match(text, /^ready +true$/m);
    assert.match(text, /^store\.kind +lmdb$/m);
    assert.match(text, /^parkedByReason\.clockAhead +0$/m);
    assert.match(text, new RegExp(`^mesh\\.origins\\.0\\.clusterId +${server.clusterId}$`, 'm'));
    assert.match(text, /^mesh\.origins\.0\.ageMs +\d+$/m);
    const status = statusAnswer.parse(JSON.parse(await succeeds(['status', '--json'])));
    const { count, bytes } = await server.tree();
    assert.deepEqual([status.clusterId, status.entries, status.bytes], [server.clusterId, count, bytes]);
    const { sizeBytes, ...store } = status.store;
    assert.deepEqual(store, { kind: 'lmdb', available: true, healthy: true, message: '', scrub: null, fault: null });
    assert.ok((sizeBytes ?? 0) > bytes);
  });

  it('import takes lines from standard input and from a file, a key twice too, and the last one counts', async () => {
    const lines = Array.from({ length: 1_200 }, (_, i) => JSON.stringify({ key: b64(`import/${i % 1_100}`), value: b64(`${i}`) }));
    const { code, stderr } = await gkvmesh(['import', '-'], `${lines.join('\n')}\n\n`);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /imported 1200 /);
    assert.deepEqual([await server.read('import/99'), await server.read('import/1099')], ['1199', '1099']);
    const file = join(scene.dir(), 'lines.ndjson');
    writeFileSync(file, `${JSON.stringify({ key: b64('from file'), value: b64('v') })}\r\n`);
    await succeeds(['import', file]);
    assert.equal(await server.read('from file'), 'v');
  });

  for (const [name, line] of [
    ['no JSON', 'nonsense'],
    ['an unknown field', '{"key":"aGk=","value":"","extra":1}'],
    ['no value', '{"key":"aGk="}'],
    ['bad base64', '{"key":"%%%","value":""}'],
    ['an empty key', '{"key":"","value":""}'],
    ['a value over 1 MiB', JSON.stringify({ key: 'aGk=', value: b64(Buffer.alloc(1_048_577)) })],
  ] as const) {
    it(`import names the line that is ${name}, and exits 1`, async () => {
      const lines = ['{"key":"b25l","value":""}', '', '{"key":"dHdv","value":""}', line, '{"key":"ZW5k","value":""}'];
      const { code, stderr } = await gkvmesh(['import', '-'], lines.join('\n'));
      assert.equal(code, 1);
      assert.match(stderr, /line 4\b.*: nothing was imported$/m);
    });
  }

  it('import says how many other lines are there where one is wrong', async () => {
    const lines = Array.from({ length: 1_200 }, (_, i) => JSON.stringify({ key: b64(`part/${i}`), value: '' }));
    const { code, stderr } = await gkvmesh(['import', '-'], [...lines, 'nonsense'].join('\n'));
    assert.equal(code, 1);
    const [, count] = /line 1201 is not JSON: (\d+) other lines were imported/.exec(stderr) ?? [];
    const listed = await succeeds(['list', '--prefix', 'part/', '--keys-only']);
    assert.equal(listed.trim().split('\n').length, Number(count), stderr);
  });

  it('import of a file that there is not exits with an error that names it', async () => {
    const { code, stderr } = await gkvmesh(['import', '/nonexistent.ndjson']);
    assert.ok(code === 1 || code === 2);
    assert.match(stderr, /nonexistent/);
    assert.doesNotMatch(stderr, /internal/);
  });

  it('G38: export | import makes a second server equal, byte for byte', async () => {
    const [from, to] = await Promise.all([scene.server(), scene.server()]);
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    for (let i = 0; i < 256; i += 1) await from.post('/data/set', { key: b64(Buffer.from([i, 255 - i])), value: b64(bytes.subarray(i)) });
    await from.fill('many/', 2_500);
    await from.post('/data/set', { key: b64('large'), value: b64(Buffer.alloc(1_048_576, 0x99)) });
    const exported = await succeeds(['export'], undefined, from);
    assert.equal(exported.trim().split('\n').length, 256 + 2_500 + 1);
    await succeeds(['import', '-'], exported, to);
    assert.equal(await succeeds(['export'], undefined, to), exported);
    assert.equal((await succeeds(['export', '--prefix', 'many/'], undefined, to)).trim().split('\n').length, 2_500);
  });

  it('pull prints the report, exits 0 when both are level, and 1 when they are not', async () => {
    const [eu, us] = await Promise.all([scene.server(), scene.server()]);
    await eu.fill('eu/', 20);
    await us.fill('us/', 10);
    const oneWay = await gkvmesh(['pull', eu.mesh, '--direction', 'pull', '--json'], undefined, us);
    const report = pullAnswer.parse(JSON.parse(oneWay.stdout.toString()));
    assert.deepEqual([oneWay.code, report.received, report.sent, report.converged], [1, 20, 0, false]);
    const text = await succeeds(['pull', eu.mesh], undefined, us);
    assert.match(text, /^converged +true$/m);
    assert.match(text, /^sent +10$/m);
    const prefix = pullAnswer.parse(JSON.parse(await succeeds(['pull', eu.mesh, '--prefix', 'eu/', '--json'], undefined, us)));
    assert.deepEqual([prefix.received, prefix.converged], [0, true]);
  });

  it('pull from a peer that is down exits 1 with its code, a wrong direction or address too', async () => {
    const down = await gkvmesh(['pull', '127.0.0.1:1']);
    assert.deepEqual([down.code, /^gkvmesh: peer_unreachable: /m.test(down.stderr)], [1, true]);
    assert.notEqual((await gkvmesh(['pull', '127.0.0.1:1', '--direction', 'sideways'])).code, 0);
    assert.notEqual((await gkvmesh(['pull', 'nowhere'])).code, 0);
  });

  it('a server that is not there, is not gkvmesh, or refuses, is exit 1 with a clear message', async () => {
    const port = await scene.listener((socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello')),
    );
    for (const [url, message] of [
      ['http://127.0.0.1:1', /^gkvmesh: unavailable: http:\/\/127\.0\.0\.1:1 /m],
      [`http://127.0.0.1:${port}`, /^gkvmesh: unavailable: /m],
      [`http://${server.mesh}`, /^gkvmesh: [a-z_]+: /m],
    ] as const) {
      const { code, stderr } = await scene.run(['get', 'k', '--url', url]);
      assert.equal(code, 1, `${url} ${stderr}`);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /internal|\.js:\d+/);
    }
    const tooLong = await gkvmesh(['set', 'k'.repeat(1_025), 'v']);
    assert.deepEqual([tooLong.code, /^gkvmesh: too_large: .*1025/m.test(tooLong.stderr)], [1, true]);
  });

  it('a URL that is none, or of another protocol, is exit 2', async () => {
    assert.equal((await scene.run(['get', 'k', '--url', 'nonsense'])).code, 2);
    assert.equal((await scene.run(['get', 'k', '--url', 'ftp://localhost:6300'])).code, 2);
    const { code, stderr } = await scene.run(['get', 'k', '--url', 'localhost:6300']);
    assert.deepEqual([code, /is not a URL such as http:/.test(stderr)], [2, true]);
  });

  it('GKVMESH_URL stands in for --url', async () => {
    await server.set('by-environment', 'v');
    const { code, stdout } = await scene.run(['get', 'by-environment'], { env: { ...process.env, GKVMESH_URL: server.api } });
    assert.deepEqual([code, stdout.toString()], [0, 'v']);
  });
});
