import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { hasCode } from '../../src/core/errors.ts';
import { loadConfig, type RawConfig } from '../../src/server/config.ts';
import { readTls } from '../../src/server/tlsFiles.ts';
import { fixture, pem, tlsFiles } from '../tls.ts';

const api = { tlsCert: fixture('server.pem'), tlsKey: fixture('server.key') };
const clients = { ...api, tlsClientCa: fixture('ca.pem') };
const mesh = { meshTlsCert: fixture('peer.pem'), meshTlsKey: fixture('peer.key'), meshTlsCa: fixture('ca.pem') };

function refused(message: RegExp): (error: unknown) => boolean {
  return (error) => hasCode(error, 'bad_config') && message.test(error.message);
}

describe('configuration of TLS', () => {
  let dir: string;
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'gkvmesh-tls-'));
  });
  after(() => {
    rmSync(dir, { recursive: true, force: true });
  });
  function file(name: string, text: string): string {
    const path = join(dir, name);
    writeFileSync(path, text);
    return path;
  }
  function load(options: RawConfig): ReturnType<typeof loadConfig> {
    return loadConfig({ open: true, ...options }, {});
  }

  it('names the files, and where each option came from', () => {
    const environment = { GKVMESH_TLS_CERT: api.tlsCert, GKVMESH_TLS_KEY: api.tlsKey, GKVMESH_MESH_TLS_CA: mesh.meshTlsCa };
    const yaml = file('config.yaml', `meshTlsCert: ${mesh.meshTlsCert}\n`);
    const { tls } = loadConfig({ open: true, config: yaml, meshTlsKey: mesh.meshTlsKey }, environment);
    assert.deepEqual(tls.api, {
      port: 'api',
      cert: { path: api.tlsCert, source: 'GKVMESH_TLS_CERT' },
      key: { path: api.tlsKey, source: 'GKVMESH_TLS_KEY' },
      ca: undefined,
    });
    assert.deepEqual(
      [tls.mesh?.cert.source, tls.mesh?.key.source, tls.mesh?.ca?.source],
      [`${yaml}: meshTlsCert`, '--mesh-tls-key', 'GKVMESH_MESH_TLS_CA'],
    );
  });

  const incomplete: readonly [options: RawConfig, message: RegExp][] = [
    [{ tlsCert: 'c' }, /^--tls-cert: is of use with --tls-key alone: /],
    [{ tlsKey: 'k' }, /^--tls-key: is of use with --tls-cert alone: /],
    [{ tlsClientCa: 'a' }, /^--tls-client-ca: is of use with --tls-cert and --tls-key alone: /],
    [{ tlsCert: 'c', tlsClientCa: 'a' }, /^--tls-cert: is of use with --tls-key alone: /],
    [{ tlsKey: 'k', tlsClientCa: 'a' }, /^--tls-key: is of use with --tls-cert alone: /],
    [{ meshTlsCert: 'c' }, /^--mesh-tls-cert: is of use with --mesh-tls-key and --mesh-tls-ca alone: /],
    [{ meshTlsKey: 'k' }, /^--mesh-tls-key: is of use with --mesh-tls-cert and --mesh-tls-ca alone: /],
    [{ meshTlsCa: 'a' }, /^--mesh-tls-ca: is of use with --mesh-tls-cert and --mesh-tls-key alone: /],
    [{ meshTlsCert: 'c', meshTlsKey: 'k' }, /^--mesh-tls-cert: is of use with --mesh-tls-ca alone: /],
    [{ meshTlsCert: 'c', meshTlsCa: 'a' }, /^--mesh-tls-cert: is of use with --mesh-tls-key alone: /],
    [{ meshTlsKey: 'k', meshTlsCa: 'a' }, /^--mesh-tls-key: is of use with --mesh-tls-cert alone: /],
  ];
  for (const [options, message] of incomplete) {
    it(`wants more than ${Object.keys(options).join(' and ')}`, () => {
      assert.throws(() => load(options), refused(message));
    });
  }

  it('checks what the files of each option hold', () => {
    const absent = join(dir, 'absent');
    const noPem = file('no.pem', 'hello');
    for (const name of Object.keys(clients))
      assert.throws(() => load({ ...clients, [name]: absent }), refused(/: .*absent cannot be read: ENOENT/));
    for (const name of Object.keys(mesh))
      assert.throws(() => load({ ...mesh, [name]: noPem }), refused(/: .*no\.pem holds no (certificate|private key) in PEM/));
    assert.equal(load({ ...clients, ...mesh }).tls.mesh?.port, 'mesh');
  });

  const wrong: readonly [what: string, options: RawConfig, message: RegExp][] = [
    ['a directory', { ...mesh, meshTlsCert: tmpdir() }, /^--mesh-tls-cert: .* cannot be read: EISDIR/],
    [
      'a key of another certificate',
      { ...mesh, meshTlsKey: fixture('peer2.key') },
      /^--mesh-tls-key: .*peer2\.key is not the key of the certificate in .*peer\.pem/,
    ],
    [
      'a key under a passphrase',
      { ...mesh, meshTlsKey: fixture('locked.key') },
      /^--mesh-tls-key: .*locked\.key holds no private key in PEM without a passphrase/,
    ],
    ['a certificate in place of the key', { ...api, tlsKey: fixture('server.pem') }, /^--tls-key: .*server\.pem holds no private key/],
    [
      'a key in place of the certificate',
      { ...api, tlsCert: fixture('server.key') },
      /^--tls-cert: .*server\.key holds no certificate in PEM/,
    ],
    [
      'an ended certificate',
      { ...mesh, meshTlsCert: fixture('expired.pem') },
      /^--mesh-tls-cert: .*expired\.pem holds a certificate \(CN=gkvmesh test expired\) that ended at 2020-01-02T00:00:00\.000Z; it needs a renewed one/,
    ],
    ['an ended CA', { ...mesh, meshTlsCa: fixture('expired.pem') }, /^--mesh-tls-ca: .*expired\.pem holds a certificate .* that ended at /],
    [
      'a certificate for servers on the mesh port',
      { ...mesh, meshTlsCert: api.tlsCert, meshTlsKey: api.tlsKey },
      /^--mesh-tls-cert: .*server\.pem .* lacks clientAuth; the mesh port needs serverAuth and clientAuth/,
    ],
    [
      'a certificate for clients',
      { tlsCert: fixture('client.pem'), tlsKey: fixture('client.key') },
      /^--tls-cert: .*client\.pem .* lacks serverAuth; /,
    ],
    ['no file', { ...api, tlsCert: '' }, /^--tls-cert: "" is not a file/],
  ];
  for (const [what, options, message] of wrong) {
    it(`refuses ${what}, by the option and the file`, () => {
      assert.throws(() => load(options), refused(message));
    });
  }

  it('refuses certificates that are cut off or damaged', () => {
    const text = pem('peer.pem');
    const cases = [
      [text.slice(0, -40), /^--mesh-tls-cert: .* holds a certificate without its end/],
      [text.replace(/\n.{64}\n/, '\n'), /^--mesh-tls-cert: .* holds a certificate that cannot be read/],
    ] as const;
    for (const [damaged, message] of cases) {
      assert.throws(() => load({ ...mesh, meshTlsCert: file('damaged.pem', damaged) }), refused(message));
    }
  });

  it('takes a chain, which ends with its first, and CAs of which some have ended', () => {
    const chain = file('chain.pem', `${pem('peer.pem')}text between\n${pem('ca.pem')}`);
    const cas = file('cas.pem', pem('expired.pem') + pem('ca.pem'));
    const { ca, endsAtMs } = readTls(tlsFiles('mesh', chain, mesh.meshTlsKey, cas), Date.now());
    assert.deepEqual([ca, endsAtMs], [[pem('expired.pem'), pem('ca.pem')], Date.parse('2120-01-01')]);
    const ended = file('ended.pem', pem('peer.pem') + pem('expired.pem'));
    assert.throws(
      () => load({ ...mesh, meshTlsCert: ended }),
      refused(/ended\.pem holds a certificate \(CN=gkvmesh test expired\) that ended/),
    );
  });

  it('refuses a certificate that is not valid yet', () => {
    const files = tlsFiles('mesh', mesh.meshTlsCert, mesh.meshTlsKey, mesh.meshTlsCa);
    assert.throws(
      () => readTls(files, Date.parse('2019-06-01')),
      refused(/valid from 2020-01-01T00:00:00\.000Z, and by this machine’s clock it is 2019-06-01/),
    );
  });

  it('G40: beyond loopback a port wants TLS that asks for certificates, or --insecure-plaintext', () => {
    const [listen, meshListen] = ['0.0.0.0:1', '[::]:2'];
    assert.throws(
      () => load({ listen }),
      refused(
        /^--listen: 0\.0\.0\.0 is not loopback; it needs --tls-cert, --tls-key and --tls-client-ca \(or --tokens\), or --insecure-plaintext/,
      ),
    );
    assert.throws(
      () => load({ listen, ...api }),
      refused(
        /^--listen: 0\.0\.0\.0 is not loopback, and has TLS without authentication; it needs --tls-client-ca \(or --tokens\) too, or /,
      ),
    );
    assert.throws(() => load({ listen, ...mesh }), refused(/^--listen: /));
    assert.throws(
      () => load({ meshListen }),
      refused(/^--mesh-listen: :: is not loopback; it needs --mesh-tls-cert, --mesh-tls-key and --mesh-tls-ca, or --insecure-plaintext/),
    );
    assert.throws(() => load({ meshListen, ...clients }), refused(/^--mesh-listen: /));
    for (const options of [
      { listen, ...clients },
      { meshListen, ...mesh },
      { listen, meshListen, ...clients, ...mesh },
      { listen, meshListen, ...api, insecurePlaintext: true },
    ]) {
      assert.equal(load(options).open, true);
    }
  });
});
