import assert from 'node:assert/strict';
import { chmodSync, cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Scene } from './server.ts';

describe('grants on the command line', () => {
  const scene = new Scene();
  let mesh: string;
  let dir: string;

  after(() => scene.close());

  const succeeds = (args: readonly string[], env = process.env): Promise<string> => scene.succeeds(args, env);

  /** Its exit code and error code. */
  async function fails(args: readonly string[], env = process.env): Promise<string> {
    const { code, stderr } = await scene.run(args, { env });
    assert.doesNotMatch(stderr, /internal|\.js:\d+/);
    return `${String(code)} ${/^gkvmesh: ([a-z_]+): /m.exec(stderr)?.[1] ?? stderr}`;
  }

  const keyFile = (name: string): string => join(dir, `${name}.key`);
  const keygen = (name: string): Promise<string> => succeeds(['keygen', keyFile(name)]);
  const inMesh = (...args: string[]): string[] => [...args, '--mesh', mesh];
  const give = (to: string, rights: string, pattern: string, ...more: string[]): string[] =>
    inMesh('grant', 'create', '--to', to, '--rights', rights, '--pattern', pattern, ...more);

  beforeEach(async () => {
    dir = scene.dir();
    mesh = join(dir, 'mesh');
    await succeeds(['init', mesh]);
  });

  it('T16: init makes a mesh whose secrets nobody else may read, and whose first grant stands', async () => {
    for (const secret of ['mesh-key', 'root.key', 'cluster.key']) assert.equal(statSync(join(mesh, secret)).mode & 0o777, 0o600);
    assert.equal(statSync(mesh).mode & 0o777, 0o700);
    assert.match(readFileSync(join(mesh, 'mesh-id'), 'utf8'), /^[0-9a-f]{64}\n$/);
    assert.match(await succeeds(inMesh('grant', 'list')), /^[0-9a-f]{64} {2}read,write,delete,delegate,replicate on \*\* .* stands$/);
    assert.equal(await fails(['init', mesh]), '2 bad_config');
  });

  it('K5: K29: a writer who was given /cities/FR/** may write there and nowhere else, and whoever is asked says why', async () => {
    const [mayor, writer] = [await keygen('mayor'), await keygen('writer')];
    const cities = await succeeds(give(mayor, 'write,delete,delegate', '/cities/**', '--depth', '2'));
    const french = await succeeds(give(writer, 'write', '/cities/FR/**', '--key', keyFile('mayor'), '--parent', cities.slice(0, 8)));
    const lines = (await succeeds(inMesh('can', '/cities/FR/1', '--holder', writer))).split('\n');
    assert.deepEqual(
      lines.map((line) => line.split(' ')[0]),
      [cities, french],
    );
    assert.equal(await fails(inMesh('can', '/cities/DE/1', '--holder', writer)), '1 key_denied');
    assert.equal(await fails(inMesh('can', '/cities/FR/1', '--holder', writer, '--right', 'delete')), '1 right_denied');
    assert.equal(await fails(inMesh('can', '/cities/FR/1', '--holder', 'ab'.repeat(32))), '1 grant_unknown');
    assert.equal(await fails(inMesh('can', '/cities/FR/1')), '2 bad_config');
    assert.match(await succeeds(inMesh('whoami', keyFile('writer'))), new RegExp(`^${writer}\n${french} .* stands$`));
    assert.equal(await succeeds(['whoami', keyFile('writer')]), writer);
    assert.match(await succeeds(inMesh('grant', 'show', french)), /^patterns +\/cities\/FR\/\*\*$/m);
  });

  it('T6: a grant lasts a day at least, as the command line makes it: 0 days is no grant without an end', async () => {
    const to = await keygen('writer');
    for (const days of ['0', '36501', '1e3', ''])
      assert.equal(await fails(give(to, 'write', '/a/**', '--days', days)), '2 bad_config', days);
    assert.equal(readdirSync(join(mesh, 'records')).length, 2);
    await succeeds(give(to, 'write', '/a/**', '--days', '1'));
  });

  it('K6: nobody gives more than they have, or what they do not hold', async () => {
    const [mayor, writer] = [await keygen('mayor'), await keygen('writer')];
    const cities = await succeeds(give(mayor, 'write,delegate', '/cities/**', '--depth', '1'));
    const byMayor = ['--key', keyFile('mayor'), '--parent', cities];
    const last = await succeeds(give(writer, 'write', '/cities/**', ...byMayor));
    const before = readdirSync(join(mesh, 'records'));
    for (const [args, expected] of [
      [give(writer, 'write', '/else/**', ...byMayor), '1 grant_wider'],
      [give(writer, 'read', '/cities/**', ...byMayor), '1 grant_wider'],
      [give(writer, 'write,delegate', '/cities/**', '--depth', '1', ...byMayor), '1 grant_wider'],
      [give(mayor, 'write', '/cities/**', '--key', keyFile('writer'), '--parent', last), '1 not_delegable'],
      [give(writer, 'write', '/cities/**', '--key', keyFile('writer'), '--parent', cities), '1 issuer_mismatch'],
      [give(writer, 'write', '/cities/**', '--key', keyFile('mayor')), '1 threshold'],
    ] as const) {
      assert.equal(await fails(args), expected, args.join(' '));
    }
    assert.deepEqual(readdirSync(join(mesh, 'records')), before);
  });

  it('T6: what can be no grant is refused before anything is written', async () => {
    const writer = await keygen('writer');
    const cluster = (await succeeds(['whoami', join(mesh, 'cluster.key')])).trim();
    const [held = ''] = (await succeeds(inMesh('grant', 'list'))).split(' ');
    const byCluster = ['--key', join(mesh, 'cluster.key'), '--parent', held];
    const before = readdirSync(join(mesh, 'records'));
    for (const [args, expected] of [
      [give(cluster, 'write', '/cities/**', ...byCluster), '1 malformed'],
      [give(writer, 'write', '/a**', ...byCluster), '1 malformed'],
      [give(`01${'00'.repeat(31)}`, 'write', '/cities/**'), '1 bad_public_key'],
      [give(writer, 'write,fly', '/cities/**'), '2 bad_config'],
      [give('xyz', 'write', '/cities/**'), '2 bad_config'],
      [give(writer, 'write', '/cities/**', '--depth', '8'), '2 bad_config'],
      [give(writer, 'write', '/cities/**', '--parent', 'ffff'), '2 bad_config'],
      [inMesh('grant', 'create', '--to', writer), '2 bad_config'],
    ] as const) {
      assert.equal(await fails(args), expected, args.join(' '));
    }
    assert.deepEqual(readdirSync(join(mesh, 'records')), before);
  });

  it('K8: K29: revoke ends a grant and what follows from it; a stranger’s key does not', async () => {
    const [mayor, writer] = [await keygen('mayor'), await keygen('writer')];
    const cities = await succeeds(give(mayor, 'write,delegate', '/cities/**', '--depth', '2'));
    const french = await succeeds(give(writer, 'write', '/cities/FR/**', '--key', keyFile('mayor'), '--parent', cities));
    await keygen('stranger');
    assert.equal(await fails(inMesh('revoke', french, '--key', keyFile('stranger'))), '1 issuer_mismatch');
    await succeeds(inMesh('can', '/cities/FR/1', '--grant', french));
    const revocation = await succeeds(inMesh('revoke', cities.slice(0, 6)));
    assert.match(revocation, /^[0-9a-f]{64}$/);
    assert.equal(await fails(inMesh('can', '/cities/FR/1', '--grant', french)), '1 grant_revoked');
    assert.match(await succeeds(inMesh('grant', 'show', french)), new RegExp(`^state +grant_revoked: grant ${cities}, link 0: `, 'm'));
    assert.equal(await fails(give(writer, 'write', '/cities/FR/**', '--key', keyFile('mayor'), '--parent', cities)), '1 grant_revoked');
  });

  it('T10: root rotate carries over what stands and is not dropped; the old key gives nothing any more, the new one does', async () => {
    const writer = await keygen('writer');
    const [kept, dropped] = [await succeeds(give(writer, 'write', '/kept/**')), await succeeds(give(writer, 'write', '/dropped/**'))];
    const second = await succeeds(inMesh('root', 'rotate', keyFile('later'), '--drop', dropped));
    const lines = (await succeeds(inMesh('root', 'show'))).split('\n');
    assert.deepEqual(
      lines.map((line) => line.slice(0, 1)),
      ['1', '2'],
    );
    assert.match(
      lines[1] ?? '',
      new RegExp(`^2 {2}${second} {2}1 of ${await succeeds(['whoami', keyFile('later')])} {2}carries 2 grants over$`),
    );
    await succeeds(inMesh('can', '/kept/1', '--grant', kept));
    assert.equal(await fails(inMesh('can', '/dropped/1', '--grant', dropped)), '1 grant_revoked');
    assert.match((await scene.run(give(writer, 'write', '/more/**'))).stderr, /^gkvmesh: threshold: .* --key; gkvmesh root show tells/);
    const more = await succeeds(give(writer, 'write', '/more/**', '--key', keyFile('later')));
    await succeeds(inMesh('can', '/more/1', '--grant', more));
    assert.equal(await fails(inMesh('root', 'rotate', keyFile('again'))), '1 threshold');
  });

  it('T12: grant verify takes a chain from a file and the mesh id alone, and nothing that was changed', async () => {
    const writer = await keygen('writer');
    const french = await succeeds(give(writer, 'write', '/cities/FR/**'));
    const meshId = readFileSync(join(mesh, 'mesh-id'), 'utf8').trim();
    const record = await succeeds(inMesh('grant', 'show', french, '--record'));
    const file = join(dir, 'chain.txt');
    const verify = (text: string, id = meshId): string[] => {
      writeFileSync(file, text);
      return ['grant', 'verify', file, '--mesh-id', id];
    };
    assert.match(await succeeds(verify(record)), new RegExp(`^${french} .* stands$`));
    const [root = '', grant = ''] = record.split('\n');
    const bytes = Buffer.from(grant.slice('grant:'.length), 'base64');
    const changed = (at: number): string => {
      const copy = Buffer.from(bytes);
      copy[at] = (copy[at] ?? 0) ^ 1;
      return `${root}\ngrant:${copy.toString('base64')}\n`;
    };
    assert.match(await succeeds(verify(record.replaceAll('\n', '\r\n'))), new RegExp(`^${french} `)); // an editor's
    assert.equal(await fails(verify(changed(bytes.length - 1))), '1 grant_signature');
    assert.equal(await fails(verify(changed(0))), '1 malformed');
    assert.equal(await fails(verify(`${grant}\n`)), '1 root_unknown');
    assert.equal(await fails(verify(record, 'ab'.repeat(32))), '1 grant_signature');
    assert.equal(await fails(['grant', 'verify', join(dir, 'none'), '--mesh-id', meshId]), '2 bad_config');
  });

  it('T16: what cannot be read or written is told with the reason, and is not taken for absent', async () => {
    writeFileSync(join(dir, 'a file'), '');
    for (const [args, told] of [
      [['keygen', join(dir, 'a file', 'key')], /a file\/key cannot be written: ENOTDIR/],
      [['init', join(dir, 'a file', 'mesh')], /a file\/mesh cannot be made: ENOTDIR/],
      [['whoami', join(dir, 'absent')], /absent cannot be read: ENOENT/],
      [['grant', 'list', '--mesh', join(dir, 'a file')], /a file\/mesh-id cannot be read: ENOTDIR/],
      [['grant', 'list', '--mesh', dir], /is no mesh directory: .*mesh-id is not there\. gkvmesh init makes one/],
      [['token', 'list', dir], /cannot be read: EISDIR/],
      [['get', 'k', '--token-file', dir], /--token-file: .* cannot be read: EISDIR/],
      [['set', 'k', `@${dir}`], /cannot be read: EISDIR/],
      [['set', 'k', '@'], /: "" cannot be read: ENOENT/],
    ] as const) {
      const { code, stderr } = await scene.run(args);
      assert.equal(code, 2);
      assert.match(stderr, told);
    }
  });

  it('T1: a pattern that is no UTF-8 is refused: Node gives U+FFFD for each such byte', async () => {
    const { code, stderr } = await scene.run(give(await keygen('writer'), 'write', '/\ufffd/**'));
    assert.deepEqual([code, /holds what is no UTF-8/.test(stderr)], [2, true]);
  });

  it('T16: a key that others may read, a file that is no record and a directory that is no mesh are refused by name', async () => {
    const writer = await keygen('writer');
    assert.equal(await fails(['keygen', keyFile('writer')]), '2 bad_config');
    chmodSync(join(mesh, 'root.key'), 0o640);
    assert.equal(await fails(give(writer, 'write', '**')), '2 bad_config');
    assert.equal(await fails(['grant', 'list', '--mesh', dir]), '2 bad_config');
    writeFileSync(join(mesh, 'records', 'x.grant'), 'nonsense\n');
    const { code, stderr } = await scene.run(inMesh('grant', 'list'));
    assert.deepEqual([code, /^gkvmesh: malformed: .*x\.grant/m.test(stderr)], [1, true]);
  });

  it('K29: T16: with a passphrase keys are encrypted, and are of no use without it', async () => {
    const passphrase = (name: string, text: string, mode = 0o600): NodeJS.ProcessEnv => {
      writeFileSync(join(dir, name), text, { mode });
      return { ...process.env, GKVMESH_PASSPHRASE_FILE: join(dir, name) };
    };
    const none = await scene.run(['keygen', join(dir, 'none')], { env: { ...process.env, GKVMESH_PASSPHRASE_FILE: '' } });
    assert.deepEqual([none.code, /^gkvmesh: bad_config: GKVMESH_PASSPHRASE_FILE: "" is not a file$/m.test(none.stderr)], [2, true]);
    const right = passphrase('right', 'correct horse\n');
    const secret = join(dir, 'secret');
    await succeeds(['init', secret], right);
    for (const file of ['root.key', 'cluster.key']) {
      assert.match(readFileSync(join(secret, file), 'utf8'), /^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
      assert.equal(await fails(['whoami', join(secret, file)]), '2 bad_config');
      assert.equal(await fails(['whoami', join(secret, file)], passphrase('wrong', 'correct horsf\n')), '2 bad_config');
      assert.match(await succeeds(['whoami', join(secret, file)], right), /^[0-9a-f]{64}$/);
    }
    const grant = ['grant', 'create', '--to', 'ab'.repeat(32), '--rights', 'write', '--pattern', '**', '--mesh', secret];
    assert.equal(await fails(grant), '2 bad_config');
    for (const env of [passphrase('open', 'correct horse\n', 0o644), passphrase('empty', '\n'), passphrase('long', 'x'.repeat(1_025))])
      assert.equal(await fails(['whoami', join(secret, 'root.key')], env), '2 bad_config');
    assert.match(await succeeds(['whoami', join(mesh, 'root.key')], right), /^[0-9a-f]{64}$/); // which is not encrypted
  });

  it('T16: a record that is not what the mesh’s keys have signed takes no part, and is told', async () => {
    const other = join(dir, 'other');
    await succeeds(['init', other]);
    const writer = await keygen('writer');
    const foreign = await succeeds(['grant', 'create', '--to', writer, '--rights', 'write', '--pattern', '**', '--mesh', other]);
    cpSync(join(other, 'records', `${foreign}.grant`), join(mesh, 'records', `${foreign}.grant`));
    const lines = (await succeeds(inMesh('grant', 'list'))).split('\n');
    assert.equal(lines.length, 2);
    assert.match(lines[1] ?? '', /^[0-9a-f]{64} {2}grant {2}grant_signature: /);
    assert.equal(await fails(inMesh('can', 'k', '--holder', writer)), '1 grant_unknown');
    rmSync(other, { recursive: true });
  });
});
