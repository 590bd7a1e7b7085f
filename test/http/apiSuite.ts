import assert from 'node:assert/strict';
import { b64, codeOf, post, send } from './harness.ts';

/** What every server of the API must do, seen from outside. `base` is asked for in each test; keys are the suite's own. */
export function apiSuite(base: () => string): void {
  const url = (path: string): string => `${base()}${path}`;
  const set = (key: string | Uint8Array, value: string | Uint8Array) => post(url('/data/set'), { key: b64(key), value: b64(value) });
  const get = (key: string | Uint8Array) => post(url('/data/get'), { key: b64(key) });
  const keysOf = (json: Record<string, unknown>): string[] =>
    (json['entries'] as { key: string }[]).map(({ key }) => Buffer.from(key, 'base64').toString('latin1'));

  it('G1: a key that is missing has the value "", exists false and no version', async () => {
    assert.deepEqual(await get('g1/missing'), { status: 200, json: { value: '', exists: false, version: null } });
  });

  it('G1: a stored empty value differs from a missing one in exists', async () => {
    const { json } = await set('g1/empty', '');
    assert.deepEqual((await get('g1/empty')).json, { value: '', exists: true, version: json['version'] });
  });

  it('G2, L1: set names the version that get then shows', async () => {
    const { status, json } = await set('g2', 'yo');
    assert.equal(status, 200);
    assert.match(String(json['version']), /^[0-9a-f]{32}$/);
    assert.equal(json['accepted'], json['version']);
    assert.equal(json['applied'], true);
    assert.deepEqual((await get('g2')).json, { value: b64('yo'), exists: true, version: json['version'] });
  });

  it('G2: the curl line of the Scala original works, whatever the content type', async () => {
    for (const contentType of ['application/x-www-form-urlencoded', 'text/plain', 'application/json']) {
      const answer = await post(url('/data/set'), '{"key":"aGk=","value":"eW8="}', { 'content-type': contentType });
      assert.equal(answer.status, 200);
    }
    assert.equal((await get('hi')).json['value'], 'eW8=');
  });

  it('G3, L1: delete makes a key absent, and list leaves it out', async () => {
    await set('g3/gone', 'x');
    const { status, json } = await post(url('/data/set'), { key: b64('g3/gone'), delete: true });
    assert.equal(status, 200);
    assert.match(String(json['version']), /^[0-9a-f]{32}$/);
    assert.deepEqual((await get('g3/gone')).json, { value: '', exists: false, version: null });
    assert.deepEqual((await post(url('/data/list'), { prefix: b64('g3/') })).json, { entries: [], next: null });
  });

  it('G4: list is half-open and in unsigned byte order', async () => {
    const at = (byte: number): Buffer => Buffer.from([0x67, 0x34, byte]);
    for (const byte of [0xff, 0x80, 0x7f, 0x00]) await set(at(byte), 'x');
    const { json } = await post(url('/data/list'), { start: b64(at(0x00)), end: b64(at(0xff)) });
    assert.deepEqual(
      keysOf(json),
      [0x00, 0x7f, 0x80].map((byte) => at(byte).toString('latin1')),
    );
    const reversed = await post(url('/data/list'), { start: b64(at(0x7f)), end: b64('g5'), reverse: true, keysOnly: true });
    assert.deepEqual(
      keysOf(reversed.json),
      [0xff, 0x80, 0x7f].map((byte) => at(byte).toString('latin1')),
    );
    assert.deepEqual(
      (reversed.json['entries'] as { value: string }[]).map(({ value }) => value),
      ['', '', ''],
    );
  });

  it('G4: next leads through all pages, forward and in reverse', async () => {
    const all = ['a', 'b', 'c', 'd', 'e'].map((name) => `g4p/${name}`);
    for (const key of all) await set(key, key);
    const range = { start: b64('g4p/'), end: b64('g4p0') };
    for (const reverse of [false, true]) {
      const seen: string[] = [];
      for (let next: unknown = reverse ? range.end : range.start; next !== null;) {
        const page = await post(url('/data/list'), { ...range, [reverse ? 'end' : 'start']: next, limit: 2, reverse });
        seen.push(...keysOf(page.json));
        next = page.json['next'];
      }
      assert.deepEqual(seen, reverse ? all.toReversed() : all);
    }
  });

  it('L2: list by prefix', async () => {
    await set('l2/a', '1');
    await set('l2/b', '2');
    await set('l20', '3');
    assert.deepEqual(keysOf((await post(url('/data/list'), { prefix: b64('l2/') })).json), ['l2/a', 'l2/b']);
  });

  it('G4: empty bounds are the first key and past the last', async () => {
    await set(Buffer.from([0xff, 0xff]), 'last');
    const { json } = await post(url('/data/list'), { start: '', end: '', reverse: true, limit: 1 });
    assert.deepEqual(keysOf(json), ['\u00ff\u00ff']);
  });

  it('G5: a batch sets and deletes, and reports every version', async () => {
    await set('g5/old', 'x');
    const { status, json } = await post(url('/data/batch'), {
      ops: [
        { op: 'set', key: b64('g5/new'), value: b64('n'), ifVersion: null },
        { op: 'delete', key: b64('g5/old') },
      ],
    });
    assert.equal(status, 200);
    assert.equal((json['results'] as unknown[]).length, 2);
    assert.deepEqual(keysOf((await post(url('/data/list'), { prefix: b64('g5/') })).json), ['g5/new']);
  });

  it('G5: a batch whose condition fails changes nothing', async () => {
    const ops = [
      { op: 'set', key: b64('g5/none'), value: b64('n') },
      { op: 'delete', key: b64('g5/none2'), ifVersion: '0'.repeat(32) },
    ];
    const { status, json } = await post(url('/data/batch'), { ops });
    assert.equal(status, 412);
    assert.equal((json['error'] as Record<string, unknown>)['index'], 1);
    assert.equal((await get('g5/none')).json['exists'], false);
    assert.deepEqual((await post(url('/data/batch'), { ops: [] })).json, { results: [] });
  });

  it('L5: ifVersion lets only the version that is there be replaced or deleted', async () => {
    const key = b64('l5');
    const created = await post(url('/data/set'), { key, value: b64('1'), ifVersion: null });
    assert.equal(created.status, 200);
    const again = await post(url('/data/set'), { key, value: b64('2'), ifVersion: null });
    assert.equal(again.status, 412);
    assert.equal(codeOf(again.json), 'version_mismatch');
    assert.equal((again.json['error'] as Record<string, unknown>)['version'], created.json['version']);
    const wrong = await post(url('/data/set'), { key, delete: true, ifVersion: 'f'.repeat(32) });
    assert.equal(wrong.status, 412);
    const right = await post(url('/data/set'), { key, delete: true, ifVersion: created.json['version'] });
    assert.equal(right.status, 200);
    assert.equal((await get('l5')).json['exists'], false);
  });

  it('Li7: a value of all 256 bytes comes back as it went', async () => {
    const value = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    await set('li7', value);
    assert.equal((await get('li7')).json['value'], b64(value));
  });

  it('G1: keys of 1 and of 1,024 bytes and a value of 1 MiB are taken', async () => {
    const value = Buffer.alloc(1_048_576, 7);
    for (const key of ['\u0001', 'k'.repeat(1_024)]) {
      assert.equal((await set(key, value)).status, 200);
      assert.equal((await get(key)).json['value'], b64(value));
    }
  });

  refusals(url);
  surroundings(url);
}

