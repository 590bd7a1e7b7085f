import assert from 'node:assert/strict';
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, it } from 'mocha';
import { fixture } from '../tls.ts';
import { until } from '../support.ts';
import { b64, errorIn, Scene, type Answer, type RunningServer } from './server.ts';

let scene = new Scene();
afterEach(async () => {
  await scene.close();
  scene = new Scene();
});

interface Told {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function told(args: readonly string[]): Promise<Told> {
  const { code, stdout, stderr } = await scene.run(args);
  return { code, out: stdout.toString().trim(), err: stderr };
}

async function createToken(file: string, ...args: string[]): Promise<string> {
  const { code, out, err } = await told(['token', 'create', file, ...args]);
  assert.equal(code, 0, err);
  return out;
}

function ask(server: RunningServer, token: string, key: string): Promise<Answer> {
  return server.post('/data/set', { key: b64(key), value: b64('1') }, { authorization: `Bearer ${token}` });
}

describe('bearer tokens of a server', () => {
  it('T32, Li27: one that is made is taken and one that is revoked is not, without a restart', async () => {
    const file = join(scene.dir(), 'tokens');
    const app = await createToken(file, '--rights', 'read,write', '--pattern', '/cities/FR/**', '--name', 'an app');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.ok(!readFileSync(file, 'utf8').includes(app));
    const server = await scene.server(undefined, ['--tokens', file]);
    assert.equal((await ask(server, app, '/cities/FR/Paris')).status, 200);
    assert.equal(errorIn(await ask(server, app, '/cities/DE/Berlin')).code, 'key_denied');
    assert.equal((await server.post('/data/get', { key: b64('/cities/FR/Paris') })).status, 401);
    const other = await createToken(file, '--rights', 'write', '--pattern', '**');
    await until(async () => (await ask(server, other, 'k')).status === 200);
    const [, id = ''] = app.split('_');
    assert.match((await told(['token', 'list', file])).out, new RegExp(`^${id}  read,write  /cities/FR/\\*\\*  an app\n`));
    assert.equal((await told(['token', 'revoke', file, id])).code, 0);
    await until(async () => (await ask(server, app, '/cities/FR/Paris')).status === 401);
    assert.equal((await told(['token', 'revoke', file, id])).code, 2);
    // A file that is wrong takes nothing away.
    writeFileSync(file, `${readFileSync(file, 'utf8')}{}\n`);
    await until(() => server.process.stderr.includes('the new token file is wrong'));
    assert.equal((await ask(server, other, 'k')).status, 200);
  });

  it('T32: the command line shows the token of a file', async () => {
    const dir = scene.dir();
    const [file, shown] = [join(dir, 'tokens'), join(dir, 'mine')];
    writeFileSync(shown, `${await createToken(file, '--rights', 'read,write,control', '--pattern', '**')}\n`);
    const server = await scene.server(undefined, ['--tokens', file]);
    const at = ['--url', server.api, '--token-file', shown];
    assert.equal((await told(['set', 'k', 'v', ...at])).code, 0);
    assert.equal((await told(['get', 'k', ...at])).out, 'v');
    assert.equal((await told(['status', ...at])).code, 0);
    const denied = await told(['delete', 'k', ...at]);
    assert.equal(denied.code, 1);
    assert.match(denied.err, /^gkvmesh: right_denied: /m);
    assert.match((await told(['get', 'k', '--url', server.api])).err, /^gkvmesh: unauthenticated: /m);
  });

  it('T32, G36: a file that is no token file, is not there or may be written by others is refused at the start', async () => {
    const dir = scene.dir();
    const bad = join(dir, 'bad');
    writeFileSync(bad, '{"id":1}\n', { mode: 0o600 });
    const open = join(dir, 'open');
    writeFileSync(open, '');
    chmodSync(open, 0o666);
    for (const [path, why] of [
      [bad, /--tokens: .*bad: line 1 is no token/],
      [join(dir, 'none'), /--tokens: .*none: ENOENT/],
      [open, /--tokens: .*open: others may write it/],
    ] as const) {
      const { code, err } = await told(['check-config', '--open', '--tokens', path]);
      assert.equal(code, 2);
      assert.match(err, why);
    }
    assert.equal((await told(['token', 'create', join(dir, 'new'), '--rights', 'own'])).code, 2);
    assert.equal((await told(['token', 'create', join(dir, 'new'), '--rights', 'read'])).code, 2);
    const odd = await told(['token', 'create', join(dir, 'new'), '--rights', 'read', '--pattern', '/\ufffd/**']);
    assert.deepEqual([odd.code, /holds what is no UTF-8/.test(odd.err)], [2, true]);
  });

  it('G40: beyond loopback tokens stand for client certificates, with TLS alone', async () => {
    const file = join(scene.dir(), 'tokens');
    await createToken(file, '--rights', 'read', '--pattern', '**');
    const beyond = ['check-config', '--open', '--listen', '0.0.0.0:1', '--tokens', file];
    const { code, err } = await told(beyond);
    assert.equal(code, 2);
    assert.match(err, /--tls-cert/);
    const tls = ['--tls-cert', fixture('server.pem'), '--tls-key', fixture('server.key')];
    assert.equal((await told([...beyond, ...tls])).code, 0);
  });
});
