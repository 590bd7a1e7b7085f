import assert from 'node:assert/strict';
import { decodeAny, encodeAny, recordText } from '../../src/grant/anyRecord.ts';
import { readRecordsPage } from '../../src/grant/ledger.ts';
import { Pattern } from '../../src/grant/pattern.ts';
import { recordsView } from '../../src/server/recordsView.ts';
import { storeKey, tables } from '../../src/store/keyspace.ts';
import { u64Bytes } from '../../src/core/bytes.ts';
import { type Instance } from '../aae/world.ts';
import { anyOf } from '../grant/world.ts';
import { codeOf, send, startApi, type TestApi } from './harness.ts';
import { french, held, mesh, openRegion } from './signing.ts';

interface Told {
  readonly number: number;
  readonly kind: string;
  readonly record: string;
}

interface Page {
  readonly records: readonly Told[];
  readonly next: number | null;
}

describe('GET /control/records', () => {
  let region: Instance;
  let api: TestApi;
  const ended = mesh.revocation(french, 'a');

  beforeEach(async () => {
    region = await openRegion();
    await region.ledger?.take([anyOf(ended)]);
    api = await startApi({ records: recordsView(region.store, mesh.id) });
  });
  afterEach(() => api[Symbol.asyncDispose]());

  const asked = async (query: string): Promise<Page> => JSON.parse((await send(`${api.url}/control/records${query}`, 'GET')).text) as Page; // as the schema says
  const refusal = async (query: string): Promise<string> => {
    const { status, text } = await send(`${api.url}/control/records${query}`, 'GET');
    return `${status} ${String(codeOf(JSON.parse(text) as Record<string, unknown>))}`; // our API answers with objects
  };

  it('K20: K21: T45: tells all records as they were signed, in the order of the ledger, what has ended and what ended it too', async () => {
    const all = [mesh.root, held, french, ended].map(anyOf);
    const { records, next } = await asked('');
    assert.deepEqual(
      records.map(({ number, kind, record }) => `${number} ${kind}:${record}`),
      all.map((any, i) => `${i + 1} ${recordText(any)}`),
    );
    assert.equal(next, null);
  });

  it('T45: pages go on where the last one ended', async () => {
    const pages: [number[], number | null][] = [];
    for (let after: number | null = 0; after !== null;) {
      const { records, next }: Page = await asked(`?limit=3&after=${after}`);
      pages.push([records.map(({ number }) => number), next]);
      after = next;
    }
    assert.deepEqual(pages, [
      [[1, 2, 3], 3],
      [[4], null],
    ]);
    assert.deepEqual((await asked('?after=2&limit=2')).next, null);
    assert.deepEqual(await asked('?after=4'), { records: [], next: null });
    assert.deepEqual(await asked('?after=65536'), { records: [], next: null });
  });

  it('I9: T45: a page has 200 records, and 1 MiB of them, at the most', async () => {
    const wide = Array.from({ length: 8 }, (_, i) => Pattern.parse(Buffer.from(`${i}${'x'.repeat(1_023)}`)));
    const small = Array.from({ length: 250 }, () => anyOf(mesh.grant('b')));
    const large = Array.from({ length: 150 }, () => anyOf(mesh.grant('b', { patterns: wide })));
    assert.deepEqual(new Set(await region.ledger?.take([...small, ...large])), new Set([undefined]));
    const first = await asked('');
    assert.deepEqual([first.records.length, first.next], [200, 200]);
    const { records, next } = await asked('?after=254');
    const bytes = records.map(({ record }) => Buffer.from(record, 'base64').length + 1);
    const sum = bytes.reduce((total, one) => total + one, 0);
    assert.ok(sum <= 1_048_576 && sum + (bytes[0] ?? 0) > 1_048_576, String(sum));
    assert.equal(next, 254 + records.length);
    assert.equal((await asked(`?after=${next}`)).next, null);
  });

  it('H14: T45: a query that is not exactly one is refused, by its field', async () => {
    for (const query of [
      '?limit=0',
      '?limit=201',
      '?limit=1e2',
      '?limit=',
      '?limit=02',
      '?limit=1.5',
      '?limit=1&limit=1',
      '?after=-1',
      '?after=65537',
      '?after=%201',
      '?after=0x1',
      '?after[]=1&after=1&after=2',
    ])
      assert.match(await refusal(query), /^400 (?:malformed|unknown_field)$/, query);
    assert.equal(await refusal('?limit=abc'), '400 malformed');
    assert.equal(await refusal('?before=1'), '400 unknown_field');
    assert.equal(await refusal('?__proto__=1'), '400 unknown_field');
    const { text } = await send(`${api.url}/control/records?after=70000`, 'GET');
    assert.match(text, /"field":"after"/);
  });

  it('T45: an open mesh has none, and says so with mesh_mismatch', async () => {
    await using open = await startApi();
    const { status, text } = await send(`${open.url}/control/records`, 'GET');
    assert.equal(status, 409);
    assert.equal(codeOf(JSON.parse(text) as Record<string, unknown>), 'mesh_mismatch'); // as above
  });

  it('T45: a record that is damaged in the store is corrupt', async () => {
    const { records } = await region.store.read((snapshot) => readRecordsPage(snapshot, 0, 1));
    const damaged = Buffer.concat([encodeAny(decodeAny(records[0]!, mesh.id)), Buffer.of(0)]);
    await region.store.transact((tx) => {
      tx.set(storeKey(tables.record, u64Bytes(1)), damaged);
      return Promise.resolve();
    });
    assert.equal(await refusal(''), '500 corrupt');
    assert.equal((await asked('?after=1')).records.length, 3);
  });

  it('T45: the description tells which fields of an address there are, and which must be there', async () => {
    const { paths } = JSON.parse((await send(`${api.url}/openapi.json`, 'GET')).text) as {
      paths: Record<string, { get: { parameters: readonly { name: string; in: string; required: boolean; schema: { type: string } }[] } }>;
    };
    const told = (path: string): string[] | undefined =>
      paths[path]?.get.parameters.map((field) => `${field.name} ${field.schema.type} ${field.in} ${String(field.required)}`);
    assert.deepEqual(told('/control/records'), ['after integer query false', 'limit integer query false']);
    assert.deepEqual(told('/control/key'), ['key string query true']);
  });
});