/** Bad input: a clear error each, and the server goes on. */
function refusals(url: (path: string) => string): void {
  const bad: readonly [path: string, body: unknown, status: number, code: string, message: RegExp][] = [
    ['/data/get', '{', 400, 'malformed', /not JSON/],
    ['/data/get', '', 400, 'malformed', /not JSON/],
    ['/data/get', 'null', 400, 'malformed', /body: /],
    ['/data/get', '[]', 400, 'malformed', /body: /],
    ['/data/get', {}, 400, 'malformed', /^key: /],
    ['/data/get', { key: 5 }, 400, 'malformed', /^key: /],
    ['/data/get', { key: 'aGk' }, 400, 'malformed', /^key: .*padding/],
    ['/data/get', { key: 'a-_=' }, 400, 'malformed', /^key: .*base64/],
    ['/data/get', { key: 'aGl=' }, 400, 'malformed', /^key: /],
    ['/data/get', { key: 'aG k=' }, 400, 'malformed', /^key: /],
    ['/data/get', { key: '' }, 400, 'malformed', /^key: .*empty/],
    ['/data/get', { key: b64('k'.repeat(1_025)) }, 413, 'too_large', /^key: .*1025/],
    ['/data/get', { key: 'aGk=', extra: 1 }, 400, 'unknown_field', /extra/],
    ['/data/get', '{"key":"aGk=","__proto__":{"x":1}}', 400, 'unknown_field', /__proto__/],
    ['/data/set', { key: 'aGk=' }, 400, 'malformed', /value: missing/],
    ['/data/set', { key: 'aGk=', value: 'eW8=', delete: true }, 400, 'malformed', /not both/],
    ['/data/set', { key: 'aGk=', delete: false }, 400, 'malformed', /^delete: /],
    ['/data/set', { key: 'aGk=', value: 'yo' }, 400, 'malformed', /^value: /],
    ['/data/set', { key: 'aGk=', value: b64(Buffer.alloc(1_048_577)) }, 413, 'too_large', /^value: .*1048577/],
    ['/data/set', { key: 'aGk=', value: 'eW8=', ttlMs: 0 }, 400, 'malformed', /^ttlMs: /],
    ['/data/set', { key: 'aGk=', value: 'eW8=', ttlMs: 1.5 }, 400, 'malformed', /^ttlMs: /],
    ['/data/set', { key: 'aGk=', value: 'eW8=', ttlMs: 1e15 }, 400, 'malformed', /^ttlMs: /],
    ['/data/set', { key: 'aGk=', delete: true, ttlMs: 5 }, 400, 'malformed', /^ttlMs: /],
    ['/data/set', { key: 'aGk=', value: 'eW8=', ifVersion: 'abc' }, 400, 'malformed', /^ifVersion: /],
    ['/data/set', { key: 'aGk=', value: 'eW8=', ifVersion: 'A'.repeat(32) }, 400, 'malformed', /^ifVersion: /],
    ['/data/list', { start: 'Yg==', end: 'YQ==' }, 400, 'malformed', /^end: /],
    ['/data/list', { prefix: 'Yg==', start: 'YQ==' }, 400, 'malformed', /^prefix: /],
    ['/data/list', { start: b64('k'.repeat(1_026)) }, 413, 'too_large', /^start: /],
    ['/data/list', { reverse: 'yes' }, 400, 'malformed', /^reverse: /],
    ...[0, -1, 1.5, 1e9, '10', null].map((limit): [string, unknown, number, string, RegExp] => [
      '/data/list',
      { limit },
      400,
      'malformed',
      /^limit: /,
    ]),
    ['/data/batch', {}, 400, 'malformed', /^ops: /],
    ['/data/batch', { ops: [{ op: 'put', key: 'aGk=' }] }, 400, 'malformed', /^ops\[0\]\.op: /],
    ['/data/batch', { ops: [{ op: 'set', key: 'aGk=' }] }, 400, 'malformed', /^ops\[0\]\.value: /],
    ['/data/batch', { ops: [{ op: 'delete', key: 'aGk=', value: '' }] }, 400, 'unknown_field', /ops\[0\]\.value/],
    [
      '/data/batch',
      {
        ops: [
          { op: 'delete', key: 'aGk=' },
          { op: 'set', key: 'aGk=', value: '' },
        ],
      },
      400,
      'malformed',
      /same key/,
    ],
    ['/data/batch', { ops: Array.from({ length: 1_001 }, (_, i) => ({ op: 'delete', key: b64(String(i)) })) }, 400, 'malformed', /^ops: /],
    ['/control/aae/pull', { peer: 'nowhere' }, 400, 'malformed', /^peer: .*HOST:PORT/],
    ['/control/aae/pull', { peer: '127.0.0.1:70000' }, 400, 'malformed', /^peer: /],
    ['/control/aae/pull', { peer: '127.0.0.1:1', direction: 'push' }, 400, 'malformed', /^direction: /],
  ];
  for (const [path, body, status, code, message] of bad) {
    const shown = (typeof body === 'string' ? body : JSON.stringify(body)).slice(0, 70);
    it(`G7: ${path} refuses ${shown === '' ? 'an empty body' : shown}`, async () => {
      const answer = await post(url(path), body);
      assert.equal(answer.status, status);
      assert.equal(codeOf(answer.json), code);
      assert.match(String((answer.json['error'] as Record<string, unknown>)['message']), message);
    });
  }

  it('G7: an unknown path is 404 unknown_path, with or without a slash behind', async () => {
    for (const path of ['/', '/data', '/data/get/', '/DATA/get', '/data/getx', '/%zz', '//data/get']) {
      const { status, json } = await post(url(path), {});
      assert.deepEqual([status, codeOf(json)], [404, 'unknown_path'], path);
    }
  });

  it('G7: a wrong method is 405 wrong_method and names the right ones', async () => {
    const got = await send(url('/data/get'), 'GET');
    assert.deepEqual([got.status, got.headers['allow']], [405, 'POST']);
    const put = await send(url('/livez'), 'PUT', '');
    assert.deepEqual([put.status, put.headers['allow']], [405, 'GET, HEAD']);
    assert.equal((await send(url('/data/set'), 'OPTIONS')).status, 405);
  });

  it('G8: a body over 4 MiB is 413 too_large, with its length given or not', async () => {
    const { status, json } = await post(url('/data/set'), `{"key":"${'A'.repeat(4_194_304)}"}`);
    assert.deepEqual([status, codeOf(json)], [413, 'too_large']);
  });

  it('G7: duplicate names are harmless: the last one counts', async () => {
    const { status, json } = await post(url('/data/get'), '{"key":"AAAA","key":"ZHVwL25vbmU="}');
    assert.deepEqual([status, json['exists']], [200, false]);
  });
}

