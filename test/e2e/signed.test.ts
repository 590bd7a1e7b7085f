import assert from 'node:assert/strict';
import { join } from 'node:path';
import { readKeyFile } from '../../src/cli/keyFile.ts';
import { Client } from '../../src/client/client.ts';
import { candidatesOf } from '../../src/client/inspect.ts';
import { Signer } from '../../src/client/signer.ts';
import { give } from '../meshDirectories.ts';
import { command } from '../region.ts';
import { until } from '../support.ts';
import { Scene, serveArgs, type RunningServer } from './server.ts';

/** Writers who sign for themselves, on the command line. */
describe('gkvmesh set --sign-with', () => {
  const scene = new Scene();
  let mesh: string;
  let server: RunningServer;
  let url: string[];

  after(() => scene.close());

  const succeeds = (...args: string[]): Promise<string> => scene.succeeds(args);

  /** Its exit code and error code. */
  async function fails(...args: string[]): Promise<string> {
    const { code, stderr } = await scene.run(args);
    return `${String(code)} ${/^gkvmesh: ([a-z_]+): /m.exec(stderr)?.[1] ?? stderr}`;
  }

  const keyOf = (name: string): string => join(mesh, `${name}.key`);

  /** A key of this name that holds a grant of the root; returns the options that sign with it. The server knows it within seconds. */
  async function writer(name: string, rights: string, ...patterns: string[]): Promise<string[]> {
    const publicKey = await succeeds('keygen', keyOf(name));
    const grant = await give(succeeds, mesh, publicKey, rights, ...patterns);
    const options = ['--sign-with', keyOf(name), '--grant', grant];
    // Whether it is known is told before whether it fits.
    await until(async () => (await fails('set', '/elsewhere', 'v', ...options, ...url)) !== '1 grant_unknown');
    return options;
  }

  const grantOf = ([, , , grant = '']: readonly string[]): Buffer => Buffer.from(grant, 'hex');

  beforeEach(async () => {
    mesh = join(scene.dir(), 'mesh');
    await succeeds('init', mesh);
    const data = scene.dir();
    const args = serveArgs(data, ['--mesh', mesh]);
    server = await scene.wrapped(process.execPath, [command, ...args], data);
    url = ['--url', server.api];
  });

  it('K1: K21: K29: T40: a writer sets and deletes with a key and grant of its own, and is told why where it may not', async () => {
    const french = await writer('french', 'write,delete', '/cities/FR/**');
    const version = await succeeds('set', '/cities/FR/1', 'Paris', ...french, ...url);
    assert.match(version, /^[0-9a-f]{32}$/);
    assert.equal(await server.read('/cities/FR/1'), 'Paris');
    assert.equal(await fails('set', '/cities/DE/1', 'Bonn', ...french, ...url), '1 key_denied');
    await succeeds('delete', '/cities/FR/1', ...french, ...url);
    assert.equal(await server.read('/cities/FR/1'), undefined);
    const ahead = new Signer({
      meshId: Buffer.from(server.meshId, 'hex'),
      grantId: grantOf(french),
      key: readKeyFile(keyOf('french')),
      now: () => Date.now() + 3_500,
    });
    // A slow machine may be as late as the other clock is ahead: then again.
    const loses = async (): Promise<string | undefined> => {
      const [write] = ahead.sign([{ kind: 'set', key: Buffer.from('/cities/FR/2'), value: Buffer.from('Lyon') }]);
      assert.equal((await server.post('/data/set', { ...write })).status, 200);
      const { code, stderr } = await scene.run(['set', '/cities/FR/2', 'Nice', ...french, ...url]);
      return code === 1 ? stderr : undefined;
    };
    let told: string | undefined;
    await until(async () => (told = await loses()) !== undefined);
    assert.match(told ?? '', /not applied: a greater version/);
    assert.equal(await server.read('/cities/FR/2'), 'Lyon');
    assert.equal(await fails('set', '/cities/FR/1', 'v', ...french.slice(0, 2), ...url), '2 bad_config');
    assert.equal(await fails('set', '/cities/FR/1', 'v', ...french.slice(2), ...url), '2 bad_config');
    assert.equal(
      await fails('set', '/cities/FR/1', 'v', '--sign-with', join(mesh, 'cluster.key'), ...french.slice(2), ...url),
      '1 malformed',
    );
    assert.match(
      await succeeds('refused', ...url),
      /^\S+ {2}malformed {2}signed {2}\/cities\/FR\/1 {2}.*\n\S+ {2}key_denied {2}signed {2}\/cities\/DE\/1 {2}/,
    );
  });

  it('K10: T43: revoke --adopt signs anew what is seen under the grant, and what another wrote or deleted stays as it is', async () => {
    const [french, keeper] = [await writer('french', 'write,delete', '/cities/FR/**'), await writer('keeper', 'write', '/cities/**')];
    const [, , , grant = ''] = french;
    await using client = new Client(server.api);
    const key = readKeyFile(keyOf('french'));
    const signer = new Signer({ meshId: await client.meshId(), grantId: grantOf(french), key, now: () => Date.now() });
    const large = Buffer.alloc(1_000_000, 'x');
    const valueOf = (i: number): Buffer => (i < 3 ? large : Buffer.from(`of ${i}`));
    const expiresAt = Date.now() + 3_600_000;
    const ops = Array.from({ length: 120 }, (_, i) => ({
      kind: 'set' as const,
      key: Buffer.from(`/cities/FR/${i}`),
      value: valueOf(i),
      expiresAt,
    }));
    for (const op of ops.slice(0, 3)) await client.batchSigned(signer.sign([op]));
    await client.batchSigned(signer.sign(ops.slice(3)));
    await succeeds('set', '/cities/FR/kept', 'by keeper', ...keeper, ...url);
    await succeeds('set', '/cities/FR/gone', 'v', ...french, ...url);
    await succeeds('delete', '/cities/FR/gone', ...french, ...url);
    const revoke = ['revoke', grant, '--mesh', mesh, '--adopt', ...url];
    assert.equal(await fails(...revoke), '2 bad_config');
    assert.equal(await fails('revoke', grant, '--mesh', mesh, ...keeper), '2 bad_config', 'it was not said to adopt');
    assert.equal(await fails(...revoke, ...french), '2 bad_config', 'it would go with the grant');
    assert.equal(await fails(...revoke, '--sign-with', keyOf('french'), ...keeper.slice(2)), '2 bad_config');
    assert.equal(await fails(...revoke, ...keeper, '--key', keyOf('keeper')), '1 issuer_mismatch');
    await succeeds(...revoke, ...keeper);
    await until(async () => (await fails('set', '/cities/FR/1', 'v', ...french, ...url)) === '1 grant_revoked');
    for (const [i, { key: name }] of ops.entries())
      assert.equal(await server.read(name.toString()), valueOf(i).toString(), name.toString());
    const [adopted, ...others] = await candidatesOf(client, Buffer.from('/cities/FR/7'));
    assert.deepEqual([adopted?.expiresAt, others.filter(({ chain }) => chain?.stands === true)], [expiresAt, []]);
    assert.deepEqual([await server.read('/cities/FR/kept'), await server.read('/cities/FR/gone')], ['by keeper', undefined]);
  });
});
