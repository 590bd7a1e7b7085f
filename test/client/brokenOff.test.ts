import assert from 'node:assert/strict';
import { createServer as createHttp } from 'node:http';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { Client, type RequestOptions } from '../../src/client/client.ts';
import { startApi } from '../http/harness.ts';

const a = Buffer.from('a');
const half = 'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{"value":"';
const unknown = { outcome: 'unknown' };

/** Sends the text, and ends the connection once it is on its way. */
const sends =
  (text: string, end: 'destroy' | 'resetAndDestroy') =>
  (socket: Socket): void => {
    socket.write(text);
    setTimeout(() => socket[end](), 20);
  };

const breaks: Readonly<Record<string, (socket: Socket) => void>> = {
  'a cut within the body': sends(half, 'destroy'),
  'a reset within the body': sends(half, 'resetAndDestroy'),
  'a cut within a chunk': sends(
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n19\r\n{"progress":{"received":1}\r\n3\r\n}\n\n\r\n',
    'destroy',
  ),
  'no HTTP within the body': sends('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\nnone\r\n', 'destroy'),
  'a cut within the body of an error': sends('HTTP/1.1 503 No\r\ncontent-length: 1000\r\n\r\n{"err', 'destroy'),
  'a cut before any answer': (socket) => socket.destroy(),
  'no HTTP at all': sends('SSH-2.0-x\r\n', 'destroy'),
};

describe('client of a server that breaks off', () => {
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  afterEach(() => {
    for (const socket of sockets) socket.destroy();
    for (const server of servers.splice(0)) server.close();
    sockets.clear();
  });

  /** Answers the first bytes of each connection so; resolves with its URL. */
  async function answering(answer: (socket: Socket) => void): Promise<string> {
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('data', () => {
        answer(socket);
      });
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`; // it listens on TCP
  }

  const reads: Readonly<Record<string, (client: Client) => Promise<unknown>>> = {
    get: (client) => client.get(a),
    text: (client) => client.text('/metrics'),
  };
  const writes: typeof reads = {
    set: (client) => client.set(a, a),
    batch: (client) => client.batch([{ op: 'delete', key: 'YQ==' }]),
    post: (client) => client.post('/control/members/remove', {}),
    pull: (client) => client.pull({ peer: 'a:1' }, () => undefined),
  };
  async function fails(client: Client, what: string): Promise<void> {
    for (const [asks, details] of [
      [reads, {}],
      [writes, unknown],
    ] as const)
      for (const [name, ask] of Object.entries(asks))
        await assert.rejects(ask(client), { name: 'GkvError', code: 'unavailable', details }, `${what}: ${name}`);
  }

  async function read(client: Client, options?: RequestOptions): Promise<void> {
    for await (const piece of await client.stream('/control/backup', {}, options)) assert.ok(piece.length > 0);
  }

  it('every failure is unavailable, and tells of a write that its outcome is unknown', async () => {
    for (const [what, answer] of Object.entries(breaks)) {
      await using client = new Client(await answering(answer));
      await fails(client, what);
      await assert.rejects(read(client), { name: 'GkvError', code: 'unavailable', details: {} }, what);
    }
  });

  it('what another answers in its place leaves the outcome unknown too', async () => {
    const gateway = 'HTTP/1.1 502 Bad Gateway\r\ncontent-length: 6\r\n\r\n<html>';
    const moved = 'HTTP/1.1 301 Moved\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n';
    for (const text of [gateway, moved, 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}']) {
      await using client = new Client(await answering(sends(text, 'destroy')));
      await assert.rejects(client.set(a, a), { name: 'GkvError', code: 'unavailable', details: unknown });
      await assert.rejects(client.get(a), { name: 'GkvError', code: 'unavailable', details: {} });
    }
    for (const line of ['', '[]', '{}', '{"progress":1}', '{"report":1}', '{"error":1}']) {
      const url = await answering(sends(`HTTP/1.1 200 OK\r\ncontent-length: ${line.length + 1}\r\n\r\n${line}\n`, 'destroy'));
      await using client = new Client(url);
      const pull = client.pull({ peer: 'a:1' }, () => undefined);
      await assert.rejects(pull, { name: 'GkvError', code: 'unavailable', details: unknown }, line);
    }
  });

  it('a signal ends what is under way', async () => {
    const url = await answering((socket) => socket.write(half));
    await using client = new Client(url);
    const signal = AbortSignal.timeout(50);
    for (const [ask, details] of [
      [client.json('/x', { signal }), {}],
      [client.text('/x', { signal }), {}],
      [client.post('/x', {}, { signal }), unknown],
      [client.pull({}, () => undefined, { signal }), unknown],
      [client.entries({}, { signal }).next(), {}],
      [read(client, { signal }), {}],
    ] as const)
      await assert.rejects(ask, { name: 'GkvError', code: 'unavailable', details, message: /signal/ });
  });

  it('who disposes of it ends what is under way, within the answer and before it', async () => {
    for (const text of ['', half]) {
      const url = await answering((socket) => {
        socket.write(text);
        setTimeout(() => void client[Symbol.asyncDispose](), 20);
      });
      await using client = new Client(url);
      await assert.rejects(client.set(a, a), { name: 'GkvError', code: 'unavailable', details: unknown });
    }
  });

  it('a signal ends what is under way, within the answer and before it', async () => {
    for (const text of ['', half]) {
      await using client = new Client(await answering((socket) => socket.write(text)));
      const failure = { name: 'GkvError', code: 'unavailable', message: /the signal/ };
      await assert.rejects(client.set(a, a, { signal: AbortSignal.timeout(50) }), { ...failure, details: unknown });
      await assert.rejects(client.get(a, { signal: AbortSignal.timeout(50) }), { ...failure, details: {} });
    }
  });

  it('of what was not sent the outcome is known', async () => {
    const url = await answering(() => undefined);
    servers[0]?.close();
    await using gone = new Client(url);
    for (const write of Object.values(writes)) await assert.rejects(write(gone), { code: 'unavailable', details: {} });
    await using api = await startApi();
    const client = new Client(api.url);
    await client[Symbol.asyncDispose]();
    for (const write of Object.values(writes)) await assert.rejects(write(client), { name: 'GkvError', code: 'unavailable', details: {} });
  });

  it('an answer longer than any is not read to its end; a stream may be of any length', async () => {
    const piece = `100000\r\n${' '.repeat(1_048_576)}\r\n`;
    const url = await answering((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
      for (let i = 0; i < 20; i += 1) socket.write(piece);
      socket.end('0\r\n\r\n');
    });
    await using client = new Client(url);
    for (const ask of [...Object.values(reads), ...Object.values(writes)])
      await assert.rejects(ask(client), { name: 'GkvError', code: 'unavailable', message: /longer than 16777216 bytes/ });
    let bytes = 0;
    for await (const { length } of await client.stream('/control/backup', {})) bytes += length;
    assert.equal(bytes, 20 * 1_048_576);
  });
});

describe('client of a server that is asked much', () => {
  it('opens 64 connections at the most', async () => {
    let connections = 0;
    await using api = createHttp((_request, response) => response.end('{"value":"","exists":false,"version":null}'));
    api.on('connection', () => (connections += 1));
    await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
    await using client = new Client(`http://127.0.0.1:${(api.address() as AddressInfo).port}`); // it listens on TCP
    await Promise.all(Array.from({ length: 300 }, () => client.get(a)));
    assert.equal(connections, 64);
  });
});
