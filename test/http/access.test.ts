import assert from 'node:assert/strict';
import { GkvError } from '../../src/core/errors.ts';
import { Pattern } from '../../src/grant/pattern.ts';
import { makeToken, TokenTable, type Token, type TokenRight } from '../../src/grant/token.ts';
import { TokenAccess } from '../../src/http/access.ts';
import { seededRandom } from '../support.ts';
import { b64, codeOf, post, send, startApi, type TestApi } from './harness.ts';
import { fieldsOf, one, openRegion } from './signing.ts';

const random = seededRandom(7);
const tokens: Token[] = [];

function tokenFor(rights: readonly TokenRight[], ...patterns: string[]): string {
  const { token, text } = makeToken(
    { name: '', rights: new Set(rights), patterns: patterns.map((pattern) => Pattern.parse(Buffer.from(pattern))) },
    random,
  );
  tokens.push(token);
  return text;
}

const france = tokenFor(['read', 'write'], '/cities/FR/**');
const capitals = tokenFor(['read', 'delete'], '/cities/*/capital', '/flags/**');
const all = tokenFor(['read', 'write', 'delete'], '**');
const operator = tokenFor(['control']);
const dropBox = tokenFor(['write'], '/drop/**');
const both = tokenFor(['write', 'control'], '@system/**');

