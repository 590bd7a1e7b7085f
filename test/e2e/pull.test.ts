import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, beforeEach, describe, it } from 'mocha';
import * as z from 'zod';
import { frameBytesMax } from '../../src/aae/frame.ts';
import { pullAnswer } from '../../src/http/schema.ts';
import { until } from '../support.ts';
import { b64, errorIn, Scene, type RunningServer } from './server.ts';

let scene = new Scene();
afterEach(async () => {
  await scene.close();
  scene = new Scene();
});

async function pair(): Promise<[RunningServer, RunningServer]> {
  return Promise.all([scene.server(), scene.server()]);
}

async function assertLevel(...servers: readonly RunningServer[]): Promise<void> {
  const trees = await Promise.all(servers.map((server) => server.tree()));
  assert.equal(new Set(trees.map(({ sum, count, bytes }) => `${sum} ${count} ${bytes}`)).size, 1);
}

describe('a pull between two servers', () => {
  after(() => scene.close());

  it('G11: an empty server gets everything, and the report says what was done', async () => {
    const [eu, us] = await pair();
    await eu.fill('k/', 2_000);
    await eu.post('/data/set', { key: b64('k/00007'), delete: true });
    const report = await us.pull(eu.mesh);
    const { received, sent, applied, parked, converged, roundTrips, bytesIn, bytesOut, durationMs } = report;
    assert.deepEqual(
      { received, sent, applied, parked, converged },
      { received: 2_000, sent: 0, applied: 2_000, parked: 0, converged: true },
    );
    assert.ok(roundTrips >= 1 && durationMs >= 0 && bytesOut > 0);
    assert.ok(bytesIn > 2_000 * 16, 'bytes count the bodies');
    await assertLevel(eu, us);
    assert.deepEqual([await us.read('k/00042'), await us.read('k/00007')], ['xk/00042', undefined]);
  });

  it('brings both level when each has what the other lacks, and the greater version of a key wins in both', async () => {
    const [eu, us] = await pair();
    await eu.fill('k/', 1_000);
    await us.pull(eu.mesh);
    await eu.set('both', 'older');
    await eu.fill('eu/', 100);
    await us.fill('us/', 100);
    await us.set('both', 'newer');
    await us.post('/data/set', { key: b64('k/00001'), delete: true });
    const report = await us.pull(eu.mesh);
    assert.equal(report.converged, true);
    assert.deepEqual([report.sent >= 102, report.received >= 100], [true, true]);
    await assertLevel(eu, us);
    assert.deepEqual(await Promise.all([eu, us].map((server) => server.read('both'))), ['newer', 'newer']);
    assert.equal(await eu.read('k/00001'), undefined);
    assert.deepEqual([await eu.read('us/00099'), await us.read('eu/00099')], ['xus/00099', 'xeu/00099']);
  });

  it('between equals is one round trip of at most 1 KB, and moves nothing', async () => {
    const [eu, us] = await pair();
    await eu.fill('k/', 1_500);
    await us.pull(eu.mesh);
    const { roundTrips, bytesIn, bytesOut, received, sent, converged } = await us.pull(eu.mesh);
    assert.deepEqual({ roundTrips, received, sent, converged }, { roundTrips: 1, received: 0, sent: 0, converged: true });
    assert.ok(bytesIn + bytesOut <= 1_024, `${bytesIn + bytesOut} bytes`);
  });

  it('in the direction `pull` sends nothing', async () => {
    const [eu, us] = await pair();
    await eu.fill('eu/', 50);
    await us.fill('us/', 50);
    const { sent, received, converged } = await us.pull(eu.mesh, { direction: 'pull' });
    assert.deepEqual({ sent, received, converged }, { sent: 0, received: 50, converged: false });
    assert.equal((await us.tree()).count, 100);
    assert.equal((await eu.tree()).count, 50);
  });

  it('of a prefix, or of a range, touches nothing else', async () => {
    const [eu, us] = await pair();
    for (const prefix of ['a/', 'b/', 'c/']) await eu.fill(prefix, 50);
    assert.deepEqual(await us.pull(eu.mesh, { prefix: b64('b/') }).then((report) => [report.received, report.converged]), [50, true]);
    assert.deepEqual([await us.read('a/00001'), await us.read('b/00001'), await us.read('c/00001')], [undefined, 'xb/00001', undefined]);
    const range = { start: b64('a/00010'), end: b64('a/00020') };
    assert.equal((await us.pull(eu.mesh, range)).received, 10);
    assert.equal((await us.tree()).count, 60);
  });

  it('of large values, of empty ones and of keys of any bytes comes through', async () => {
    const [eu, us] = await pair();
    const value = b64(Buffer.alloc(1_048_576, 0xa5));
    for (let i = 0; i < 4; i += 1) await eu.post('/data/set', { key: b64(Buffer.from([0xff, 0, i])), value });
    await eu.post('/data/set', { key: b64(Buffer.alloc(1_024, 0)), value: '' });
    assert.equal((await us.pull(eu.mesh)).converged, true);
    await assertLevel(eu, us);
    const found = await us.post('/data/get', { key: b64(Buffer.from([0xff, 0, 3])) });
    assert.equal(z.object({ value: z.string() }).parse(found.json).value, value);
  });

  it('while both are written to keeps what was acknowledged, and one more brings them level', async () => {
    const [eu, us] = await pair();
    await eu.fill('k/', 3_000);
    let pulling = true;
    const write = async (server: RunningServer, name: string): Promise<number> => {
      let count = 0;
      for (; pulling; count += 1) await server.set(`${name}/${count}`, 'v');
      return count;
    };
    const writing = Promise.all([write(eu, 'eu'), write(us, 'us')]);
    await us.pull(eu.mesh);
    pulling = false;
    const [byEu, byUs] = await writing;
    assert.equal((await us.pull(eu.mesh)).converged, true);
    await assertLevel(eu, us);
    assert.equal((await us.tree()).count, 3_000 + byEu + byUs);
  });

  it('tells of its progress in lines of JSON, the last of them with the report', async () => {
    const [eu, us] = await pair();
    await eu.fill('k/', 5_000, 'x'.repeat(300));
    const answer = await us.post('/control/aae/pull', { peer: eu.mesh }, { accept: 'application/x-ndjson' });
    assert.equal(answer.status, 200);
    assert.match(String(answer.headers['content-type']), /^application\/x-ndjson/);
    const lines = answer.text.trim().split('\n');
    const last = z.strictObject({ report: pullAnswer }).parse(JSON.parse(lines.pop() ?? ''));
    assert.deepEqual([last.report.received, last.report.converged], [5_000, true]);
    assert.ok(lines.length >= 1);
    let before = 0;
    for (const line of lines) {
      const { progress } = z.strictObject({ progress: pullAnswer }).parse(JSON.parse(line));
      assert.ok(progress.received >= before);
      before = progress.received;
    }
  });

  it('is counted in the metrics, with its outcome', async () => {
    const [eu, us] = await pair();
    await eu.set('k', 'v');
    await us.pull(eu.mesh);
    await us.post('/control/aae/pull', { peer: '127.0.0.1:1' });
    const { text } = await us.get('/metrics');
    assert.match(text, /^gkvmesh_exchanges_total\{outcome="converged"\} 1$/m);
    assert.match(text, /^gkvmesh_exchanges_total\{outcome="peer_unreachable"\} 1$/m);
  });

  it('M36: from itself is refused, and no harm', async () => {
    const server = await scene.server();
    await server.fill('k/', 10);
    const { status, json } = await server.post('/control/aae/pull', { peer: server.mesh });
    assert.deepEqual([status, (json as { error: { code: string } }).error.code], [502, 'wrong_peer']);
    assert.equal((await server.tree()).count, 10);
  });
});

