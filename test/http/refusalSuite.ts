import assert from 'node:assert/strict';
import { limits } from '../../src/core/limits.ts';
import { b64, codeOf, errorOf, post, send } from './harness.ts';

const key = b64('never-written');
const set = (of: string): object => ({ op: 'set', key: of, value: b64('v') });

/** What is sent, where to, and what of it the answer says; 400 malformed unless told. A text is the body as it is. */
type Case = readonly [name: string, path: string, body: unknown, message: RegExp, code?: 'unknown_field' | 'too_large'];

const refused: readonly Case[] = [
  ['an empty body', '/data/get', '', /not JSON/],
  ['a brace', '/data/get', '{', /not JSON/],
  ['half an object', '/data/get', '{"key":', /not JSON/],
  ['a trailing comma', '/data/get', '{"key":"aGk=",}', /not JSON/],
  ['NaN', '/data/get', '{"key":NaN}', /not JSON/],
  ['a form', '/data/get', 'key=aGk%3D&value=eW8%3D', /not JSON/],
  ['two values', '/data/get', '{"key":"aGk="}{"key":"aGk="}', /not JSON/],
  ['an array of 20,000 numbers', '/data/batch', `{"ops":[${'1,'.repeat(20_000)}1]}`, /more than 16384 commas and brackets/, 'too_large'],
  ['20,000 fields', '/data/get', `{${'"a":0,'.repeat(20_000)}"b":0}`, /more than 16384/, 'too_large'],
  ['brackets in brackets', '/data/get', '['.repeat(20_000), /more than 16384/, 'too_large'],
  ['a body that is an array', '/data/get', [], /body: /],
  ['a body that is null', '/data/get', 'null', /body: /],
  ['a body that is a string', '/data/set', '"x"', /body: /],
  ['a missing key', '/data/get', {}, /^key: /],
  ['a key that is a number', '/data/get', { key: 1 }, /^key: /],
  ['a key that is null', '/data/set', { key: null, value: '' }, /^key: /],
  ['a key of 0 bytes', '/data/get', { key: '' }, /^key: .*empty/],
  ['a key of 0 bytes in a set', '/data/set', { key: '', value: '' }, /^key: .*empty/],
  ['a key of 1,025 bytes', '/data/set', { key: b64(new Uint8Array(1_025)), value: '' }, /^key: .*1025/, 'too_large'],
  ['a key of 1,025 bytes in a get', '/data/get', { key: b64(new Uint8Array(1_025)) }, /^key: .*1025/, 'too_large'],
  ['a value that is an object', '/data/set', { key, value: {} }, /^value: /],
  [
    'a value of a byte over 1 MiB',
    '/data/set',
    { key, value: b64(new Uint8Array(limits.valueBytesMax + 1)) },
    /^value: .*1048577/,
    'too_large',
  ],
  ['base64 without its padding', '/data/get', { key: 'aGk' }, /^key: .*padding/],
  ['base64 with too much padding', '/data/set', { key: 'aGk==', value: '' }, /^key: /],
  ['base64 of the URL alphabet', '/data/set', { key, value: '_-8=' }, /^value: .*base64/],
  ['base64 with spaces', '/data/get', { key: 'aG k=' }, /^key: /],
  ['base64 with a line break', '/data/set', { key, value: 'aGk=\n' }, /^value: /],
  ['base64 with bits beyond its last byte', '/data/set', { key: 'aGl=', value: '' }, /^key: /],
  ['an unknown field', '/data/get', { key, extra: 1 }, /extra/, 'unknown_field'],
  ['an unknown field beside wrong ones', '/data/set', { key: 1, value: 2, extra: 3 }, /extra/, 'unknown_field'],
  ['a field __proto__', '/data/get', '{"key":"aGk=","__proto__":{"x":1}}', /__proto__/, 'unknown_field'],
  ['G6: the flag consistent_waw', '/data/set', { key, value: '', consistent_waw: true }, /consistent_waw/, 'unknown_field'],
  ['a set of neither value nor delete', '/data/set', { key }, /value: missing/],
  ['a set of value and delete', '/data/set', { key, value: '', delete: true }, /not both/],
  ['delete: false', '/data/set', { key, delete: false }, /^delete: /],
  ['a delete that expires', '/data/set', { key, delete: true, ttlMs: 1_000 }, /^ttlMs: /],
  ['a ttlMs of 0', '/data/set', { key, value: '', ttlMs: 0 }, /^ttlMs: /],
  ['a ttlMs of −1', '/data/set', { key, value: '', ttlMs: -1 }, /^ttlMs: /],
  ['a ttlMs of 1.5', '/data/set', { key, value: '', ttlMs: 1.5 }, /^ttlMs: /],
  ['a ttlMs of a thousand years', '/data/set', { key, value: '', ttlMs: 31_536_000_000_000 }, /^ttlMs: /],
  ['a ttlMs of for ever', '/data/set', { key, value: '', ttlMs: 1e18 }, /^ttlMs: .*315360000000/],
  ['an ifVersion that is no version', '/data/set', { key, value: '', ifVersion: 'abc' }, /^ifVersion: /],
  ['an ifVersion in capitals', '/data/set', { key, value: '', ifVersion: 'AB'.repeat(16) }, /^ifVersion: /],
  ['an ifVersion of 31 digits', '/data/set', { key, value: '', ifVersion: 'a'.repeat(31) }, /^ifVersion: /],
  ['an end before the start', '/data/list', { start: b64('b'), end: b64('a') }, /^end: /],
  ['a prefix of 1,025 bytes', '/data/list', { prefix: b64(new Uint8Array(1_025)) }, /^prefix: /, 'too_large'],
  ['a start of 1,026 bytes', '/data/list', { start: b64(new Uint8Array(1_026)) }, /^start: /, 'too_large'],
  ['a reverse that is a word', '/data/list', { reverse: 'yes' }, /^reverse: /],
  ...[0, -1, 1.5, 1_001, 1e9, '10', null].map((limit): Case => [
    `a limit of ${JSON.stringify(limit)}`,
    '/data/list',
    { limit },
    /^limit: /,
  ]),
  ['a batch without ops', '/data/batch', {}, /^ops: /],
  ['ops that are no array', '/data/batch', { ops: set(key) }, /^ops: /],
  ['a batch of 1,001 operations', '/data/batch', { ops: Array.from({ length: 1_001 }, (_, i) => set(b64(`many${i}`))) }, /^ops: /],
  ['an operation that there is not', '/data/batch', { ops: [{ op: 'increment', key }] }, /^ops\[0\]\.op: /],
  ['a set without a value in a batch', '/data/batch', { ops: [{ op: 'set', key }] }, /^ops\[0\]\.value: /],
  [
    'a delete with a value in a batch',
    '/data/batch',
    { ops: [set(key), { op: 'delete', key: b64('x'), value: '' }] },
    /ops\[1\]\.value/,
    'unknown_field',
  ],
  ['a bad key at the end of a batch', '/data/batch', { ops: [set(key), set('%')] }, /^ops\[1\]\.key: /],
  ['a key twice in a batch', '/data/batch', { ops: [set(key), set(b64('other')), { op: 'delete', key }] }, /same key/],
  ['a pull from no address', '/control/aae/pull', { peer: 'nowhere' }, /^peer: .*HOST:PORT/],
  ['a pull from a URL', '/control/aae/pull', { peer: 'http://127.0.0.1:1' }, /^peer: /],
  ['a pull from port 65,536', '/control/aae/pull', { peer: '127.0.0.1:65536' }, /^peer: /],
  ['a pull from port 0', '/control/aae/pull', { peer: '127.0.0.1:0' }, /^peer: /],
  ['a pull in a direction that there is not', '/control/aae/pull', { peer: '127.0.0.1:1', direction: 'push' }, /^direction: /],
];

