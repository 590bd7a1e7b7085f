import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { describe, it } from 'mocha';
import { Client, type BatchOp, type ListQuery } from '../../src/index.ts';
import { GkvError } from '../../src/core/errors.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openInstance } from '../aae/world.ts';
import { report, startApi } from '../http/harness.ts';
import { FakeClock, until } from '../support.ts';

const a = Buffer.from('a');

describe('client', () => {
  it('L1, L2: sets, gets, lists and deletes', async () => {
    await using api = await startApi();
    await using client = new Client(api.url);
    const { version, applied } = await client.set(Buffer.from('a'), Buffer.of(0, 255));
    assert.equal(applied, true);
    assert.deepEqual(await client.get(Buffer.from('a')), { value: Buffer.of(0, 255), exists: true, version });
    await client.batch([{ op: 'set', key: 'Yg==', value: '' }]);
    const page = await client.list({ prefix: Buffer.alloc(0), limit: 1 });
    assert.deepEqual([page.entries.map(({ key }) => String(key)), String(page.next)], [['a'], 'b']);
    await client.delete(Buffer.from('a'));
    assert.equal((await client.get(Buffer.from('a'))).exists, false);
    assert.equal(await client.text('/readyz'), '{"ready":true}');
  });

  it('L2: entries are all that a query asks for, page by page, in both directions', async () => {
    await using api = await startApi();
    await using client = new Client(api.url);
    const names = ['a', 'b/1', 'b/2', 'b/3', 'b/4', 'b0'];
    await client.batch(names.map((name) => ({ op: 'set', key: Buffer.from(name).toString('base64'), value: '' })));
    const told = async (query: ListQuery): Promise<string[]> => {
      const seen: string[] = [];
      for await (const { key } of client.entries({ ...query, limit: 2 })) seen.push(String(key));
      return seen;
    };
    const prefix = Buffer.from('b/');
    assert.deepEqual(await told({}), names);
    assert.deepEqual(await told({ prefix }), names.slice(1, 5));
    assert.deepEqual(await told({ prefix, reverse: true }), names.slice(1, 5).toReversed());
    assert.deepEqual(await told({ prefix, start: Buffer.from('b/2'), end: Buffer.from('b/4') }), ['b/2', 'b/3']);
  });

  it('writes on a condition and for a time, and tells what each write of a batch became', async () => {
    const clock = new FakeClock();
    const { replica } = await openInstance({ clock });
    await using api = await startApi({ store: replica });
    await using client = new Client(api.url);
    const mismatch = (version: string | null) => ({ code: 'version_mismatch', details: { version, index: 0 } });
    const first = await client.set(a, a, { ifVersion: null });
    await assert.rejects(client.set(a, a, { ifVersion: null }), mismatch(first.version));
    const second = await client.set(a, a, { ifVersion: first.version, ttlMs: 1_000 });
    await assert.rejects(client.delete(a, { ifVersion: first.version }), mismatch(second.version));
    clock.ms += 1_001;
    assert.equal((await client.get(a)).exists, false);
    const ops: BatchOp[] = [
      { op: 'set', key: 'YQ==', value: 'YQ==', ifVersion: null, ttlMs: 1_000 },
      { op: 'set', key: 'Yg==', value: '', ifVersion: null },
    ];
    const results = await client.batch(ops);
    assert.deepEqual(
      results.map(({ applied }) => applied),
      [true, true],
    );
    const [one] = results;
    assert.equal((await client.get(a)).version, one?.version);
    await assert.rejects(client.batch(ops), mismatch(one?.version ?? ''));
    clock.ms += 1_001;
    assert.equal((await client.get(a)).exists, false);
    const b = Buffer.from('b');
    const { version } = await client.get(b);
    await assert.rejects(client.batch([{ op: 'delete', key: 'Yg==', ifVersion: null }]), mismatch(version));
    assert.equal((await client.delete(b, { ifVersion: version })).applied, true);
    assert.deepEqual(await client.batch([]), []);
  });

  it('reads what a write elsewhere was accepted under, or is told that it is not here', async () => {
    await using api = await startApi();
    await using client = new Client(api.url);
    const { accepted } = await client.set(a, a);
    const later = 'f'.repeat(32);
    assert.equal((await client.get(a, { atLeast: accepted })).exists, true);
    assert.equal((await client.list({}, { atLeast: accepted })).entries.length, 1);
    for (const read of [client.get(a, { atLeast: later }), client.list({}, { atLeast: later })])
      await assert.rejects(read, { code: 'unavailable', message: /not here yet/, details: {} });
  });

  it('a signal ends a request, before it is sent and while it is under way', async () => {
    await using api = await startApi();
    await using client = new Client(api.url);
    const signal = AbortSignal.abort();
    for (const ask of [client.set(a, a, { signal }), client.get(a, { signal }), client.list({}, { signal }), client.batch([], { signal })])
      await assert.rejects(ask, { name: 'GkvError', code: 'unavailable', message: /the signal/, details: {} });
    assert.equal(api.store.writes, 0);
    let open = (): void => undefined;
    api.store.gate = new Promise((resolve) => (open = resolve));
    const caller = new AbortController();
    const written = client.set(a, a, { signal: caller.signal });
    await until(() => api.store.writes === 1);
    caller.abort(new Error('enough'));
    await assert.rejects(written, { name: 'GkvError', code: 'unavailable', message: /the signal/, details: { outcome: 'unknown' } });
    open();
    assert.equal((await client.get(a, { signal: new AbortController().signal })).exists, true);
  });

  it('passes the server’s errors on, with code, message and details', async () => {
    await using api = await startApi();
    api.store.failure = new GkvError('version_mismatch', 'another is there', { details: { version: null, index: 0 } });
    await using client = new Client(api.url);
    await assert.rejects(client.set(Buffer.from('a'), Buffer.alloc(0)), {
      name: 'GkvError',
      code: 'version_mismatch',
      message: 'another is there',
      details: { version: null, index: 0 },
    });
  });

  it('R8: tells where the server does not know the outcome of a write, and where it was not begun', async () => {
    const database = new MemoryDatabase();
    const { replica } = await openInstance({ database });
    await using api = await startApi({ store: replica });
    await using client = new Client(api.url);
    await openInstance({ database, seed: 2 }); // takes the slot of the first
    await assert.rejects(client.set(a, a), { code: 'unavailable', details: { outcome: 'unknown' } });
    await client.set(a, a);
    await replica.close();
    await assert.rejects(client.set(a, a), { code: 'unavailable', details: {} });
  });

  it('tells of the progress of a pull, and gives its report or its error', async () => {
    await using api = await startApi({
      puller: {
        pull: ({ onProgress, host }) => {
          onProgress({ ...report, received: 1 });
          return host === 'good' ? Promise.resolve(report) : Promise.reject(new GkvError('peer_timeout', 'late'));
        },
      },
    });
    await using client = new Client(api.url);
    const seen: unknown[] = [];
    const done = await client.pull({ peer: 'good:1' }, ({ received }) => seen.push(received));
    assert.deepEqual([seen, done], [[1], { ...report }]);
    await assert.rejects(
      client.pull({ peer: 'bad:1' }, () => undefined),
      { code: 'peer_timeout' },
    );
  });

  it('takes no URL of which it would leave a part out', async () => {
    for (const [more, message] of [
      ['localhost/api', /"\/api" must not be there: use http:\/\/localhost$/],
      ['localhost/?a=b', /"\/\?a=b" must not be there/],
      ['localhost/#a', /"\/#a" must not be there/],
      ['user@localhost', /without a user and password/],
      ['user:secret@localhost', /^(?!.*secret).*without a user and password/],
      [':secret@localhost', /^(?!.*secret).*without a user and password/],
    ] as const)
      assert.throws(() => new Client(`http://${more}`), { code: 'bad_config', message }, more);
    await using api = await startApi();
    for (const url of [api.url, `${api.url}/`, api.url.replace('http', 'HTTP')]) {
      await using client = new Client(url);
      assert.equal(await client.text('/readyz'), '{"ready":true}');
    }
  });

  it('reports a server that is not there, or is none of ours', async () => {
    const foreign = createServer((_request, response) => response.end('<html>')).listen(0, '127.0.0.1');
    await new Promise((resolve) => foreign.once('listening', resolve));
    const { port } = foreign.address() as AddressInfo; // it listens on TCP
    {
      await using client = new Client(`http://127.0.0.1:${port}`);
      await assert.rejects(client.get(Buffer.from('a')), { code: 'unavailable', message: /not gkvmesh/ });
    }
    await new Promise((resolve) => foreign.close(resolve));
    await using gone = new Client(`http://127.0.0.1:${port}`);
    await assert.rejects(gone.get(Buffer.from('a')), { code: 'unavailable', message: /ECONNREFUSED/ });
    for (const url of ['', 'localhost:6300', 'ftp://localhost']) assert.throws(() => new Client(url), { code: 'bad_config' });
  });
});