describe('a pull that is cut off', () => {
  after(() => scene.close());

  it('by kill -9 of the puller converges when it is run again', async () => {
    const [eu, us] = await pair();
    await eu.fill('k/', 20_000, 'x'.repeat(200));
    const pulling = us.post('/control/aae/pull', { peer: eu.mesh }).catch(() => undefined);
    await until(async () => (await us.tree()).count > 500);
    await us.crash();
    assert.equal(await pulling, undefined);
    const again = await scene.server(us.data);
    const { count } = await again.tree();
    assert.ok(count >= 500 && count < 20_000, `it died midway, at ${count}`);
    assert.equal((await again.pull(eu.mesh)).converged, true);
    await assertLevel(eu, again);
    assert.equal(await again.read('k/12345'), await eu.read('k/12345'));
  });

  it('by kill -9 of the donor is 502 peer_unreachable, keeps what came, and converges when it is run again', async () => {
    const [eu, us] = await pair();
    await eu.fill('k/', 20_000, 'x'.repeat(200));
    const pulling = us.post('/control/aae/pull', { peer: eu.mesh });
    await until(async () => (await us.tree()).count > 500);
    await eu.crash();
    const answer = await pulling;
    assert.deepEqual([answer.status, errorIn(answer).code], [502, 'peer_unreachable'], answer.text);
    const again = await scene.server(eu.data);
    const { count } = await us.tree();
    assert.ok(count >= 500 && count < 20_000, `it died midway, at ${count}`);
    const report = await us.pull(again.mesh);
    assert.deepEqual([report.converged, report.received], [true, 20_000 - count]);
    await assertLevel(again, us);
  });

  it('by a client that hangs up ends, and the server goes on', async () => {
    const [eu, us] = await pair();
    await eu.fill('k/', 5_000);
    let asked = false;
    const port = await scene.listener(() => (asked = true));
    const body = JSON.stringify({ peer: `127.0.0.1:${port}` });
    const client = connect(us.port, '127.0.0.1');
    client.write(`POST /control/aae/pull HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    await until(() => asked);
    client.resetAndDestroy();
    await until(async () => / 1$/m.test(/^gkvmesh_exchanges_total\{.*$/m.exec((await us.get('/metrics')).text)?.[0] ?? ''));
    assert.equal((await us.pull(eu.mesh)).converged, true);
  });

  it('by SIGTERM ends at once, and the server exits 0', async () => {
    const us = await scene.server();
    let asked = false;
    const port = await scene.listener(() => (asked = true));
    const pulling = us.post('/control/aae/pull', { peer: `127.0.0.1:${port}` }).catch(() => undefined);
    await until(() => asked);
    const signalledMs = performance.now();
    assert.equal((await us.stop()).code, 0);
    assert.ok(performance.now() - signalledMs < 5_000);
    const answer = await pulling;
    assert.ok(answer === undefined || answer.status === 503, answer?.text);
  });
});

describe('a peer that is no good', () => {
  let us: RunningServer;
  async function refusal(peer: string): Promise<[number, string]> {
    const answer = await us.post('/control/aae/pull', { peer });
    return [answer.status, errorIn(answer).code];
  }
  beforeEach(async () => {
    us = await scene.server();
    await us.set('kept', 'v');
  });
  after(() => scene.close());

  it('that is down, or whose name is not known, is 502 peer_unreachable', async () => {
    const port = await scene.listener(() => undefined);
    await scene.close();
    us = await scene.server();
    assert.deepEqual(await refusal(`127.0.0.1:${port}`), [502, 'peer_unreachable']);
    assert.deepEqual(await refusal('no-such-host.invalid:6200'), [502, 'peer_unreachable']);
  });

  it('that hangs up at once, or midway in its answer, is 502 peer_unreachable or peer_protocol', async () => {
    const atOnce = await scene.listener((socket) => socket.destroy());
    assert.deepEqual(await refusal(`127.0.0.1:${atOnce}`), [502, 'peer_unreachable']);
    const midway = await scene.listener((socket) =>
      socket.once('data', () =>
        socket.end('HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000\r\n\r\nhalf'),
      ),
    );
    const [status, code] = await refusal(`127.0.0.1:${midway}`);
    assert.equal(status, 502);
    assert.match(code, /^peer_(unreachable|protocol)$/);
  });

  it('that speaks garbage is 502 peer_protocol', async () => {
    const port = await scene.listener((socket) => socket.once('data', () => socket.end('SSH-2.0-OpenSSH_9.2\r\n')));
    assert.deepEqual(await refusal(`127.0.0.1:${port}`), [502, 'peer_protocol']);
  });

  for (const [name, body] of [
    ['an empty frame', Buffer.alloc(0)],
    ['a frame of zeros', Buffer.alloc(500)],
    ['a frame of noise', Buffer.from(Array.from({ length: 5_000 }, (_, i) => (i * 197) % 256))],
    ['a frame over the limit', Buffer.alloc(frameBytesMax + 1)],
    ['HTML', Buffer.from('<html>It works!</html>')],
  ] as const) {
    it(`that answers ${name} is 502 peer_protocol`, async () => {
      const head = `HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: ${body.length}\r\n\r\n`;
      const port = await scene.listener((socket) => socket.once('data', () => socket.end(Buffer.concat([Buffer.from(head), body]))));
      assert.deepEqual(await refusal(`127.0.0.1:${port}`), [502, 'peer_protocol']);
    });
  }

  it('that is another web server, or our own API port, is 502 peer_protocol and says so', async () => {
    const web = createServer((_, response) => response.writeHead(404).end('<html>not found</html>'));
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    const { port } = web.address() as AddressInfo; // it listens on TCP: the address is no string
    assert.deepEqual(await refusal(`127.0.0.1:${port}`), [502, 'peer_protocol']);
    web.closeAllConnections();
    web.close();
    assert.deepEqual(await refusal(`127.0.0.1:${us.port}`), [502, 'peer_protocol']);
  });

  it('of another mesh id, or with another mesh key, is 409 mesh_mismatch, and neither takes anything', async () => {
    const key = join(scene.dir(), 'key');
    writeFileSync(key, '5a'.repeat(32));
    for (const flags of [
      ['--mesh-id', 'ab'.repeat(32)],
      ['--mesh-key', key],
    ]) {
      const other = await scene.server(undefined, flags);
      await other.set('theirs', 'v');
      assert.deepEqual(await refusal(other.mesh), [409, 'mesh_mismatch'], flags[0]);
      const back = await other.post('/control/aae/pull', { peer: us.mesh });
      assert.deepEqual([back.status, errorIn(back).code], [409, 'mesh_mismatch']);
      assert.deepEqual([(await us.tree()).count, (await other.tree()).count], [1, 1]);
    }
  });

  it('of another protocol version is 502 peer_protocol, which names both versions', async () => {
    const body = Buffer.concat([Buffer.alloc(16, 1), Buffer.from([0x83, 2, 0x40, 0x40])]);
    const head = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`;
    const port = await scene.listener((socket) => socket.once('data', () => socket.end(Buffer.concat([Buffer.from(head), body]))));
    const answer = await us.post('/control/aae/pull', { peer: `127.0.0.1:${port}` });
    assert.deepEqual([answer.status, errorIn(answer).code], [502, 'peer_protocol']);
    assert.match(errorIn(answer).message, /version 2.* 1$/);
  });
});
