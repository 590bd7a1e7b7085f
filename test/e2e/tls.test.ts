import assert from 'node:assert/strict';
import { copyFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterEach, describe, it } from 'mocha';
import { Agent, request } from 'undici';
import * as z from 'zod';
import { until } from '../support.ts';
import { fixture, shows, type Leaf } from '../tls.ts';
import { errorIn, Scene, type RunningServer } from './server.ts';

let scene = new Scene();
afterEach(async () => {
  await scene.close();
  scene = new Scene();
});

function meshFlags(leaf: Leaf): string[] {
  return ['--mesh-tls-cert', fixture(`${leaf}.pem`), '--mesh-tls-key', fixture(`${leaf}.key`), '--mesh-tls-ca', fixture('ca.pem')];
}
const apiFlags = ['--tls-cert', fixture('server.pem'), '--tls-key', fixture('server.key'), '--tls-client-ca', fixture('ca.pem')];
const clientFlags = ['--ca', fixture('ca.pem'), '--cert', fixture('client.pem'), '--key', fixture('client.key')];

function region(flags: readonly string[]): Promise<RunningServer> {
  return scene.server(undefined, flags);
}

/** The common name of the certificate that a port shows. */
function nameAt(address: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port: Number(address.split(':').at(-1)), host: '127.0.0.1', ...shows('peer') }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