/** Bad input: a clear error each, and nothing is written. `base` is asked for in each test. */
export function refusalSuite(base: () => string): void {
  const url = (path: string): string => `${base()}${path}`;

  for (const [name, path, body, message, code = 'malformed'] of refused) {
    it(`G7: ${name} is refused with ${code}`, async () => {
      const { status, text, json, headers } = await post(url(path), body);
      assert.deepEqual([status, codeOf(json)], [code === 'too_large' ? 413 : 400, code]);
      assert.match(String(errorOf(json)['message']), message);
      assert.match(String(headers['content-type']), /^application\/json/);
      assert.ok(text.length < 1_000, 'an answer does not repeat what was sent');
    });
  }

  it('G7: H12: an unknown path is 404 unknown_path, with or without a slash behind', async () => {
    const paths = [
      '/',
      '/data',
      '/data/get/',
      '/DATA/get',
      '/data/getx',
      '/%zz',
      '//data/get',
      '/../etc/passwd',
      '/%2e%2e/x',
      '/data/get%00',
    ];
    for (const path of paths) {
      const { status, json } = await post(url(path), '{"key":"aGk="}');
      assert.deepEqual([status, codeOf(json)], [404, 'unknown_path'], path);
    }
  });

  it('G7: H12: a wrong method is 405 wrong_method and names the right ones', async () => {
    const tries = [
      ...(['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'] as const).map((method) => [method, '/data/set', 'POST'] as const),
      ['PUT', '/livez', 'GET, HEAD'],
      ['POST', '/cluster_id', 'GET, HEAD'],
    ] as const;
    for (const [method, path, right] of tries) {
      const { status, headers, text } = await send(url(path), method);
      assert.deepEqual([status, headers['allow']], [405, right], `${method} ${path}`);
      assert.match(text, /"wrong_method"/);
    }
  });

  it('G7: H14: a field in the address that a path does not take is refused by its name, wherever it goes', async () => {
    const { paths } = JSON.parse((await send(url('/openapi.json'), 'GET')).text) as { paths: Record<string, object> }; // as OpenAPI has it
    for (const [path, methods] of Object.entries(paths)) {
      const asked = 'get' in methods ? send(url(`${path}?key=YQ&after=0&verbose`), 'GET') : post(url(`${path}?verbose`), { key });
      const { status, text } = await asked;
      const answer = JSON.parse(text) as Record<string, unknown>; // our API answers errors with objects
      assert.deepEqual([status, codeOf(answer)], [400, 'unknown_field'], path);
      assert.match(text, 'get' in methods ? /field (?:key|after|verbose) is not known here/ : /field verbose is not known here/, path);
    }
    for (const query of ['', '?', '?key=YQ&key=YQ', '?key=YQ&key=Yg', '?key[]=YQ']) {
      const { status, text } = await send(url(`/control/key${query}`), 'GET');
      assert.deepEqual([status, /malformed|unknown_field/.test(text)], [400, true], query);
    }
    assert.equal((await send(url('/livez?'), 'GET')).status, 200);
  });

  it('G8: H7: a body over 4 MiB is 413 too_large, and one of exactly 4 MiB is read', async () => {
    const { status, json } = await post(url('/data/set'), `{"key":"${'A'.repeat(limits.bodyBytesMax)}"}`);
    assert.deepEqual([status, codeOf(json)], [413, 'too_large']);
    assert.equal((await post(url('/data/get'), JSON.stringify({ key }).padEnd(limits.bodyBytesMax))).status, 200);
  });

  it('G7: of a field that comes twice the last counts, and is checked', async () => {
    const { status, json } = await post(url('/data/get'), '{"key":"AAAA","key":"ZHVwL25vbmU="}');
    assert.deepEqual([status, json['exists']], [200, false]);
    assert.equal(codeOf((await post(url('/data/set'), '{"key":"aGk=","value":"eW8=","value":1}')).json), 'malformed');
  });
}
