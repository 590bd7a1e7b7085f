import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { hasCode } from '../../src/core/errors.ts';
import { configNames, flagOf, isLoopback, isWildcard, loadConfig, loadOfflineConfig } from '../../src/server/config.ts';

describe('configuration', () => {
  let dir: string;
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'gkvmesh-config-'));
  });
  after(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  function file(text: string): string {
    const path = join(dir, 'config.yaml');
    writeFileSync(path, text);
    return path;
  }
  function refused(message: RegExp): (error: unknown) => boolean {
    return (error) => hasCode(error, 'bad_config') && message.test(error.message);
  }

  it('has defaults for everything but --open', () => {
    assert.deepEqual(loadConfig({ open: true }, {}), {
      open: true,
      mesh: undefined,
      store: { kind: 'lmdb', dir: './gkvmesh-data' },
      listen: { host: '127.0.0.1', port: 6300 },
      meshListen: { host: '127.0.0.1', port: 6200 },
      advertise: undefined,
      join: undefined,
      dayMs: 86_400_000,
      drainMs: 0,
      region: 'local',
      meshId: undefined,
      meshKey: undefined,
      tls: { api: undefined, mesh: undefined },
      tokens: undefined,
      insecurePlaintext: false,
      jobRank: 100,
      hostNames: [],
      logLevel: 'info',
    });
    assert.throws(() => loadConfig({}, {}), refused(/--open/));
    assert.equal(loadConfig({ open: true }, { GKVMESH_DRAIN_MS: '600000' }).drainMs, 600_000);
    for (const wrong of ['600001', '-1', '1e3', ''])
      assert.throws(() => loadConfig({ open: true, drainMs: wrong }, {}), refused(/^--drain-ms: /));
  });

  it('T18: a mesh directory names a granted mesh, whose id and key no other option does', () => {
    const { open, mesh } = loadConfig({}, { GKVMESH_MESH: 'dir' });
    assert.deepEqual([open, mesh], [false, 'dir']);
    assert.throws(() => loadConfig({ mesh: 'dir', open: true }, {}), refused(/^--open: .*--mesh/));
    assert.throws(() => loadConfig({ mesh: 'dir' }, { GKVMESH_MESH_ID: '00'.repeat(32) }), refused(/^GKVMESH_MESH_ID: .*--mesh/));
    assert.throws(() => loadConfig({ mesh: 'dir', meshKey: 'key' }, {}), refused(/^--mesh-key: .*--mesh/));
  });

  it('G36: T18: what works on a store that nobody serves takes a mesh directory from where a server does, or a key, and needs none', () => {
    const config = file('mesh: file\n');
    const meshOf = (flags: Parameters<typeof loadConfig>[0], environment = {}): string | undefined =>
      loadOfflineConfig(flags, environment).mesh?.path;
    const named = [meshOf({ config, mesh: 'flag' }), meshOf({ config }, { GKVMESH_MESH: 'env' }), meshOf({ config }), meshOf({})];
    assert.deepEqual(named, ['flag', 'env', 'file', undefined]);
    assert.throws(() => meshOf({ config: file('mesh: 7\n') }), refused(/config\.yaml: mesh: 7 is not a mesh directory/));
  });

  it('G36: T18: of a mesh directory and a mesh key for a store that nobody serves the flag goes over the environment, and it over the file', () => {
    const key = join(dir, 'key');
    writeFileSync(key, 'ab'.repeat(32));
    const bytes = Buffer.from('ab'.repeat(32), 'hex');
    const config = file(`meshKey: ${key}\n`);
    for (const [flags, environment, path, counts] of [
      [{ meshKey: key }, { GKVMESH_MESH: 'env' }, undefined, bytes],
      [{ mesh: 'flag' }, { GKVMESH_MESH_KEY: key }, 'flag', undefined],
      [{ config }, { GKVMESH_MESH: 'env' }, 'env', undefined],
      [{ config }, {}, undefined, bytes],
    ] as const) {
      const { mesh, meshKey } = loadOfflineConfig(flags, environment);
      assert.deepEqual([mesh?.path, meshKey], [path, counts]);
    }
    assert.equal(loadOfflineConfig({}, { GKVMESH_MESH: 'env' }).mesh?.source, 'GKVMESH_MESH');
    assert.throws(() => loadOfflineConfig({ mesh: 'dir', meshKey: key }, {}), refused(/^--mesh and --mesh-key: /));
    assert.throws(
      () => loadOfflineConfig({}, { GKVMESH_MESH: 'dir', GKVMESH_MESH_KEY: key }),
      refused(/^GKVMESH_MESH and GKVMESH_MESH_KEY: /),
    );
  });

  it('each option has a flag', () => {
    assert.equal(flagOf('meshListen'), '--mesh-listen');
    assert.equal(new Set(configNames.map(flagOf)).size, configNames.length);
  });

  it('G36: flags go over the environment, which goes over the file', () => {
    const config = file('open: true\nregion: file\ndata: file\nlogLevel: warn\n');
    const { region, store, logLevel } = loadConfig({ config, region: 'flag' }, { GKVMESH_REGION: 'env', GKVMESH_DATA: 'env' });
    assert.deepEqual([region, store, logLevel], ['flag', { kind: 'lmdb', dir: 'env' }, 'warn']);
    assert.equal(loadConfig({}, { GKVMESH_CONFIG: config }).region, 'file');
  });

  it('G36: data lies in a directory, or in FoundationDB under a prefix', () => {
    const inFdb = loadConfig({ open: true, fdb: 'fdb.cluster' }, {});
    assert.deepEqual(inFdb.store, { kind: 'fdb', clusterFile: 'fdb.cluster', prefix: Buffer.from('gkvmesh/') });
    const prefixed = loadConfig({ open: true }, { GKVMESH_FDB: 'f', GKVMESH_FDB_PREFIX: '6d31' });
    assert.deepEqual(prefixed.store, { kind: 'fdb', clusterFile: 'f', prefix: Buffer.from('m1') });
    assert.throws(() => loadConfig({ open: true, fdb: 'f', data: 'd' }, {}), refused(/^--data and --fdb: /));
    assert.throws(() => loadConfig({ open: true, fdbPrefix: '6d31' }, {}), refused(/^--fdb-prefix: is of use with --fdb alone/));
    assert.equal(loadConfig({ open: true, fdb: 'f', jobRank: '10' }, {}).jobRank, 10);
    assert.throws(() => loadConfig({ open: true, jobRank: '10' }, {}), refused(/^--job-rank: is of use with --fdb alone/));
    for (const wrong of ['256', '-1', '1.5', 'first'])
      assert.throws(() => loadConfig({ open: true, fdb: 'f', jobRank: wrong }, {}), refused(/^--job-rank: /));
    for (const wrong of ['', 'f', 'ff00', 'XY', '00'.repeat(65)]) {
      assert.throws(() => loadConfig({ open: true, fdb: 'f', fdbPrefix: wrong }, {}), refused(/^--fdb-prefix: /));
    }
  });

  it('G36: what is wrong is named by where it came from', () => {
    assert.throws(() => loadConfig({ open: true, listen: 'x' }, {}), refused(/^--listen: "x" .*HOST:PORT/));
    assert.throws(() => loadConfig({ open: true }, { GKVMESH_MESH_LISTEN: 'x' }), refused(/^GKVMESH_MESH_LISTEN: /));
    const wrong = file('open: true\nregion: 7\n');
    assert.throws(() => loadConfig({ config: wrong }, {}), refused(/config\.yaml: region: /));
    const unknown = file('open: true\ncolour: red\n');
    assert.throws(() => loadConfig({ config: unknown }, {}), refused(/config\.yaml: colour: there is no such option/));
    const same = { open: true, meshListen: '127.0.0.1:6300' };
    assert.throws(() => loadConfig(same, {}), refused(/^--mesh-listen: 127\.0\.0\.1:6300 is that of listen too/));
    assert.throws(() => loadConfig({ config: file('a: [') }, {}), refused(/config\.yaml cannot be read/));
    assert.throws(() => loadConfig({ config: join(dir, 'absent') }, {}), refused(/absent cannot be read/));
  });

  it('G36: a variable that is set and empty is refused, whatever it names', () => {
    for (const name of [...configNames, 'config']) {
      const variable = `GKVMESH_${flagOf(name).slice(2).replaceAll('-', '_').toUpperCase()}`;
      assert.throws(() => loadConfig({}, { [variable]: '' }), refused(new RegExp(`^${variable}: "" is not `)), variable);
    }
    assert.throws(() => loadConfig({ config: '' }, {}), refused(/^--config: "" is not a file/));
  });

  it('G36: a flag of the environment is true, false, 1 or 0', () => {
    assert.equal(loadConfig({}, { GKVMESH_OPEN: '1' }).open, true);
    assert.throws(() => loadConfig({}, { GKVMESH_OPEN: 'false' }), refused(/--open/));
    assert.throws(() => loadConfig({}, { GKVMESH_OPEN: 'yes' }), refused(/^GKVMESH_OPEN: /));
  });

  it('addresses may be names, IPv4, and IPv6 in brackets', () => {
    assert.deepEqual(loadConfig({ open: true, listen: '[::1]:0' }, {}).listen, { host: '::1', port: 0 });
    assert.deepEqual(loadConfig({ open: true, listen: 'localhost:65535' }, {}).listen, { host: 'localhost', port: 65_535 });
    for (const listen of ['', ':1', '::1:1', '127.0.0.1', '127.0.0.1:65536', '127.0.0.1:1x', 'a b:1:2']) {
      assert.throws(() => loadConfig({ open: true, listen }, {}), refused(/--listen/), listen);
    }
  });

  it('host names are given with commas between, or as a list in the file', () => {
    assert.deepEqual(loadConfig({ open: true, hostNames: 'eu, eu.example.org' }, {}).hostNames, ['eu', 'eu.example.org']);
    assert.deepEqual(loadConfig({ config: file('open: true\nhostNames: [eu, us]\n') }, {}).hostNames, ['eu', 'us']);
    for (const hostNames of ['', 'a,,b', 'eu:6300', 'a b']) {
      assert.throws(() => loadConfig({ open: true, hostNames }, {}), refused(/^--host-names: ".*" is not host names/), hostNames);
    }
  });

  it('G36: a region tells others an address that can be called', () => {
    assert.deepEqual(loadConfig({ open: true, advertise: 'eu.example.org:6200' }, {}).advertise, { host: 'eu.example.org', port: 6_200 });
    for (const advertise of ['eu', '0.0.0.0:6200', '[::]:6200', 'eu:0']) {
      assert.throws(() => loadConfig({ open: true }, { GKVMESH_ADVERTISE: advertise }), refused(/^GKVMESH_ADVERTISE: /), advertise);
    }
    assert.deepEqual(['0.0.0.0', '::', '0:0:0:0:0:0:0:0', '127.0.0.1', '::1', 'localhost'].map(isWildcard), [
      ...[true, true, true],
      ...[false, false, false],
    ]);
  });

  it('G36: the day is given in ms, as a number or as text', () => {
    assert.equal(loadConfig({ open: true, dayMs: '3000' }, {}).dayMs, 3_000);
    assert.equal(loadConfig({ config: file('open: true\ndayMs: 1000\n') }, {}).dayMs, 1_000);
    for (const dayMs of ['999', '1d', '', '1e4', '-1000', 1_000.5, 999]) {
      assert.throws(
        () => loadConfig({ open: true, dayMs }, {}),
        refused(/^--day-ms: .* is not a whole number of ms, at least 1000$/),
        String(dayMs),
      );
    }
  });

  it('G36: the message names the value and what would be right', () => {
    const cases: readonly [name: string, value: unknown, message: string][] = [
      ['logLevel', 'loud', '--log-level: "loud" is not one of error, warn, info, debug'],
      ['region', 'a b', '--region: "a b" is not a name of at most 64 letters, digits, dots, dashes and underscores'],
      ['meshId', 'abc', '--mesh-id: "abc" is not 64 lower-case hex digits (32 bytes), in quotes in a file'],
      ['data', '', '--data: "" is not a directory'],
      ['listen', 6300, '--listen: 6300 is not HOST:PORT, such as 127.0.0.1:6300 or [::1]:6300'],
      ['insecurePlaintext', 'maybe', '--insecure-plaintext: "maybe" is not true or false'],
    ];
    for (const [name, value, message] of cases) {
      assert.throws(() => loadConfig({ open: true, [name]: value }, {}), { code: 'bad_config', message });
    }
  });

  it('beyond loopback it wants --insecure-plaintext, where there is no TLS that asks for certificates', () => {
    for (const listen of ['0.0.0.0:1', '[::]:1', '10.0.0.1:1', 'example.org:1']) {
      assert.throws(() => loadConfig({ open: true, listen }, {}), refused(/^--listen: .*--insecure-plaintext/), listen);
      assert.throws(() => loadConfig({ open: true, meshListen: listen }, {}), refused(/^--mesh-listen: /), listen);
      assert.equal(loadConfig({ open: true, listen, insecurePlaintext: true }, {}).insecurePlaintext, true);
    }
    for (const host of ['127.0.0.1', '127.255.0.9', '::1', 'localhost', 'LocalHost']) assert.ok(isLoopback(host), host);
    for (const host of ['128.0.0.1', '127.0.0.1.example', '0.0.0.0']) assert.ok(!isLoopback(host), host);
  });

  it('reads the mesh key from a file, and never shows it', () => {
    const path = join(dir, 'key');
    writeFileSync(path, `${'5a'.repeat(32)}\n`);
    assert.deepEqual(loadConfig({ open: true, meshKey: path }, {}).meshKey, Buffer.alloc(32, 0x5a));
    writeFileSync(path, `${'5a'.repeat(31)}zz`);
    assert.throws(
      () => loadConfig({ open: true, meshKey: path }, {}),
      (error) => refused(/^--mesh-key: .*64 lower-case hex digits/)(error) && !String(error).includes('5a5a'),
    );
    assert.throws(() => loadConfig({ open: true, meshKey: join(dir, 'absent') }, {}), refused(/^--mesh-key: .* cannot be read/));
  });
});
