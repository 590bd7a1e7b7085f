import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, afterEach, before, describe, it } from 'mocha';
import { limits } from '../../src/core/limits.ts';
import { refusalSuite } from '../http/refusalSuite.ts';
import { b64, errorIn, rawExchange, Scene, type Answer, type RunningServer } from './server.ts';

const key = b64('never-written');

function set(of: string): object {
  return { op: 'set', key: of, value: b64('v') };
}

function assertRefused(answer: Answer, status: number, code: string): void {
  assert.deepEqual([answer.status, errorIn(answer).code], [status, code], answer.text.slice(0, 300));
  assert.match(String(answer.headers['content-type']), /^application\/json/);
  assert.ok(errorIn(answer).message.length > 5);
  assert.ok(answer.text.length < 1_000, 'an answer does not repeat what was sent');
}

describe('bad input to a running server', () => {
  const scene = new Scene();
  let server: RunningServer;
  let sum: string;
  before(async () => {
    server = await scene.server();
    await server.set('kept', 'v');
    sum = (await server.tree()).sum;
  });
  after(() => scene.close());
  afterEach('the server lives, and nothing was written', async () => {
    assert.equal(await server.read('kept'), 'v');
    assert.equal((await server.tree()).sum, sum);
  });

  refusalSuite(() => server.api);

  it('H7: JSON nested 16,000 deep is refused, and 200,000 deep is not even read', async () => {
    const nested = (deep: number): string => `${'['.repeat(deep)}${']'.repeat(deep)}`;
    assertRefused(await server.send('POST', '/data/set', nested(16_000)), 400, 'malformed');
    assertRefused(await server.send('POST', '/data/set', nested(200_000)), 413, 'too_large');
    assertRefused(await server.send('POST', '/data/set', `{"key":${'{"a":'.repeat(16_000)}1${'}'.repeat(16_000)}}`), 400, 'malformed');
  });

  it('__proto__ and constructor are fields that are not known', async () => {
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      assertRefused(await server.send('POST', '/data/set', `{"key":"aGk=","value":"","${name}":{"delete":true}}`), 400, 'unknown_field');
    }
    assertRefused(await server.send('POST', '/data/set', '{"__proto__":{"key":"aGk=","value":"eW8="}}'), 400, 'unknown_field');
  });

  it('bytes that are no UTF-8 are refused', async () => {
    assertRefused(await server.send('POST', '/data/get', Buffer.from('7b226b6579223a22fffe227d', 'hex')), 400, 'malformed');
    assertRefused(await server.send('POST', '/data/get', Buffer.from('fffefdfc', 'hex')), 400, 'malformed');
  });

  it('a lone surrogate in a key is refused', async () => {
    assertRefused(await server.send('POST', '/data/get', '{"key":"\\ud800"}'), 400, 'malformed');
  });

  it('G8: a body whose declared length is over 4 MiB is refused before it is sent (replaced)', async () => {
    const head = `POST /data/set HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${limits.bodyBytesMax + 1}\r\n\r\n`;
    const text = await firstAnswer(server.port, head);
    assert.match(text, /^HTTP\/1\.1 413 /);
    assert.match(text, /"too_large"/);
  });

  it('G8: a body of 4 MiB and a byte in chunks is refused with 413 (replaced)', async () => {
    const chunk = `10000\r\n${' '.repeat(65_536)}\r\n`;
    const head = 'POST /data/set HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n';
    const text = await firstAnswer(server.port, `${head}${chunk.repeat(65)}`);
    assert.match(text, /^HTTP\/1\.1 413 /);
  });

  for (const [name, headers] of [
    ['a Host of another site', { host: 'evil.example' }],
    ['a Host that begins like ours', { host: 'localhost.evil.example' }],
    ['a Host that begins like an address of ours', { host: '127.0.0.1.evil.example' }],
    ['a Host of an address that is not loopback', { host: '10.0.0.1' }],
    ['an Origin of another site', { origin: 'http://evil.example' }],
    ['an Origin of another port', { origin: 'http://localhost:1' }],
    ['an Origin of null', { origin: 'null' }],
    ['Sec-Fetch-Site: cross-site', { 'sec-fetch-site': 'cross-site' }],
  ] as const) {
    it(`${name} is refused with origin_denied`, async () => {
      assertRefused(await server.post('/data/set', { key, value: '' }, headers), 403, 'origin_denied');
    });
  }

  it('a page of another port of this machine, which the browser calls same-site, is refused', async () => {
    const answer = await server.post('/data/set', { key, value: '' }, { 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'no-cors' });
    assertRefused(answer, 403, 'origin_denied');
  });

  it('a Host of ours in any spelling, and an Origin that is ours, are let in', async () => {
    for (const host of ['localhost', `127.0.0.1:${server.port}`, 'LOCALHOST:1', '[::1]:6300', '127.9.9.9']) {
      assert.equal((await server.post('/data/get', { key }, { host })).status, 200, host);
    }
    assert.equal((await server.post('/data/get', { key }, { origin: server.api })).status, 200);
  });

  it('the mesh port answers garbage frames, other paths and web pages with an error', async () => {
    const port = Number(server.mesh.split(':')[1]);
    const frame = (head: string, body: string): string =>
      `POST /exchange HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${head}Content-Length: ${body.length}\r\n\r\n${body}`;
    const type = 'Content-Type: application/octet-stream\r\n';
    for (const body of ['', 'garbage', '\0'.repeat(1_000), '\x01'.repeat(70_000)]) {
      assert.match(await rawExchange(port, [frame(type, body)], 'stay-open'), /^HTTP\/1\.1 (400|409|413|502) /);
    }
    assert.match(await rawExchange(port, [frame('', 'x')], 'stay-open'), /^HTTP\/1\.1 400 /);
    assert.match(await rawExchange(port, [frame(`${type}Origin: http://localhost\r\n`, 'x')], 'stay-open'), /^HTTP\/1\.1 403 /);
    const long = `POST /exchange HTTP/1.1\r\nHost: localhost\r\n${type}Content-Length: 99999999\r\n\r\n`;
    assert.match(await firstAnswer(port, long), /^HTTP\/1\.1 413 /);
    assert.match(await rawExchange(port, ['GET /data/get HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'], 'stay-open'), / 404 /);
  });

  it('garbage in place of HTTP is answered 400 and the connection ends', async () => {
    for (const text of [
      'garbage\r\n\r\n',
      '\x16\x03\x01\x02\x00\x01\x00',
      'GET / HTTP/9.9\r\n\r\n',
      'POST /data/get HTTP/1.1\r\nContent-Length: x\r\n\r\n',
    ]) {
      assert.match(await rawExchange(server.port, [text], 'stay-open'), /^HTTP\/1\.1 400 /, JSON.stringify(text));
    }
  });

  it('H7: headers beyond 16 KiB are answered 431, a request without Host is refused', async () => {
    const huge = `GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`;
    assert.match(await rawExchange(server.port, [huge], 'stay-open'), /^HTTP\/1\.1 431 /);
    assert.match(await rawExchange(server.port, ['GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n'], 'stay-open'), /^HTTP\/1\.1 40[03] /);
  });

  it('a length beside chunks, the stuff of smuggling, is refused', async () => {
    const text = 'POST /data/get HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n';
    assert.match(await rawExchange(server.port, [text], 'half-close'), /^HTTP\/1\.1 400 /);
  });

  it('a client that closes its half in the midst of the body leaves nothing behind', async () => {
    const text = await rawExchange(
      server.port,
      [`POST /data/set HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{"key":"${key}","value":""}`],
      'half-close',
    );
    assert.ok(text === '' || / 400 /.test(text), text);
  });

  it('a client that closes its half after its request is answered', async () => {
    const body = JSON.stringify({ key: b64('kept') });
    const text = await rawExchange(
      server.port,
      [`POST /data/get HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`],
      'half-close',
    );
    assert.match(text, /^HTTP\/1\.1 200 /);
  });

  it('a hundred clients that go away in the midst of things do no harm', async () => {
    await Promise.all(
      Array.from(
        { length: 100 },
        (_, i) =>
          new Promise<void>((resolve) => {
            const socket = connect(server.port, '127.0.0.1', () => {
              socket.write(`POST /data/list HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${i % 2 === 0 ? 2 : 50}\r\n\r\n{}`);
              socket.resetAndDestroy();
            });
            socket.on('error', () => undefined);
            socket.once('close', () => {
              resolve();
            });
          }),
      ),
    );
  });

  it('errors are not bugs: nothing of all this was logged as one', () => {
    assert.doesNotMatch(server.process.stderr, /"level":50/);
  });
});

describe('the limits of what is taken', () => {
  const scene = new Scene();
  after(() => scene.close());

  it('a key of 1,024 bytes, a value of exactly 1 MiB, a batch of 1,000 are taken', async () => {
    const server = await scene.server();
    const longest = b64(Buffer.alloc(1_024, 0xff));
    const largest = b64(Buffer.alloc(limits.valueBytesMax, 0xfe));
    assert.equal((await server.post('/data/set', { key: longest, value: largest })).status, 200);
    assert.deepEqual(
      (await server.list({ prefix: longest })).entries.map((entry) => entry.value === largest),
      [true],
    );
    const ops = Array.from({ length: 1_000 }, (_, i) => set(b64(`many${i}`)));
    assert.equal((await server.post('/data/batch', { ops })).status, 200);
    assert.equal((await server.tree()).count, 1_001);
  });
});

/** What comes back first for a request that is not complete; then it hangs up. */
function firstAnswer(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    let answered = '';
    socket.on('data', (chunk) => {
      answered += chunk.toString();
      if (answered.includes('\r\n\r\n{')) socket.destroy();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error);
    });
    socket.once('close', () => {
      resolve(answered);
    });
  });
}
