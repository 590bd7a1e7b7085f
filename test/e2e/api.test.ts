import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import { openMesh } from '../../src/crypto/mesh.ts';
import { toHex } from '../../src/core/bytes.ts';
import { errorAnswer, keyAnswer, setAnswer } from '../../src/http/schema.ts';
import { apiSuite } from '../http/apiSuite.ts';
import { until } from '../support.ts';
import { b64, rawExchange, Scene, type Answer, type RunningServer } from './server.ts';

describe('the HTTP API of a running server', () => {
  const scene = new Scene();
  let server: RunningServer;
  before(async () => {
    server = await scene.server();
  });
  after(() => scene.close());

  apiSuite(() => server.api);

  it('a list of large values stops at some 8 MiB and goes on from next', async () => {
    const value = 'v'.repeat(1_048_576);
    for (let i = 0; i < 10; i += 1) await server.set(`large/${i}`, value);
    const first = await server.list({ prefix: b64('large/') });
    assert.ok(first.entries.length >= 1 && first.entries.length < 10);
    assert.ok(first.next !== null);
    const rest = await server.list({ start: first.next, end: b64('large0') });
    assert.deepEqual([first.entries.length + rest.entries.length, rest.next], [10, null]);
  });

  it('/control/key tells every candidate of a key, and refuses what is no key', async () => {
    const key = Buffer.from('told/ünder');
    const { version, accepted } = await server.set('told/ünder', 'value');
    const told = (text: string): Promise<Answer> => server.get(`/control/key?key=${text}`);
    const { candidates } = keyAnswer.parse((await told(key.toString('base64url'))).json);
    const [only] = candidates;
    assert.ok(only !== undefined && candidates.length === 1);
    assert.deepEqual(
      [only.version, only.accepted, only.tombstone, only.expiresAt, only.bytes],
      [version, accepted, false, null, key.length + 5],
    );
    assert.equal(only.origin.cluster + String(only.origin.slot).padStart(4, '0'), accepted.slice(16));
    await server.post('/data/set', { key: key.toString('base64'), delete: true });
    assert.equal(keyAnswer.parse((await told(key.toString('base64url'))).json).candidates[0]?.tombstone, true);
    assert.deepEqual(keyAnswer.parse((await told('bm8')).json).candidates, []);
    for (const wrong of ['', 'a', 'bm8=', 'b m8', 'bm8&key=bm8']) {
      const refused = await told(wrong);
      assert.deepEqual([refused.status, errorAnswer.parse(refused.json).error.code], [400, 'malformed'], wrong);
    }
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