function surroundings(url: (path: string) => string): void {
  it('G9: /cluster_id is a UUID as plain text', async () => {
    const { text, headers } = await send(url('/cluster_id'), 'GET');
    assert.match(text, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    assert.match(String(headers['content-type']), /^text\/plain/);
    assert.equal((await send(url('/cluster_id'), 'GET')).text, text);
  });

  it('G9: HEAD answers as GET does, without the body', async () => {
    const { status, text } = await send(url('/cluster_id'), 'HEAD');
    assert.deepEqual([status, text], [200, '']);
  });

  it('probes, peers and tree answer', async () => {
    assert.deepEqual((await send(url('/livez'), 'GET')).text, '{"live":true}');
    assert.deepEqual((await send(url('/readyz'), 'GET')).text, '{"ready":true}');
    assert.deepEqual((await send(url('/peers'), 'GET')).text, '{"peers":[]}');
    const tree = JSON.parse((await send(url('/control/tree'), 'GET')).text) as { sum: string };
    assert.match(tree.sum, /^[0-9a-f]{96}$/);
  });

  it('/metrics counts requests by route and status, and gives the gauges', async () => {
    await post(url('/data/get'), {});
    const { text, headers } = await send(url('/metrics'), 'GET');
    assert.match(String(headers['content-type']), /^text\/plain/);
    assert.match(text, /gkvmesh_http_request_seconds_count\{route="\/data\/get",status="400"\} \d+/);
    for (const name of ['entries', 'entry_bytes', 'parked_writes', 'parked_bytes', 'clock_ahead_seconds']) {
      assert.match(text, new RegExp(`^gkvmesh_${name} \\S+$`, 'm'));
    }
    assert.match(text, /process_cpu_seconds_total/);
  });

  it('/openapi.json describes every path from the schemas', async () => {
    const description = JSON.parse((await send(url('/openapi.json'), 'GET')).text) as { paths: Record<string, object> };
    assert.deepEqual(Object.keys(description.paths).sort(), [
      '/cluster_id',
      '/control/aae/pull',
      '/control/tree',
      '/data/batch',
      '/data/get',
      '/data/list',
      '/data/set',
      '/livez',
      '/metrics',
      '/openapi.json',
      '/peers',
      '/readyz',
    ]);
    assert.match(JSON.stringify(description.paths['/data/set']), /"ifVersion".*"additionalProperties":false/);
  });

  it('answers carry a request id: the one that was given, or one of ours', async () => {
    const mine = await send(url('/livez'), 'GET', undefined, { 'x-request-id': 'abc-1' });
    assert.equal(mine.headers['x-request-id'], 'abc-1');
    const forged = await send(url('/livez'), 'GET', undefined, { 'x-request-id': 'a b"c' });
    assert.match(String(forged.headers['x-request-id']), /^[\w-]+$/);
  });
}
