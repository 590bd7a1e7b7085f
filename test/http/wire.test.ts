import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe } from 'mocha';
import { request } from 'undici';
import { b64, codeOf, post, raw, send, startApi } from './harness.ts';
import { GkvError } from '../../src/core/errors.ts';
import { TestClock, until } from '../support.ts';

const getHi = '{"key":"aGk="}';
const head = (lines: readonly string[]): string => `${['POST /data/get HTTP/1.1', 'Host: localhost', ...lines].join('\r\n')}\r\n\r\n`;
const quick = { requestMsMax: 400, drainMsMax: 5_000 };

/** The parts of a raw answer. */
function parted(text: string): { status: number; json: Record<string, unknown>; head: string } {
  const [headers = '', body = ''] = text.split('\r\n\r\n', 2);
  return { status: Number(headers.split(' ')[1]), json: JSON.parse(body) as Record<string, unknown>, head: headers };
}

describe('HTTP API on the wire', () => {
  it('G8: H1: requests that come at once on one connection are answered in order', async () => {
    await using api = await startApi();
    const one = head([`Content-Length: ${getHi.length}`]) + getHi;
    const text = await raw(api.address, `${one}${one}GET /cluster_id HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    assert.equal(text.match(/HTTP\/1\.1 200 /g)?.length, 3);
  });

  it('I9: H5: large answers that nobody takes have a bound; what was taken makes room', async () => {
    await using api = await startApi({ unsentBytesMax: 1_000_000 });
    await post(`${api.url}/data/set`, { key: 'aGk=', value: Buffer.alloc(450_000).toString('base64') });
    for (let n = 0; n < 3; n += 1) assert.equal((await post(`${api.url}/data/get`, getHi)).status, 200);
    await post(`${api.url}/data/set`, { key: 'aGk=', value: Buffer.alloc(800_000).toString('base64') });
    const { status, json, headers } = await post(`${api.url}/data/get`, getHi);
    assert.deepEqual([status, codeOf(json), headers['retry-after']], [503, 'unavailable', '1']);
    assert.equal((await post(`${api.url}/data/get`, { key: 'aG8=' })).status, 200);
  });

  it('I9: H5: who leaves before a large answer is made takes no room', async () => {
    await using api = await startApi({ unsentBytesMax: 1_000_000 });
    await post(`${api.url}/data/set`, { key: 'aGk=', value: Buffer.alloc(450_000).toString('base64') });
    const { value } = (await post(`${api.url}/data/get`, getHi)).json;
    for (let n = 0; n < 3; n += 1) {
      let open = (): void => undefined;
      const gate = new Promise<void>((resolve) => (open = resolve));
      const [get, asked] = [api.store.get.bind(api.store), { count: 0 }];
      api.store.get = async (key) => {
        asked.count += 1;
        await gate;
        return get(key);
      };
      const [host = '', port = ''] = api.address.split(':');
      const socket = connect(Number(port), host);
      socket.write(head([`Content-Length: ${getHi.length}`]) + getHi);
      await until(() => asked.count === 1);
      socket.resetAndDestroy();
      await new Promise((resolve) => setTimeout(resolve, 50)); // until the server has seen it
      open();
      api.store.get = get;
    }
    const { status, json } = await post(`${api.url}/data/get`, getHi);
    assert.deepEqual([status, json['value'] === value], [200, true]);
  });

  it('I9: H7: bodies that arrive have a bound in all; small ones come all the same, and what has come makes room', async () => {
    await using api = await startApi({ arrivingBytesMax: 1_000_000 });
    const large = { key: 'aGk=', value: Buffer.alloc(450_000).toString('base64') };
    for (let n = 0; n < 3; n += 1) assert.equal((await post(`${api.url}/data/set`, large)).status, 200);
    const [host = '', port = ''] = api.address.split(':');
    const socket = connect(Number(port), host);
    socket.write(head(['Content-Length: 900000']) + 'x'.repeat(800_000));
    await until(async () => (await post(`${api.url}/data/set`, large)).status === 503);
    const { status, json, headers } = await post(`${api.url}/data/set`, large);
    assert.deepEqual([status, codeOf(json), headers['retry-after'], headers['connection']], [503, 'unavailable', '1', 'close']);
    assert.equal((await post(`${api.url}/data/get`, getHi)).status, 200);
    socket.destroy();
    await until(async () => (await post(`${api.url}/data/set`, large)).status === 200);
  });

  it('I9: B7: so many backups are made at a time, whoever reads them; one that ends makes room', async () => {
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) yield await Promise.resolve(Buffer.alloc(1_000_000));
    }
    await using api = await startApi({ backups: { open: endless } });
    const ask = (): ReturnType<typeof request> => request(`${api.url}/control/backup`, { method: 'POST', body: '{}' });
    const unread = await Promise.all(Array.from({ length: 16 }, ask));
    assert.deepEqual([...new Set(unread.map(({ statusCode }) => statusCode))], [200]);
    const { status, json, headers } = await post(`${api.url}/control/backup`, {});
    assert.deepEqual([status, codeOf(json), headers['retry-after']], [503, 'unavailable', '1']);
    for (const { body } of unread) body.on('error', () => undefined);
    unread[0]?.body.destroy();
    await until(async () => {
      const { statusCode, body } = await ask();
      body.on('error', () => undefined).destroy();
      return statusCode === 200;
    });
    for (const { body } of unread) body.destroy();
  });

  it('G8: H7: Expect: 100-continue is told to go on', async () => {
    await using api = await startApi();
    const text = await raw(
      api.address,
      `${head([`Content-Length: ${getHi.length}`, 'Expect: 100-continue', 'Connection: close'])}${getHi}`,
    );
    assert.match(text, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
  });

  it('G8: H7: Expect: 100-continue with too long a body is told 413 at once', async () => {
    await using api = await startApi();
    const text = await raw(api.address, head(['Content-Length: 4194305', 'Expect: 100-continue', 'Connection: close']));
    assert.deepEqual([parted(text).status, codeOf(parted(text).json)], [413, 'too_large']);
  });

  it('G8: H7: a chunked body over 4 MiB is 413', async () => {
    await using api = await startApi();
    const chunk = `100000\r\n${'A'.repeat(1_048_576)}\r\n`;
    const text = await raw(
      api.address,
      `${head(['Transfer-Encoding: chunked', 'Connection: close'])}${chunk.repeat(4)}1\r\nA\r\n0\r\n\r\n`,
    );
    assert.deepEqual([parted(text).status, codeOf(parted(text).json)], [413, 'too_large']);
  });

  it('H7: a body that does not arrive is 408 slow_body, and its connection ends', async () => {
    await using api = await startApi({ bodyArrivalMsMax: 100 });
    const text = await raw(api.address, `${head(['Content-Length: 100'])}{"key"`);
    const { status, json, head: headers } = parted(text);
    assert.deepEqual([status, codeOf(json)], [408, 'slow_body']);
    assert.match(headers, /Connection: close/);
    assert.equal((await post(`${api.url}/data/get`, getHi)).status, 200);
  });

  it('H7: headers that do not arrive are 408 slow_body', async () => {
    await using api = await startApi({}, quick);
    const text = await raw(api.address, 'POST /data/get HTTP/1.1\r\nHost: local');
    assert.deepEqual([parted(text).status, codeOf(parted(text).json)], [408, 'slow_body']);
  });

  it('a client that closes its half after the request is answered', async () => {
    await using api = await startApi();
    let open = (): void => undefined;
    api.store.gate = new Promise((resolve) => (open = resolve));
    const body = `{"key":"aGk=","value":"eW8="}`;
    const answer = raw(
      api.address,
      `POST /data/set HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      'half-close',
    );
    await until(() => api.store.writes === 1);
    open();
    assert.match(await answer, /^HTTP\/1\.1 200 OK\r\n/);
  });

  it('a client that closes its half within the body writes nothing, and the server goes on', async () => {
    await using api = await startApi();
    const text = await raw(
      api.address,
      'POST /data/set HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"key":"aGk=","value"',
      'half-close',
    );
    assert.match(text, /^HTTP\/1\.1 400 Bad Request\r\n/);
    assert.equal(api.store.writes, 0);
    assert.equal((await post(`${api.url}/data/get`, getHi)).status, 200);
  });

  const shaped: readonly [what: string, text: string, status: number, code: string][] = [
    ['no HTTP at all', '\u0000\u0001garbage\r\n\r\n', 400, 'malformed'],
    ['no Host', 'GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n', 400, 'malformed'],
    ['headers without end', `GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'too_large'],
    ['an unknown expectation', head(['Expect: tea', 'Content-Length: 5']), 417, 'malformed'],
  ];
  for (const [what, text, status, code] of shaped) {
    it(`H8: a request with ${what} has an error of the one shape, by its code`, async () => {
      await using api = await startApi();
      const answer = await raw(api.address, text);
      const { json, head: headers } = parted(answer);
      assert.deepEqual([parted(answer).status, codeOf(json)], [status, code]);
      assert.match(headers, /^Content-Type: application\/json/im);
      assert.match(headers, /^Connection: close/im);
    });
  }

  const garbage: readonly [what: string, text: string, status: RegExp][] = [
    ['no HTTP at all', '\u0000\u0001garbage\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['no Host', 'GET /livez HTTP/1.1\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['a bad header', 'GET /livez HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n', /^HTTP\/1\.1 400 /],
    ['headers without end', `GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, /^HTTP\/1\.1 431 /],
    ['a bad length', head(['Content-Length: -5']), /^HTTP\/1\.1 400 /],
    ['two lengths', head(['Content-Length: 5', 'Content-Length: 6']), /^HTTP\/1\.1 400 /],
    ['an address that is none', 'GET http://[::/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', /^HTTP\/1\.1 (400|404) /],
    ['CONNECT', 'CONNECT example.org:80 HTTP/1.1\r\nHost: localhost\r\n\r\n', /^$/],
    ['an unknown expectation', head(['Expect: tea', 'Content-Length: 0', 'Connection: close']), /^HTTP\/1\.1 417 /],
  ];
  for (const [what, text, status] of garbage) {
    it(`G7: a request with ${what} is refused, and the server goes on`, async () => {
      await using api = await startApi();
      assert.match(await raw(api.address, text), status);
      assert.equal((await post(`${api.url}/data/get`, getHi)).status, 200);
    });
  }

  it('G7: H8: H11: what fails in us is 500 without its insides; the log has them under the request id', async () => {
    await using api = await startApi();
    api.store.failure = new Error('secret /path of ours');
    const { status, text, headers } = await send(`${api.url}/data/get`, 'POST', getHi);
    assert.equal(status, 500);
    assert.equal(codeOf(JSON.parse(text) as Record<string, unknown>), 'internal');
    assert.doesNotMatch(text, /secret/);
    const line = api.lines.find(({ level }) => level === 'error');
    assert.equal((line?.fields as { requestId: string }).requestId, headers['x-request-id']);
  });

  it('nothing of a request that succeeds or is refused is logged above debug', async () => {
    await using api = await startApi();
    await post(`${api.url}/data/set`, { key: b64('k'), value: '' });
    await post(`${api.url}/data/set`, {});
    assert.deepEqual(
      api.lines.filter(({ level }) => level !== 'debug'),
      [],
    );
  });

  it('probes are 503 unavailable when the instance is not well', async () => {
    await using api = await startApi({ health: { live: () => false, unready: () => 'it is asleep', ended: () => undefined } });
    for (const path of ['/livez', '/readyz']) assert.equal((await send(`${api.url}${path}`, 'GET')).status, 503);
  });

  it('H13: writes that would reach nobody are 409 must_bootstrap, in whatever form, and reads go on', async () => {
    const why = new GkvError('must_bootstrap', 'it was removed');
    await using api = await startApi({ health: { live: () => true, unready: () => undefined, ended: () => why } });
    const key = b64('k');
    for (const [path, body] of [
      ['/data/set', { key, value: '' }],
      ['/data/batch', { ops: [{ op: 'delete', key }] }],
      ['/data/batch', { ops: [] }],
    ] as const) {
      const { status, json } = await post(`${api.url}${path}`, body);
      assert.deepEqual([status, codeOf(json)], [409, 'must_bootstrap'], path);
    }
    assert.equal(api.store.held.size, 0);
    assert.equal(codeOf((await post(`${api.url}/data/set`, { key })).json), 'malformed');
    assert.equal((await post(`${api.url}/data/get`, { key })).status, 200);
    assert.equal((await post(`${api.url}/data/list`, {})).status, 200);
  });

  it('what is meant to be 503 is warned of once a minute with how often, without a stack; what fails, with it', async () => {
    const clock = new TestClock();
    let why = 'it joins: 1 writes came';
    await using api = await startApi({ clock, health: { live: () => true, unready: () => why, ended: () => undefined } });
    const warned = async (): Promise<number> => {
      const before = api.lines.length;
      assert.equal((await send(`${api.url}/readyz`, 'GET')).status, 503);
      return api.lines.slice(before).filter(({ level }) => level === 'warn').length;
    };
    assert.deepEqual([await warned(), await warned()], [1, 0]);
    why = 'it joins: 20 writes came';
    assert.equal(await warned(), 0, 'how far it is makes it nothing new');
    why = 'it is asleep';
    assert.deepEqual([await warned(), await warned()], [1, 0]);
    for (const [stamp, count] of [
      ['00000000000a0000e1b4c0ffee00000a', 1],
      ['ffffffffffff0000aaaaaaaaaaaaaaaa', 0],
      ['a'.repeat(32), 0],
    ] as const) {
      why = `what was accepted under ${stamp} is not here yet`;
      assert.equal(await warned(), count, 'whatever stamp is asked for');
    }
    clock.advance(60_000);
    assert.equal(await warned(), 1);
    assert.ok(api.lines.every(({ fields }) => !('err' in fields)));
    for (const failure of [
      new GkvError('unavailable', 'the disk', { cause: new Error('EIO') }),
      new GkvError('disk_full', 'the commit was cut short', { cause: new Error('ENOSPC') }),
    ]) {
      api.store.failure = failure;
      const told = api.lines.length;
      const fail = async (): Promise<void> => {
        await post(`${api.url}/data/get`, getHi);
      };
      for (let i = 0; i < 3; i += 1) await fail();
      clock.advance(60_000);
      await fail();
      assert.deepEqual(
        api.lines
          .slice(told)
          .filter(({ level }) => level === 'warn')
          .map(({ fields }) => fields as { times: number; err: unknown })
          .map(({ times, err }) => [times, err]),
        [
          [1, failure],
          [3, failure],
        ],
      );
    }
  });

  it('readings that fail are left out of the metrics', async () => {
    await using api = await startApi();
    const { text } = await send(`${api.url}/metrics`, 'GET');
    assert.match(text, /gkvmesh_parked_writes 2/);
    assert.match(text, /gkvmesh_parked_clock_writes 2/);
    assert.match(text, /gkvmesh_parked_grant_writes 0/);
    assert.match(text, /gkvmesh_clock_ahead_seconds 1.5/);
    assert.match(text, /gkvmesh_tls_expires_seconds\{port="mesh"\} 2.5/);
    assert.match(text, /gkvmesh_peer_lag_seconds\{peer="[0-9a-f-]+",region="us"\} 0.25/);
    assert.match(text, /gkvmesh_peer_defects\{peer="[0-9a-f-]+",region="us"\} 5/);
  });
});

describe('HTTP server that stops', () => {
  it('H6: answers what is under way, then takes no more', async () => {
    const api = await startApi();
    let open = (): void => undefined;
    api.store.gate = new Promise((resolve) => (open = resolve));
    const writing = post(`${api.url}/data/set`, { key: b64('k'), value: '' });
    await until(() => api.store.writes === 1);
    const stopped = api[Symbol.asyncDispose]();
    open();
    assert.equal((await writing).status, 200);
    await stopped;
    await assert.rejects(post(`${api.url}/data/get`, getHi), /ECONNREFUSED/);
  });

  it('H6: waits neither for idle connections nor for silent ones', async () => {
    const api = await startApi({}, { requestMsMax: 30_000, drainMsMax: 30_000 });
    const silent = raw(api.address, '');
    const idle = raw(api.address, `${head([`Content-Length: ${getHi.length}`])}${getHi}`);
    await until(() => api.lines.length >= 0);
    assert.equal((await post(`${api.url}/data/get`, getHi)).status, 200);
    await api[Symbol.asyncDispose]();
    await Promise.allSettled([silent, idle]);
  });

  it('H6: cuts off what takes longer than it may', async () => {
    const api = await startApi({}, { requestMsMax: 30_000, drainMsMax: 50 });
    api.store.gate = new Promise(() => undefined);
    const writing = post(`${api.url}/data/set`, { key: b64('k'), value: '' });
    await until(() => api.store.writes === 1);
    await Promise.all([api[Symbol.asyncDispose](), assert.rejects(writing)]);
  });

  it('reports a port in use', async () => {
    await using api = await startApi();
    const { listen } = await import('../../src/server/listen.ts');
    const port = Number(api.address.split(':')[1]);
    await assert.rejects(
      listen(() => undefined, { host: '127.0.0.1', port }),
      { code: 'port_in_use' },
    );
    await assert.rejects(
      listen(() => undefined, { host: 'no.such.host.invalid', port: 0 }),
      { code: 'bad_config' },
    );
  });
});
