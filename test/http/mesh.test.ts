import assert from 'node:assert/strict';
import { describe } from 'mocha';
import { request } from 'undici';
import { frameBytesMax } from '../../src/aae/frame.ts';
import { GkvError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/ports.ts';
import { type HostRule } from '../../src/http/gate.ts';
import { createMeshApp } from '../../src/http/mesh.ts';
import { type Answer } from '../../src/http/shell.ts';
import { type FrameResponder } from '../../src/http/ports.ts';
import { envelopeBytes } from '../../src/mesh/session.ts';
import { listen, type Listener } from '../../src/server/listen.ts';
import { realClock } from '../../src/server/real.ts';

const octets = { 'content-type': 'application/octet-stream' };

function startMesh(
  responder: FrameResponder,
  kind: HostRule['kind'] = 'loopback',
  observe: (answer: Answer) => void = () => undefined,
  session?: FrameResponder,
): Promise<Listener> {
  const { signal } = new AbortController();
  const rest = { clock: realClock, log: silentLog, requestIdPrefix: 'm', bodyArrivalMsMax: 5_000, signal };
  const app = createMeshApp({ responder, feed: echo, identity: echo, session, hosts: { kind, names: [] }, observe, ...rest });
  return listen(app.callback(), { host: '127.0.0.1', port: 0 });
}

const echo: FrameResponder = { answer: (frame) => Promise.resolve(Uint8Array.from(frame).reverse()) };

async function exchange(
  mesh: Listener,
  body: Uint8Array,
  headers: Record<string, string> = octets,
): Promise<{ status: number; bytes: Buffer }> {
  const answer = await request(`http://${mesh.address}/exchange`, { method: 'POST', body, headers });
  return { status: answer.statusCode, bytes: Buffer.from(await answer.body.arrayBuffer()) };
}

describe('mesh port', () => {
  it('hands frames over and answers with frames', async () => {
    await using mesh = await startMesh(echo);
    const { status, bytes } = await exchange(mesh, Buffer.from([1, 2, 255]));
    assert.deepEqual([status, [...bytes]], [200, [255, 2, 1]]);
  });

  it('takes frames up to the limit and none beyond', async () => {
    await using mesh = await startMesh(echo);
    assert.equal((await exchange(mesh, Buffer.alloc(frameBytesMax))).status, 200);
    assert.equal((await exchange(mesh, Buffer.alloc(frameBytesMax + 1))).status, 413);
  });

  it('M33: proofs have a path in a granted mesh alone, where frames take what goes under a session too', async () => {
    await using open = await startMesh(echo);
    await using granted = await startMesh(echo, 'loopback', undefined, echo);
    const session = ({ address }: Listener): Promise<{ statusCode: number }> =>
      request(`http://${address}/session`, { method: 'POST', body: Buffer.from('x'), headers: octets });
    assert.deepEqual([(await session(open)).statusCode, (await session(granted)).statusCode], [404, 200]);
    assert.equal((await exchange(granted, Buffer.alloc(frameBytesMax + envelopeBytes))).status, 200);
    assert.equal((await exchange(granted, Buffer.alloc(frameBytesMax + envelopeBytes + 1))).status, 413);
  });

  it('answers a failure with its status and code', async () => {
    await using mesh = await startMesh({ answer: () => Promise.reject(new GkvError('mesh_mismatch', 'another mesh')) });
    const { status, bytes } = await exchange(mesh, Buffer.from('x'));
    assert.equal(status, 409);
    assert.deepEqual(JSON.parse(bytes.toString()), { error: { code: 'mesh_mismatch', message: 'another mesh' } });
  });

  it('I9: every answer is told with its route, and a refused frame with its code', async () => {
    const told: string[] = [];
    const answers = [Promise.reject(new GkvError('mesh_mismatch', 'another mesh')), Promise.resolve(new Uint8Array(1))];
    answers[0]?.catch(() => undefined);
    const responder: FrameResponder = { answer: () => answers.shift() ?? Promise.reject(new Error('a fault of ours')) };
    await using mesh = await startMesh(responder, 'loopback', ({ route, code }) => told.push(`${route} ${code ?? 'ok'}`));
    for (let i = 0; i < 3; i += 1) await exchange(mesh, Buffer.from('x'));
    await exchange(mesh, Buffer.alloc(frameBytesMax + 1));
    await request(`http://${mesh.address}/elsewhere/${'x'.repeat(100)}`);
    assert.deepEqual(told, ['/exchange mesh_mismatch', '/exchange ok', '/exchange internal', '/exchange too_large', 'other unknown_path']);
  });

  it('H9: may be called by any name beyond loopback, but still not by web pages', async () => {
    await using mesh = await startMesh(echo, 'any-ip');
    assert.equal((await exchange(mesh, Buffer.from('x'), { ...octets, host: 'eu:6200' })).status, 200);
    assert.equal((await exchange(mesh, Buffer.from('x'), { ...octets, host: 'eu:6200', origin: 'http://eu:6200' })).status, 403);
  });

  it('serves no web page, no other type and no other path', async () => {
    await using mesh = await startMesh(echo);
    assert.equal((await exchange(mesh, Buffer.from('x'), { ...octets, origin: `http://${mesh.address}` })).status, 403);
    assert.equal((await exchange(mesh, Buffer.from('x'), { ...octets, host: 'example.org' })).status, 403);
    assert.equal((await exchange(mesh, Buffer.from('x'), { 'content-type': 'text/plain' })).status, 400);
    const { statusCode, body } = await request(`http://${mesh.address}/data/get`, { method: 'POST' });
    assert.equal(statusCode, 404);
    assert.match(await body.text(), /this is a mesh port, for other regions: clients call the API’s/);
    assert.equal((await request(`http://${mesh.address}/exchange`)).statusCode, 405);
  });
});
