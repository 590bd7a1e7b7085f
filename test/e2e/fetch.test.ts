import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { copyRecords, give } from '../meshDirectories.ts';
import { command } from '../region.ts';
import { until } from '../support.ts';
import { Scene, serveArgs, type RunningServer } from './server.ts';

/** What others gave, in the hands of an operator. */
describe('gkvmesh grant fetch', () => {
  const scene = new Scene();
  let dir: string;
  let served: string;
  let server: RunningServer;
  let instance: string[];

  after(() => scene.close());

  const succeeds = (...args: string[]): Promise<string> => scene.succeeds(args);

  /** Its exit code and error code. */
  async function fails(...args: string[]): Promise<string> {
    const { code, stderr } = await scene.run(args);
    return `${String(code)} ${/^gkvmesh: ([a-z_]+): /m.exec(stderr)?.[1] ?? stderr}`;
  }

  const tokenFile = async (name: string, ...args: string[]): Promise<string> => {
    const file = join(dir, name);
    writeFileSync(file, await succeeds('token', 'create', join(dir, 'tokens'), ...args), { mode: 0o600 });
    return file;
  };

  /** A directory with nothing but the id of the mesh. */
  const bare = (name: string): string => {
    const made = join(dir, name);
    mkdirSync(join(made, 'records'), { recursive: true });
    cpSync(join(served, 'mesh-id'), join(made, 'mesh-id'));
    return made;
  };

  const fetchInto = (mesh: string): Promise<string> => succeeds('grant', 'fetch', '--mesh', mesh, ...instance);

  beforeEach(async () => {
    dir = scene.dir();
    served = join(dir, 'served');
    await succeeds('init', served);
    cpSync(served, join(dir, 'ops'), { recursive: true });
    const control = await tokenFile('control', '--rights', 'control');
    const data = scene.dir();
    const args = [...serveArgs(data, ['--mesh', served]), '--tokens', join(dir, 'tokens')];
    server = await scene.wrapped(process.execPath, [command, ...args], data);
    instance = ['--url', server.api, '--token-file', control];
  });

  it('K20: K21: K29: T46: what a colleague gave is listed, asked with can, and revoked by its id, from a directory that did not have it', async () => {
    const ops = join(dir, 'ops');
    const writer = await succeeds('keygen', join(dir, 'writer.key'));
    const grant = await give(succeeds, served, writer, 'write', '/cities/FR/**');
    assert.equal(await fails('revoke', grant, '--mesh', ops), '2 bad_config');
    let told = '';
    await until(async () => (told = await fetchInto(ops)) !== '0 new, 2 known, 0 refused'); // until the server has looked
    assert.equal(told, '1 new, 2 known, 0 refused');
    assert.equal(await fetchInto(ops), '0 new, 3 known, 0 refused');
    assert.match(await succeeds('grant', 'list', '--mesh', ops), new RegExp(`^${grant} {2}write on /cities/FR/\\*\\* .* stands$`, 'm'));
    assert.match(await succeeds('can', '/cities/FR/1', '--holder', writer, '--mesh', ops), new RegExp(`^${grant} `));
    const revocation = await succeeds('revoke', grant.slice(0, 8), '--mesh', ops);
    copyRecords(ops, served);
    const third = bare('third');
    await until(async () => {
      await fetchInto(third);
      return readdirSync(join(third, 'records')).includes(`${revocation}.revocation`);
    });
    assert.deepEqual(readdirSync(join(third, 'records')).sort(), readdirSync(join(ops, 'records')).sort());
    assert.equal(await fails('can', '/cities/FR/1', '--grant', grant, '--mesh', third), '1 grant_revoked');
    assert.equal(await fetchInto(served), '0 new, 4 known, 0 refused');
    assert.equal((await server.process.kill('SIGTERM')).code, 0);
    assert.doesNotMatch(server.process.stderr, /"level":[456]0/);
  });

  it('K20: K21: T46: a served directory takes what was fetched from elsewhere as what an operator puts there, and its server goes on', async () => {
    const [other, data] = [bare('other'), scene.dir()];
    cpSync(join(served, 'mesh-key'), join(other, 'mesh-key'));
    await succeeds('keygen', join(other, 'cluster.key'));
    const stranger = await scene.wrapped(process.execPath, [command, ...serveArgs(data, ['--mesh', other])], data);
    const before = await stranger.get('/control/records');
    assert.deepEqual(before.json, { records: [], next: null });
    assert.equal(await fetchInto(other), '2 new, 0 known, 0 refused');
    await until(async () => (await stranger.get('/control/records')).text.includes('"number":2'));
    assert.equal((await stranger.process.kill('SIGTERM')).code, 0);
  });

  it('K20: K21: T46: T31: an outsider gets none, of another mesh neither, and an open mesh has none', async () => {
    const ops = join(dir, 'ops');
    const reader = await tokenFile('reader', '--rights', 'read', '--pattern', '**');
    await until(
      async () => (await fails('grant', 'fetch', '--mesh', ops, '--url', server.api, '--token-file', reader)) === '1 right_denied',
    );
    assert.equal(await fails('grant', 'fetch', '--mesh', ops, '--url', server.api), '1 unauthenticated');
    await succeeds('init', join(dir, 'another'));
    const before = readdirSync(join(dir, 'another', 'records'));
    assert.equal(await fails('grant', 'fetch', '--mesh', join(dir, 'another'), ...instance), '1 mesh_mismatch');
    assert.deepEqual(readdirSync(join(dir, 'another', 'records')), before);
    const open = await scene.server();
    assert.equal(await fails('grant', 'fetch', '--mesh', ops, '--url', open.api), '1 mesh_mismatch');
    assert.equal((await open.get('/control/records')).status, 409);
    assert.equal(await fails('grant', 'fetch', '--mesh', dir, ...instance), '2 bad_config');
  });
});
