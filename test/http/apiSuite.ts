import assert from 'node:assert/strict';
import { b64, codeOf, errorOf, post, send } from './harness.ts';

/** What every server of the API must do, seen from outside. `base` is asked for in each test; keys are the suite's own. */
export function apiSuite(base: () => string): void {
  const url = (path: string): string => `${base()}${path}`;
  const set = (key: string | Uint8Array, value: string | Uint8Array) => post(url('/data/set'), { key: b64(key), value: b64(value) });
  const get = (key: string | Uint8Array) => post(url('/data/get'), { key: b64(key) });
  /** Sets so many keys, and gives their names. */
  const fill = async (prefix: string, count: number): Promise<string[]> => {
    const names = Array.from({ length: count }, (_, i) => `${prefix}${String(i).padStart(5, '0')}`);
    for (let from = 0; from < count; from += 500) {
      const ops = names.slice(from, from + 500).map((name) => ({ op: 'set', key: b64(name), value: b64(name) }));
      assert.equal((await post(url('/data/batch'), { ops })).status, 200);
    }
    return names;
  };
  const keysOf = (json: Record<string, unknown>): string[] =>
    (json['entries'] as { key: string }[]).map(({ key }) => Buffer.from(key, 'base64').toString('latin1'));

  it('G1: a key that is missing has the value "", exists false and no version', async () => {
    const { status, json } = await get('g1/missing');
    assert.deepEqual([status, json], [200, { value: '', exists: false, version: null }]);
  });

  it('G1: a stored empty value differs from a missing one in exists', async () => {
    const { json } = await set('g1/empty', '');
    assert.deepEqual((await get('g1/empty')).json, { value: '', exists: true, version: json['version'] });
  });

  it('G2, L1: set names the version that get then shows', async () => {
    const { status, json, headers } = await set('g2', 'yo');
    assert.equal(status, 200);
    assert.match(String(headers['content-type']), /^application\/json/);
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

  it('a later set has a greater version and replaces the value', async () => {
    const first = await set('again', 'one');
    const second = await set('again', 'two');
    assert.ok(String(second.json['version']) > String(first.json['version']));
    assert.equal((await get('again')).json['value'], b64('two'));
  });

  it('G3, L1: delete makes a key absent, list leaves it out, and it may be set again', async () => {
    await set('g3/gone', 'x');
    const { status, json } = await post(url('/data/set'), { key: b64('g3/gone'), delete: true });
    assert.equal(status, 200);
    assert.match(String(json['version']), /^[0-9a-f]{32}$/);
    assert.deepEqual((await get('g3/gone')).json, { value: '', exists: false, version: null });
    assert.deepEqual((await post(url('/data/list'), { prefix: b64('g3/') })).json, { entries: [], next: null });
    await set('g3/gone', 'again');
    assert.equal((await get('g3/gone')).json['value'], b64('again'));
  });

  it('deleting what was never there is no error', async () => {
    assert.equal((await post(url('/data/set'), { key: b64('never'), delete: true })).status, 200);
    assert.equal((await get('never')).json['exists'], false);
  });

  it('G4: list is half-open and in unsigned byte order', async () => {
    const at = (byte: number): Buffer => Buffer.from([0x67, 0x34, byte]);
    for (const byte of [0xff, 0x80, 0x7f, 0x00]) await set(at(byte), 'x');
    const { json } = await post(url('/data/list'), { start: b64(at(0x00)), end: b64(at(0xff)) });
    assert.deepEqual(
      keysOf(json),
      [0x00, 0x7f, 0x80].map((byte) => at(byte).toString('latin1')),
    );
    assert.deepEqual(keysOf((await post(url('/data/list'), { start: b64(at(0x7f)), end: b64(at(0x7f)) })).json), []);
    assert.deepEqual(keysOf((await post(url('/data/list'), { prefix: b64(at(0xff)) })).json), [at(0xff).toString('latin1')]);
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

  it('G4: paging with the last key and a zero byte, as the Scala scripts do, sees each key once', async () => {
    const names = await fill('g4s/', 25);
    const seen: string[] = [];
    for (let start = Buffer.from('g4s/'); ;) {
      const { json } = await post(url('/data/list'), { start: b64(start), end: b64('g4s0'), limit: 7 });
      const last = keysOf(json).at(-1);
      if (last === undefined) break;
      seen.push(...keysOf(json));
      start = Buffer.from(`${last}\0`, 'latin1');
    }
    assert.deepEqual(seen, names);
  });

  it('L2: a prefix lists exactly the keys that begin with it, with their values and versions', async () => {
    const { json } = await set('l2/a', '1');
    await set('l2/b', '2');
    await set('l20', '3');
    const listed = (await post(url('/data/list'), { prefix: b64('l2/') })).json;
    assert.deepEqual([keysOf(listed), listed['next']], [['l2/a', 'l2/b'], null]);
    assert.deepEqual((listed['entries'] as object[])[0], { key: b64('l2/a'), value: b64('1'), version: json['version'] });
  });

  it('L2: a prefix with start or end lists what of it lies there, and none of it beyond', async () => {
    for (const name of ['l2n/a', 'l2n/b', 'l2n/c', 'l2n0']) await set(name, 'v');
    const listed = async (bounds: object): Promise<string[]> =>
      keysOf((await post(url('/data/list'), { prefix: b64('l2n/'), ...bounds })).json);
    assert.deepEqual(await listed({ start: b64('l2n/b') }), ['l2n/b', 'l2n/c']);
    assert.deepEqual(await listed({ start: b64('a'), end: b64('z') }), ['l2n/a', 'l2n/b', 'l2n/c']);
    assert.deepEqual(await listed({ start: '', end: '' }), ['l2n/a', 'l2n/b', 'l2n/c']);
    assert.deepEqual(await listed({ end: b64('l2n/b'), reverse: true }), ['l2n/a']);
    for (const nothing of [{ start: b64('l2n0') }, { end: b64('l2n/') }, { end: b64('l') }, { start: b64('l2n/bb'), end: b64('l2n/bc') }])
      assert.deepEqual(await listed(nothing), []);
  });

  it('K22: patterns in order: of those that match a key the last decides, on each page and in both directions', async () => {
    const names = ['/k22/a/1', '/k22/a/2', '/k22/b/1', '/k22/b/2', '/k22/c'];
    for (const name of names) await set(name, 'v');
    const pattern = (text: string): string => (text.startsWith('!') ? `!${b64(text.slice(1))}` : b64(text));
    const listed = async (texts: readonly string[], more: object = {}): Promise<string[]> => {
      const body = { prefix: b64('/k22/'), patterns: texts.map(pattern), ...more };
      return keysOf((await post(url('/data/list'), body)).json);
    };
    assert.deepEqual(await listed(['**']), names);
    assert.deepEqual(await listed(['!**']), []);
    assert.deepEqual(await listed(['/k22/*/1']), ['/k22/a/1', '/k22/b/1']);
    assert.deepEqual(await listed(['**', '!/k22/b/**', '/k22/b/2'], { reverse: true }), ['/k22/c', '/k22/b/2', '/k22/a/2', '/k22/a/1']);
    const seen: string[] = [];
    for (let start: unknown = b64('/k22/'); start !== null;) {
      const body = { start, end: b64('/k220'), limit: 1, patterns: [pattern('/k22/*/*'), pattern('!/k22/a/2')] };
      const { json } = await post(url('/data/list'), body);
      seen.push(...keysOf(json));
      start = json['next'];
    }
    assert.deepEqual(seen, ['/k22/a/1', '/k22/b/1', '/k22/b/2']);
  });

  const wrongPatterns: Record<string, { patterns: unknown; code: string; field: string }> = {
    'none in the list': { patterns: [], code: 'malformed', field: 'patterns' },
    'nine of them': { patterns: Array.from({ length: 9 }, () => b64('**')), code: 'malformed', field: 'patterns' },
    'one that is no text': { patterns: [b64('**'), 1], code: 'malformed', field: 'patterns[1]' },
    'an empty one': { patterns: [b64('**'), ''], code: 'malformed', field: 'patterns[1]' },
    'an empty one that removes': { patterns: ['!'], code: 'malformed', field: 'patterns[0]' },
    'a star in a segment': { patterns: [b64('/a*')], code: 'malformed', field: 'patterns[0]' },
    'no base64': { patterns: ['/a/**'], code: 'malformed', field: 'patterns[0]' },
    'two marks': { patterns: [`!!${b64('**')}`], code: 'malformed', field: 'patterns[0]' },
    'a key of 1,025 bytes': { patterns: [b64('a'.repeat(1_025))], code: 'too_large', field: 'patterns[0]' },
  };
  for (const [name, { patterns, code, field }] of Object.entries(wrongPatterns))
    it(`K22: patterns of a list, ${name}: ${code}`, async () => {
      const { status, json } = await post(url('/data/list'), { patterns });
      const { error } = json as { error: { code: string; field: string } };
      assert.deepEqual([status, error.code, error.field], [code === 'too_large' ? 413 : 400, code, field]);
    });

  it('a list without a limit gives 100 entries, and up to 1,000 with one', async () => {
    const names = await fill('limit/', 1_001);
    assert.equal(keysOf((await post(url('/data/list'), { prefix: b64('limit/') })).json).length, 100);
    const { json } = await post(url('/data/list'), { prefix: b64('limit/'), limit: 1_000 });
    assert.deepEqual([keysOf(json).length, json['next']], [1_000, b64(names[1_000] ?? '')]);
  });

  it('G4: empty bounds are the first key and past the last', async () => {
    await set(Buffer.from([0xff, 0xff]), 'last');
    const { json } = await post(url('/data/list'), { start: '', end: '', reverse: true, limit: 1 });
    assert.deepEqual(keysOf(json), ['\u00ff\u00ff']);
    assert.deepEqual((await post(url('/data/list'), { reverse: true, limit: 1 })).json, json);
  });

  it('Li19: a key and one below it are both there, in whatever order they came', async () => {
    for (const [first, second] of [
      ['li19/up', 'li19/up/down'],
      ['li19/below/it', 'li19/below'],
    ] as const) {
      await set(first, first);
      await set(second, second);
    }
    const { json } = await post(url('/data/list'), { prefix: b64('li19/') });
    assert.deepEqual(keysOf(json), ['li19/below', 'li19/below/it', 'li19/up', 'li19/up/down']);
  });

  it('G5: a batch sets and deletes, and reports every version', async () => {
    await set('g5/old', 'x');
    const { status, json } = await post(url('/data/batch'), {
      ops: [
        { op: 'set', key: b64('g5/new'), value: b64('n'), ifVersion: null },
        { op: 'set', key: b64('g5/void'), value: '' },
        { op: 'delete', key: b64('g5/old') },
      ],
    });
    assert.equal(status, 200);
    const results = json['results'] as { version: string; applied: boolean }[];
    assert.deepEqual(
      results.map(({ applied }) => applied),
      [true, true, true],
    );
    assert.equal(new Set(results.map(({ version }) => version)).size, 3);
    assert.deepEqual(keysOf((await post(url('/data/list'), { prefix: b64('g5/') })).json), ['g5/new', 'g5/void']);
  });

  it('G5: a batch of nothing does nothing', async () => {
    assert.deepEqual((await post(url('/data/batch'), { ops: [] })).json, { results: [] });
  });

  it('G5, L5: a batch whose one condition fails changes nothing, and names the operation and the current version', async () => {
    const { json } = await set('g5c/held', 'v');
    const answer = await post(url('/data/batch'), {
      ops: [
        { op: 'set', key: b64('g5c/new'), value: b64('1') },
        { op: 'delete', key: b64('g5c/held'), ifVersion: null },
        { op: 'set', key: b64('g5c/also'), value: b64('2') },
      ],
    });
    assert.equal(answer.status, 412);
    const { code, version, index } = errorOf(answer.json);
    assert.deepEqual([code, version, index], ['version_mismatch', json['version'], 1]);
    assert.deepEqual(keysOf((await post(url('/data/list'), { prefix: b64('g5c/') })).json), ['g5c/held']);
  });

  it('L5: ifVersion lets only the version that is there be replaced or deleted', async () => {
    const key = b64('l5');
    const created = await post(url('/data/set'), { key, value: b64('1'), ifVersion: null });
    assert.equal(created.status, 200);
    const again = await post(url('/data/set'), { key, value: b64('2'), ifVersion: null });
    assert.equal(again.status, 412);
    assert.equal(codeOf(again.json), 'version_mismatch');
    assert.equal(errorOf(again.json)['version'], created.json['version']);
    const wrong = await post(url('/data/set'), { key, delete: true, ifVersion: 'f'.repeat(32) });
    assert.equal(wrong.status, 412);
    const right = await post(url('/data/set'), { key, delete: true, ifVersion: created.json['version'] });
    assert.equal(right.status, 200);
    assert.equal((await get('l5')).json['exists'], false);
    assert.equal((await post(url('/data/set'), { key, value: b64('anew'), ifVersion: null })).status, 200);
  });

  it('L5: against nothing the current version is null', async () => {
    const { status, json } = await post(url('/data/set'), { key: b64('l5/absent'), value: '', ifVersion: '0'.repeat(32) });
    assert.deepEqual([status, errorOf(json)['version']], [412, null]);
  });

  it('L5: of 20 who set with the same ifVersion at once, one succeeds', async () => {
    const key = b64('l5/race');
    const { json } = await set('l5/race', 'start');
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => post(url('/data/set'), { key, value: b64(`by ${i}`), ifVersion: json['version'] })),
    );
    const winners = answers.flatMap(({ status }, i) => (status === 200 ? [b64(`by ${i}`)] : []));
    assert.equal(winners.length, 1);
    assert.equal(answers.filter(({ status }) => status === 412).length, 19);
    assert.equal((await get('l5/race')).json['value'], winners[0]);
  });

  it('Li7: a key and a value of all 256 bytes come back as they went', async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    await set(bytes, bytes);
    assert.equal((await get(bytes)).json['value'], b64(bytes));
    const [entry] = (await post(url('/data/list'), { start: b64(bytes), limit: 1 })).json['entries'] as { key: string; value: string }[];
    assert.deepEqual([entry?.key, entry?.value], [b64(bytes), b64(bytes)]);
  });

  it('G1: keys of 1 and of 1,024 bytes and a value of 1 MiB are taken', async () => {
    const value = Buffer.alloc(1_048_576, 7);
    for (const key of ['\u0001', 'k'.repeat(1_024)]) {
      assert.equal((await set(key, value)).status, 200);
      assert.equal((await get(key)).json['value'], b64(value));
    }
  });

  surroundings(url);
}

function surroundings(url: (path: string) => string): void {
  it('G9: /cluster_id is a UUID as plain text', async () => {
    const { text, headers } = await send(url('/cluster_id'), 'GET');
    assert.match(text, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    assert.match(String(headers['content-type']), /^text\/plain/);
    assert.equal((await send(url('/cluster_id'), 'GET')).text, text);
  });

  it('G9: H12: HEAD answers as GET does, without the body', async () => {
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

  it('paths that somebody makes up make no new metrics', async () => {
    for (let i = 0; i < 5; i += 1) await send(url(`/made/up/${i}`), 'GET');
    assert.doesNotMatch((await send(url('/metrics'), 'GET')).text, /made\/up/);
  });

  it('/openapi.json describes every path from the schemas, and its references lead somewhere', async () => {
    const { text } = await send(url('/openapi.json'), 'GET');
    const description = JSON.parse(text) as { openapi: string; paths: Record<string, object> };
    assert.match(description.openapi, /^3\.1\./);
    assert.deepEqual(Object.keys(description.paths).sort(), [
      '/cluster_id',
      '/control/aae/pull',
      '/control/backup',
      '/control/key',
      '/control/members/add',
      '/control/members/remove',
      '/control/records',
      '/control/refused',
      '/control/status',
      '/control/tree',
      '/data/batch',
      '/data/get',
      '/data/list',
      '/data/set',
      '/livez',
      '/mesh_id',
      '/metrics',
      '/openapi.json',
      '/peers',
      '/readyz',
    ]);
    assert.match(JSON.stringify(description.paths['/data/set']), /"ifVersion".*"additionalProperties":false/);
    for (const [, reference = ''] of text.matchAll(/"\$ref":"([^"]+)"/g)) assert.ok(leadsSomewhere(description, reference), reference);
  });

  it('H11: answers carry a request id: the one that was given, or one of ours', async () => {
    const mine = await send(url('/livez'), 'GET', undefined, { 'x-request-id': 'abc-1' });
    assert.equal(mine.headers['x-request-id'], 'abc-1');
    const forged = await send(url('/livez'), 'GET', undefined, { 'x-request-id': 'a b"c' });
    assert.match(String(forged.headers['x-request-id']), /^[\w-]+$/);
  });
}

function leadsSomewhere(document: unknown, reference: string): boolean {
  let at = document;
  for (const part of reference.replace(/^#\//, '').split('/')) {
    if (typeof at !== 'object' || at === null) return false;
    at = (at as Record<string, unknown>)[part];
  }
  return at !== undefined;
}
