import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import * as z from 'zod';
import { openMesh } from '../../src/crypto/mesh.ts';
import { toHex } from '../../src/core/bytes.ts';
import { batchAnswer, getAnswer, setAnswer } from '../../src/http/schema.ts';
import { until } from '../support.ts';
import { b64, errorIn, rawExchange, Scene, type RunningServer } from './server.ts';

describe('the HTTP API of a running server', () => {
  const scene = new Scene();
  let server: RunningServer;
  before(async () => {
    server = await scene.server();
  });
  after(() => scene.close());

  it('G1: a missing key and an empty value differ in `exists` and version alone', async () => {
    const missing = await server.post('/data/get', { key: b64('g1-missing') });
    assert.deepEqual([missing.status, missing.json], [200, { value: '', exists: false, version: null }]);
    const { version } = await server.set('g1-empty', '');
    const empty = await server.post('/data/get', { key: b64('g1-empty') });
    assert.deepEqual([empty.status, empty.json], [200, { value: '', exists: true, version }]);
  });

  it('G2, L1: set answers the version under which get then finds the value (replaced)', async () => {
    const answer = await server.post('/data/set', { key: b64('g2'), value: b64('v') });
    assert.equal(answer.status, 200);
    assert.match(String(answer.headers['content-type']), /^application\/json/);
    const { version, accepted, applied } = setAnswer.parse(answer.json);
    assert.match(version, /^[0-9a-f]{32}$/);
    assert.deepEqual([accepted, applied], [version, true]);
    assert.deepEqual((await server.post('/data/get', { key: b64('g2') })).json, { value: b64('v'), exists: true, version });
  });

  it('a later set has a greater version and replaces the value', async () => {
    const first = await server.set('again', 'one');
    const second = await server.set('again', 'two');
    assert.ok(second.version > first.version);
    assert.equal(await server.read('again'), 'two');
  });

  it('G3, L1: a deleted key is absent from get and list, and may be set again', async () => {
    await server.set('g3', 'v');
    const answer = await server.post('/data/set', { key: b64('g3'), delete: true });
    assert.equal(answer.status, 200);
    assert.equal(await server.read('g3'), undefined);
    assert.deepEqual(await server.list({ prefix: b64('g3') }), { entries: [], next: null });
    await server.set('g3', 'again');
    assert.equal(await server.read('g3'), 'again');
  });

  it('deleting what was never there is no error', async () => {
    assert.equal((await server.post('/data/set', { key: b64('never'), delete: true })).status, 200);
    assert.equal(await server.read('never'), undefined);
  });

  it('G4: keys 00, 7f, 80, ff are listed in the order of unsigned bytes, and an end of ff leaves ff out', async () => {
    const own = await scene.server();
    const keys = ['00', '7f', '80', 'ff'].map((hex) => Buffer.from(hex, 'hex').toString('base64'));
    for (const key of [2, 0, 3, 1]) await own.post('/data/set', { key: keys[key], value: '' });
    const listed = async (query: object): Promise<string[]> => (await own.list(query)).entries.map((entry) => entry.key);
    assert.deepEqual(await listed({}), keys);
    assert.deepEqual(await listed({ start: '', end: '' }), keys);
    assert.deepEqual(await listed({ reverse: true }), keys.toReversed());
    assert.deepEqual(await listed({ end: keys[3] }), keys.slice(0, 3));
    assert.deepEqual(await listed({ start: keys[1], end: keys[3] }), keys.slice(1, 3));
    assert.deepEqual(await listed({ start: keys[1], end: keys[1] }), []);
    assert.deepEqual(await listed({ prefix: keys[3] }), [keys[3]]);
  });

  it('G4: paging with the last key and a zero byte, as the Scala scripts do, sees each key once', async () => {
    await server.fill('g4/', 25);
    const seen: string[] = [];
    let start = b64('g4/');
    for (;;) {
      const { entries } = await server.list({ start, end: b64('g40'), limit: 7 });
      const last = entries.at(-1);
      if (last === undefined) break;
      seen.push(...entries.map((entry) => Buffer.from(entry.key, 'base64').toString()));
      start = Buffer.concat([Buffer.from(last.key, 'base64'), Buffer.of(0)]).toString('base64');
    }
    assert.deepEqual(
      seen,
      Array.from({ length: 25 }, (_, i) => `g4/${String(i).padStart(5, '0')}`),
    );
  });

  for (const order of ['forward', 'reverse'] as const) {
    it(`G4, L2: paging by next goes ${order} over each key once, and ends with null`, async () => {
      const prefix = `page-${order}/`;
      await server.fill(prefix, 23);
      const seen: string[] = [];
      let edges: object = { start: b64(prefix), end: b64(`page-${order}0`) };
      for (let pages = 0; ; pages += 1) {
        const { entries, next } = await server.list({ ...edges, limit: 5, reverse: order === 'reverse' });
        seen.push(...entries.map((entry) => Buffer.from(entry.key, 'base64').toString()));
        assert.ok(entries.length <= 5);
        if (next === null) break;
        assert.ok(pages < 10, 'it ends');
        edges = order === 'forward' ? { ...edges, start: next } : { ...edges, end: next };
      }
      const all = Array.from({ length: 23 }, (_, i) => `${prefix}${String(i).padStart(5, '0')}`);
      assert.deepEqual(seen, order === 'forward' ? all : all.toReversed());
    });
  }

  it('L2: a prefix lists exactly the keys that begin with it, with values and versions', async () => {
    const { version } = await server.set('l2/a', '1');
    await server.set('l2/b', '2');
    await server.set('l20', '3');
    const { entries, next } = await server.list({ prefix: b64('l2/') });
    assert.deepEqual(
      entries.map(({ key, value }) => [key, value]),
      [
        [b64('l2/a'), b64('1')],
        [b64('l2/b'), b64('2')],
      ],
    );
    assert.deepEqual([entries[0]?.version, next], [version, null]);
  });

  it('keysOnly leaves the values out', async () => {
    await server.set('keysonly', 'v');
    const { entries } = await server.list({ prefix: b64('keysonly'), keysOnly: true });
    assert.deepEqual(
      entries.map(({ key, value }) => [key, value]),
      [[b64('keysonly'), '']],
    );
  });

  it('a list without a limit gives 100 entries, and up to 1,000 with one', async () => {
    await server.fill('limit/', 1_001);
    assert.equal((await server.list({ prefix: b64('limit/') })).entries.length, 100);
    const { entries, next } = await server.list({ prefix: b64('limit/'), limit: 1_000 });
    assert.deepEqual([entries.length, next], [1_000, b64('limit/01000')]);
  });

  it('a list of large values stops at some 8 MiB and goes on from next', async () => {
    const value = 'v'.repeat(1_048_576);
    for (let i = 0; i < 10; i += 1) await server.set(`large/${i}`, value);
    const first = await server.list({ prefix: b64('large/') });
    assert.ok(first.entries.length >= 1 && first.entries.length < 10);
    assert.ok(first.next !== null);
    const rest = await server.list({ start: first.next, end: b64('large0') });
    assert.deepEqual([first.entries.length + rest.entries.length, rest.next], [10, null]);
  });

  it('Li7: a value of all 256 byte values, and a key of them, come back as they were', async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const key = bytes.toString('base64');
    assert.equal((await server.post('/data/set', { key, value: key })).status, 200);
    assert.equal(getAnswer.parse((await server.post('/data/get', { key })).json).value, key);
    const { entries } = await server.list({ start: key, limit: 1 });
    assert.deepEqual([entries[0]?.key, entries[0]?.value], [key, key]);
  });

  it('G5: a batch sets and deletes in one go, with a result for each operation', async () => {
    await server.set('g5/gone', 'v');
    const answer = await server.post('/data/batch', {
      ops: [
        { op: 'set', key: b64('g5/a'), value: b64('1') },
        { op: 'set', key: b64('g5/b'), value: '' },
        { op: 'delete', key: b64('g5/gone') },
      ],
    });
    assert.equal(answer.status, 200);
    const { results } = batchAnswer.parse(answer.json);
    assert.deepEqual(
      results.map((result) => result.applied),
      [true, true, true],
    );
    assert.equal(new Set(results.map((result) => result.version)).size, 3);
    assert.deepEqual(await Promise.all(['g5/a', 'g5/b', 'g5/gone'].map((key) => server.read(key))), ['1', '', undefined]);
  });

  it('G5: a batch of nothing does nothing', async () => {
    assert.deepEqual((await server.post('/data/batch', { ops: [] })).json, { results: [] });
  });

  it('G5, L5: a batch whose one condition fails writes nothing at all', async () => {
    const { version } = await server.set('atomic/held', 'v');
    const answer = await server.post('/data/batch', {
      ops: [
        { op: 'set', key: b64('atomic/new'), value: b64('1') },
        { op: 'delete', key: b64('atomic/held'), ifVersion: null },
        { op: 'set', key: b64('atomic/also'), value: b64('2') },
      ],
    });
    assert.equal(answer.status, 412);
    const { code, version: current, index } = errorIn(answer);
    assert.deepEqual([code, current, index], ['version_mismatch', version, 1]);
    assert.deepEqual(
      (await server.list({ prefix: b64('atomic/') })).entries.map((entry) => entry.key),
      [b64('atomic/held')],
    );
  });

  it('ifVersion writes only over that version, and tells the current one otherwise', async () => {
    const { version } = await server.set('if', 'one');
    const second = await server.set('if', 'two', { ifVersion: version });
    const answer = await server.post('/data/set', { key: b64('if'), value: b64('three'), ifVersion: version });
    assert.equal(answer.status, 412);
    assert.deepEqual([errorIn(answer).code, errorIn(answer).version], ['version_mismatch', second.version]);
    assert.equal(await server.read('if'), 'two');
  });

  it('ifVersion null writes only where there is nothing; against nothing the current version is null', async () => {
    await server.set('ifnull', 'one', { ifVersion: null });
    assert.equal((await server.post('/data/set', { key: b64('ifnull'), value: '', ifVersion: null })).status, 412);
    const answer = await server.post('/data/set', { key: b64('ifabsent'), value: '', ifVersion: '00'.repeat(16) });
    assert.deepEqual([answer.status, errorIn(answer).version], [412, null]);
    await server.post('/data/set', { key: b64('ifnull'), delete: true });
    await server.set('ifnull', 'two', { ifVersion: null });
    assert.equal(await server.read('ifnull'), 'two');
  });

  it('L5: a delete with the current version deletes, with an older one it does not', async () => {
    const old = await server.set('l5', 'one');
    const current = await server.set('l5', 'two');
    const refused = await server.post('/data/set', { key: b64('l5'), delete: true, ifVersion: old.version });
    assert.deepEqual([refused.status, errorIn(refused).version], [412, current.version]);
    assert.equal(await server.read('l5'), 'two');
    assert.equal((await server.post('/data/set', { key: b64('l5'), delete: true, ifVersion: current.version })).status, 200);
    assert.equal(await server.read('l5'), undefined);
  });

  it('of 20 who set with the same ifVersion at once, one succeeds', async () => {
    const { version } = await server.set('race', 'start');
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => server.post('/data/set', { key: b64('race'), value: b64(`by ${i}`), ifVersion: version })),
    );
    const winners = answers.flatMap((answer, i) => (answer.status === 200 ? [`by ${i}`] : []));
    assert.equal(winners.length, 1);
    assert.equal(answers.filter((answer) => answer.status === 412).length, 19);
    assert.equal(await server.read('race'), winners[0]);
  });

  it('a write with ttlMs is there, and is gone from get and list once its time is over', async () => {
    await server.set('ttl/long', 'v', { ttlMs: 3_600_000 });
    await server.set('ttl/short', 'v', { ttlMs: 150 });
    await until(async () => (await server.read('ttl/short')) === undefined);
    assert.deepEqual(
      (await server.list({ prefix: b64('ttl/') })).entries.map((entry) => entry.key),
      [b64('ttl/long')],
    );
    await server.set('ttl/short', 'anew', { ifVersion: null });
    assert.equal(await server.read('ttl/short'), 'anew');
  });

  it("the Scala original's curl line works unchanged", async () => {
    const { code, stdout } = await scene.process('sh', [
      '-c',
      `curl -s localhost:${server.port}/data/set -d '{"key":"aGk=","value":"eW8="}'`,
    ]).ended;
    assert.equal(code, 0);
    assert.equal(setAnswer.parse(JSON.parse(stdout.toString())).applied, true);
    assert.equal(await server.read('hi'), 'yo');
  });

  it('a HEAD is answered without a body where a GET is', async () => {
    const answer = await server.send('HEAD', '/cluster_id');
    assert.deepEqual([answer.status, answer.text], [200, '']);
  });

  it('G9: /cluster_id is a UUID in plain text, the one of the ready line', async () => {
    const answer = await server.get('/cluster_id');
    assert.match(String(answer.headers['content-type']), /^text\/plain/);
    assert.equal(answer.text, server.clusterId);
    assert.equal(server.meshId, toHex(openMesh.id));
  });

  it('G9: /cluster_id and the data survive a restart, and two servers have two', async () => {
    const first = await scene.server();
    await first.set('kept', 'v');
    const sum = (await first.tree()).sum;
    assert.equal((await first.stop()).code, 0);
    const again = await scene.server(first.data);
    assert.equal((await again.get('/cluster_id')).text, first.clusterId);
    assert.deepEqual([await again.read('kept'), (await again.tree()).sum], ['v', sum]);
    assert.notEqual(first.clusterId, server.clusterId);
  });

  it('/peers, /livez and /readyz answer', async () => {
    assert.deepEqual((await server.get('/peers')).json, { peers: [] });
    assert.equal((await server.get('/livez')).status, 200);
    assert.equal((await server.get('/readyz')).status, 200);
  });

  it('/control/tree counts the entries, and equal content gives equal sums whatever else happened', async () => {
    const own = await scene.server();
    const empty = await own.tree();
    assert.deepEqual([empty.count, empty.bytes, /^0{96}$/.test(empty.sum)], [0, 0, true]);
    await own.set('key', 'value');
    const one = await own.tree();
    assert.deepEqual([one.count, one.bytes], [1, 8]);
    assert.notEqual(one.sum, empty.sum);
    assert.deepEqual([one.levels, one.topBranches], [1, 1]);
  });

  it('/metrics has histograms of requests and commits, batch sizes, entries, bytes, exchanges, clock, parked', async () => {
    const answer = await server.get('/metrics');
    assert.match(String(answer.headers['content-type']), /^text\/plain/);
    for (const name of [
      'http_request_seconds_bucket',
      'commit_seconds_bucket',
      'commit_writes_bucket',
      'commit_bytes_total',
      'entries',
      'entry_bytes',
      'exchanges_total',
      'exchange_bytes_total',
      'clock_ahead_seconds',
      'parked_writes',
    ]) {
      assert.match(answer.text, new RegExp(`^(# TYPE )?gkvmesh_${name}[ {]`, 'm'), name);
    }
    const entries = Number(/^gkvmesh_entries (\d+)$/m.exec(answer.text)?.[1]);
    assert.equal(entries, (await server.tree()).count);
    assert.match(answer.text, /gkvmesh_http_request_seconds_count\{route="\/data\/set",status="200"\} \d+/);
  });

  it('paths that somebody makes up make no new metrics', async () => {
    for (let i = 0; i < 5; i += 1) await server.get(`/made/up/${i}`);
    assert.doesNotMatch((await server.get('/metrics')).text, /made\/up/);
  });

  it('/openapi.json describes every path, and its references lead somewhere', async () => {
    const answer = await server.get('/openapi.json');
    const document = z
      .object({ openapi: z.string(), info: z.object({ title: z.string(), version: z.string() }), paths: z.record(z.string(), z.unknown()) })
      .parse(answer.json);
    assert.match(document.openapi, /^3\.1\./);
    assert.deepEqual(Object.keys(document.paths).toSorted(), [
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
    for (const [, reference] of answer.text.matchAll(/"\$ref":"([^"]+)"/g)) {
      assert.ok(resolves(answer.json, reference ?? ''), reference);
    }
  });

  it('an answer carries a request id: its own or the one that was given', async () => {
    assert.match(String((await server.get('/livez')).headers['x-request-id']), /./);
    assert.equal((await server.post('/data/get', { key: 'aGk=' }, { 'x-request-id': 'mine-1' })).headers['x-request-id'], 'mine-1');
  });

  it('G8: one connection carries one request after the other, also when they come at once (replaced)', async () => {
    const body = '{"key":"aGk="}';
    const one = `POST /data/get HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const last = 'GET /cluster_id HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
    const text = await rawExchange(server.port, [one, one, last], 'stay-open');
    assert.equal(text.match(/HTTP\/1\.1 200 /g)?.length, 3);
    assert.ok(text.endsWith(server.clusterId));
  });

  it('G8: Expect: 100-continue is answered before the body comes (replaced)', async () => {
    const { code, stdout, stderr } = await scene.process('sh', [
      '-c',
      `head -c 1048576 /dev/zero | base64 -w0 | sed 's/^/{"key":"ZXhwZWN0","value":"/;s/$/"}/' | curl -sv -H 'Expect: 100-continue' --data-binary @- localhost:${server.port}/data/set`,
    ]).ended;
    assert.equal(code, 0);
    assert.match(stderr, /100 Continue/);
    assert.equal(setAnswer.parse(JSON.parse(stdout.toString())).applied, true);
    assert.equal((await server.read('expect'))?.length, 1_048_576);
  });
});

function resolves(document: unknown, reference: string): boolean {
  let at: unknown = document;
  for (const part of reference.replace(/^#\//, '').split('/')) {
    const record = z.record(z.string(), z.unknown()).safeParse(at);
    if (!record.success) return false;
    at = record.data[part];
  }
  return at !== undefined;
}