describe('TLS', () => {
  it('G40: two regions come level over mutual TLS, by address and by name', async () => {
    const [eu, us] = await Promise.all([region(meshFlags('peer')), region(meshFlags('peer2'))]);
    await eu.fill('eu/', 500);
    await us.fill('us/', 500);
    const { received, sent, converged } = await us.pull(eu.mesh);
    assert.deepEqual([received, sent, converged], [500, 500, true]);
    assert.equal((await eu.pull(us.mesh.replace('127.0.0.1', 'localhost'))).converged, true);
    assert.equal((await eu.tree()).sum, (await us.tree()).sum);
    assert.match((await eu.get('/metrics')).text, /^gkvmesh_tls_expires_seconds\{port="mesh"\} [1-9]\d{8,}/m);
  });

  it('G40: a peer without a certificate of our CA gets and gives nothing, whoever asks whom', async () => {
    const [eu, other, plain] = await Promise.all([region(meshFlags('peer')), region(meshFlags('other')), region([])]);
    await eu.set('k', 'v');
    for (const [asker, asked, code, hint] of [
      [other, eu, 'peer_unreachable', /--mesh-tls-cert/],
      [eu, other, 'peer_unreachable', /certificate that we refuse/],
      [plain, eu, 'peer_unreachable', /if it speaks TLS, we need --mesh-tls-cert/],
      [eu, plain, 'peer_protocol', /does not speak TLS, and we do/],
    ] as const) {
      const error = errorIn(await asker.post('/control/aae/pull', { peer: asked.mesh }));
      assert.equal(error.code, code);
      assert.match(error.message, hint);
    }
    assert.deepEqual([await other.read('k'), await plain.read('k')], [undefined, undefined]);
    await until(() => eu.process.stderr.includes('a TLS connection was refused'));
  });

  it('G40: beyond loopback both ports are served without --insecure-plaintext, to those with a certificate', async () => {
    const server = await region([...apiFlags, ...meshFlags('peer'), '--listen', '0.0.0.0:0', '--mesh-listen', '0.0.0.0:0']);
    assert.match(server.api, /^https:\/\/0\.0\.0\.0:\d+$/);
    assert.doesNotMatch(server.process.stderr, /insecure-plaintext/);
    const url = ['--url', `https://localhost:${server.port}`];
    assert.equal((await scene.run(['set', 'k', 'v', ...url, ...clientFlags])).code, 0);
    const environment = { GKVMESH_CA: fixture('ca.pem'), GKVMESH_CERT: fixture('client.pem'), GKVMESH_KEY: fixture('client.key') };
    const got = await scene.run(['get', 'k', ...url], { env: { ...process.env, ...environment } });
    assert.deepEqual([got.code, got.stdout.toString()], [0, 'v']);
    for (const [flags, hint] of [
      [[...url, '--ca', fixture('ca.pem')], /--cert/],
      [[...url], /we refuse its certificate/],
      [['--url', `http://localhost:${server.port}`], /use https:/],
    ] as const) {
      const { code, stderr } = await scene.run(['get', 'k', ...flags]);
      assert.deepEqual([code, /^gkvmesh: unavailable: /m.test(stderr)], [1, true]);
      assert.match(stderr, hint);
    }
    const absent = await scene.run(['get', 'k', ...url, '--ca', '/nonexistent/ca']);
    assert.deepEqual([absent.code, /bad_config: --ca: .*nonexistent/.test(absent.stderr)], [2, true]);
  });

  it('an API with TLS and no client CA serves on loopback whoever trusts it', async () => {
    const server = await region(apiFlags.slice(0, 4));
    const dispatcher = new Agent({ connect: { ca: shows('peer').ca } });
    const { statusCode, body } = await request(`${server.api}/readyz`, { dispatcher });
    assert.deepEqual([statusCode, await body.text()], [200, '{"ready":true}']);
    const { code, signal } = await server.stop();
    assert.deepEqual([code, signal], [0, null], 'a connection that is kept alive holds nothing up');
    await dispatcher.destroy();
  });

  it('picks new files up without a restart, and keeps the old ones when the new are broken', async () => {
    const dir = scene.dir();
    const put = (leaf: Leaf): void => {
      for (const [from, to] of [
        [`${leaf}.key`, 'tls.key'],
        [`${leaf}.pem`, 'tls.crt'],
      ] as const) {
        copyFileSync(fixture(from), join(dir, 'next'));
        renameSync(join(dir, 'next'), join(dir, to));
      }
    };
    put('peer');
    const files = ['--mesh-tls-cert', join(dir, 'tls.crt'), '--mesh-tls-key', join(dir, 'tls.key'), '--mesh-tls-ca', fixture('ca.pem')];
    const [eu, us] = await Promise.all([region(files), region(meshFlags('peer'))]);
    await eu.set('k', 'v');
    assert.equal(await nameAt(eu.mesh), 'gkvmesh test peer');
    put('peer2');
    await until(async () => (await nameAt(eu.mesh)) === 'gkvmesh test peer2');
    assert.equal((await us.pull(eu.mesh)).converged, true);
    writeFileSync(join(dir, 'tls.crt'), 'broken');
    await until(() => eu.process.stderr.includes('new TLS files are wrong; the ones before stay in use'));
    assert.match(eu.process.stderr, /"level":50.*--mesh-tls-cert: .*tls\.crt holds no certificate in PEM/);
    assert.equal(await nameAt(eu.mesh), 'gkvmesh test peer2');
    assert.equal((await eu.pull(us.mesh)).converged, true);
    assert.equal(await us.read('k'), 'v');
  });

  it('check-config and serve refuse wrong files, exit 2, and check-config names the right ones', async () => {
    const wrong = ['--open', '--mesh-tls-cert', fixture('expired.pem'), ...meshFlags('peer').slice(2)];
    for (const command of ['check-config', 'serve']) {
      const { code, stderr } = await scene.run([command, ...wrong]);
      assert.equal(code, 2);
      assert.match(stderr, /^gkvmesh: bad_config: --mesh-tls-cert: .*expired\.pem holds a certificate .* that ended/m);
    }
    const { code, stdout, stderr } = await scene.run(['check-config', '--open', ...apiFlags, ...meshFlags('peer')]);
    assert.equal(code, 0, stderr);
    const { tls } = z.looseObject({ tls: z.looseObject({ mesh: z.unknown() }) }).parse(JSON.parse(stdout.toString()));
    assert.deepEqual(tls.mesh, { cert: fixture('peer.pem'), key: fixture('peer.key'), ca: fixture('ca.pem') });
  });
});
