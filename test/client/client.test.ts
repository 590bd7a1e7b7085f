import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { describe, it } from 'mocha';
import { Client } from '../../src/client/client.ts';
import { GkvError } from '../../src/core/errors.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openInstance } from '../aae/world.ts';
import { report, startApi } from '../http/harness.ts';

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