describe('HTTP API with bearer tokens', () => {
  let api: TestApi;
  before(async () => {
    const records = { page: () => Promise.resolve({ records: [], next: undefined }) };
    api = await startApi({ records, access: new TokenAccess(() => new TokenTable(tokens)) });
  });
  after(() => api[Symbol.asyncDispose]());

  /** The status, and the code where there is one. */
  const asks = async (token: string | undefined, path: string, body: object): Promise<string> => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const { status, json } = await post(`${api.url}${path}`, body, headers);
    const code = codeOf(json);
    return typeof code === 'string' ? `${status} ${code}` : String(status);
  };
  const set = (token: string, key: string): Promise<string> => asks(token, '/data/set', { key: b64(key), value: b64('1') });
  const get = (token: string, key: string): Promise<string> => asks(token, '/data/get', { key: b64(key) });

  it('T31, H10, Li12: without a token, with another’s and with another scheme it is 401, and nothing is done', async () => {
    const body = { key: b64('/cities/FR/Paris'), value: b64('1') };
    const none = 'gkv_0000000000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';
    for (const authorization of [undefined, `Bearer ${none}`, `Basic ${france}`, 'Bearer', `Bearer ${france} ${france}`, france]) {
      const answer = await post(`${api.url}/data/set`, body, authorization === undefined ? {} : { authorization });
      assert.deepEqual([answer.status, codeOf(answer.json)], [401, 'unauthenticated']);
      assert.equal(answer.headers['www-authenticate'], 'Bearer');
    }
    assert.equal(api.store.held.size, 0);
  });

  it('T31, Li20: ifVersion needs the right to read: its refusal tells the version', async () => {
    const body = { key: b64('/drop/1'), value: b64('1') };
    assert.equal(await asks(dropBox, '/data/set', body), '200');
    assert.equal(await asks(dropBox, '/data/set', { ...body, ifVersion: null }), '403 right_denied');
    assert.equal(await asks(dropBox, '/data/batch', { ops: [{ op: 'set', ...body, ifVersion: '0'.repeat(32) }] }), '403 right_denied');
    assert.equal(await asks(all, '/data/set', { ...body, ifVersion: null }), '412 version_mismatch');
  });

  it('T31, Li20: a right that the token lacks, and a key that none of its patterns matches, are 403', async () => {
    assert.equal(await set(france, '/cities/FR/Paris'), '200');
    assert.equal(await get(france, '/cities/FR/Paris'), '200');
    assert.equal(await set(france, '/cities/DE/Berlin'), '403 key_denied');
    assert.equal(await get(france, '/cities/DE/Berlin'), '403 key_denied');
    assert.equal(await get(france, '/cities/FRANCE/Paris'), '403 key_denied');
    assert.equal(await asks(france, '/data/set', { key: b64('/cities/FR/Paris'), delete: true }), '403 right_denied');
    assert.equal(await asks(capitals, '/data/set', { key: b64('/cities/FR/capital'), delete: true }), '200');
    assert.equal(await set(capitals, '/cities/FR/capital'), '403 right_denied');
    assert.equal(await get(operator, '/cities/FR/Paris'), '403 right_denied');
  });

  it('T31: records of the mesh itself are written by those alone that may control it too', async () => {
    assert.equal(await set(all, '@system/peers/x'), '403 right_denied');
    assert.equal(await asks(all, '/data/set', { key: b64('@system/peers/x'), delete: true }), '403 right_denied');
    assert.equal(await get(all, '@system/peers/x'), '200');
    assert.equal(await set(both, '@system/peers/x'), '200');
    assert.equal(await set(both, '/cities/FR/Paris'), '403 key_denied');
  });

  it('T31: a batch is refused whole for one of its writes', async () => {
    const ops = ['/cities/FR/Lyon', '/cities/DE/Bonn'].map((key) => ({ op: 'set', key: b64(key), value: b64('1') }));
    assert.equal(await asks(france, '/data/batch', { ops }), '403 key_denied');
    assert.equal(await get(all, '/cities/FR/Lyon'), '200');
    assert.ok(![...api.store.held.keys()].some((key) => Buffer.from(key, 'latin1').toString().includes('Lyon')));
    assert.equal(await asks(all, '/data/batch', { ops }), '200');
  });

  it('T31: a list needs a pattern that all keys of its range match', async () => {
    assert.equal(await asks(france, '/data/list', { prefix: b64('/cities/FR/') }), '200');
    assert.equal(await asks(france, '/data/list', { prefix: b64('/cities/FR/P') }), '200');
    assert.equal(await asks(france, '/data/list', { start: b64('/cities/FR/a'), end: b64('/cities/FR/b') }), '200');
    for (const query of [
      {},
      { prefix: b64('/cities/') },
      { prefix: b64('/cities/FR') },
      { start: b64('/cities/FR/') },
      { start: b64('/cities/FR/a'), end: b64('/cities/FR1') },
      { start: b64('/cities/FQ'), end: b64('/cities/FR/b') },
    ]) {
      assert.equal(await asks(france, '/data/list', query), '403 key_denied', JSON.stringify(query));
    }
    assert.equal(await asks(capitals, '/data/list', { prefix: b64('/cities/FR/capital') }), '403 key_denied');
    assert.equal(await asks(capitals, '/data/list', { prefix: b64('/flags/') }), '200');
    assert.equal(await asks(all, '/data/list', {}), '200');
  });

  it('T31: H10: what is not data needs the right to control; probes and the description of the API need nothing', async () => {
    const paths = ['/control/status', '/control/tree', '/control/key?key=YQ', '/control/refused', '/control/records', '/metrics', '/peers'];
    const status = async (path: string, token?: string): Promise<number> =>
      (await send(`${api.url}${path}`, 'GET', undefined, token === undefined ? {} : { authorization: `Bearer ${token}` })).status;
    for (const path of paths) {
      assert.deepEqual([await status(path), await status(path, all), await status(path, operator)], [401, 403, 200], path);
    }
    for (const path of ['/livez', '/readyz', '/openapi.json', '/cluster_id', '/mesh_id']) assert.equal(await status(path), 200, path);
    assert.equal(await asks(all, '/control/members/remove', { clusterId: '00000000-0000-4000-8000-000000000001' }), '403 right_denied');
    assert.equal(await asks(all, '/control/aae/pull', { peer: 'localhost:1' }), '403 right_denied');
    assert.equal(await asks(all, '/control/backup', {}), '403 right_denied');
  });

  it('T31: the description tells of each path whether it needs a token', async () => {
    const { paths } = JSON.parse((await send(`${api.url}/openapi.json`, 'GET')).text) as {
      paths: Record<string, Record<string, { security: readonly object[] }>>;
    };
    for (const [path, operations] of Object.entries(paths))
      for (const [method, { security }] of Object.entries(operations)) {
        const { status } = await send(`${api.url}${path}`, method.toUpperCase(), method === 'post' ? '{}' : undefined);
        assert.equal(status === 401, security.length > 0, path);
      }
  });

  it('T40, H10, Li12: what a client has signed needs no token, but none that is wrong; all else does, and nothing of it is read in an open mesh', async () => {
    const region = await openRegion();
    await using granted = await startApi({ store: region.replica, access: new TokenAccess(() => new TokenTable(tokens)) });
    const asksGranted = async (path: string, body: object, token?: string): Promise<string> => {
      const { status, json } = await post(`${granted.url}${path}`, body, token === undefined ? {} : { authorization: `Bearer ${token}` });
      return `${status} ${String(codeOf(json))}`;
    };
    const signed = fieldsOf(one());
    assert.equal(await asksGranted('/data/set', signed), '200 undefined');
    assert.equal(await asksGranted('/data/batch', { ops: [{ op: 'write', ...fieldsOf(one({ key: '/cities/FR/2' })) }] }), '200 undefined');
    assert.equal(await asksGranted('/data/set', fieldsOf(one({ key: '/cities/DE/1' })), all), '403 key_denied');
    assert.equal(await asksGranted('/data/set', signed, operator), '200 undefined', 'rights of a token are not asked');
    assert.equal(await asksGranted('/data/set', signed, 'gkv_0'), '401 unauthenticated');
    const own = { key: b64('/cities/FR/3'), value: b64('1') };
    assert.equal(await asksGranted('/data/set', own), '401 unauthenticated');
    assert.equal(await asksGranted('/data/batch', { ops: [{ op: 'set', ...own }] }), '401 unauthenticated');
    assert.equal(await asksGranted('/data/batch', { ops: [] }), '401 unauthenticated');
    assert.equal(await asksGranted('/data/set', own, france), '200 undefined');
    assert.equal(await asksGranted('/data/get', { key: own.key }), '401 unauthenticated');
    const { status, json } = await post(`${api.url}/data/set`, signed);
    assert.deepEqual([status, codeOf(json)], [401, 'unauthenticated']);
    assert.equal(await asks(all, '/data/set', signed), '409 mesh_mismatch');
  });

  it('H13, H10: a cluster that takes no more writes says so to who may send them, and to what clients signed', async () => {
    const ended = (): GkvError => new GkvError('must_bootstrap', 'it was removed');
    const region = await openRegion();
    const access = new TokenAccess(() => new TokenTable(tokens));
    await using granted = await startApi({ store: region.replica, access, health: { live: () => true, unready: () => undefined, ended } });
    const sets = async (body: object, token?: string): Promise<string> => {
      const { status, json } = await post(`${granted.url}/data/set`, body, token === undefined ? {} : { authorization: `Bearer ${token}` });
      return `${status} ${String(codeOf(json))}`;
    };
    const own = { key: b64('/cities/FR/3'), value: b64('1') };
    assert.deepEqual([await sets(own), await sets(own, capitals)], ['401 unauthenticated', '403 right_denied']);
    assert.deepEqual([await sets(own, france), await sets(fieldsOf(one()))], ['409 must_bootstrap', '409 must_bootstrap']);
  });
});
