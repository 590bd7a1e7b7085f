import assert from 'node:assert/strict';
import { toHex } from '../../src/core/bytes.ts';
import { silentLog } from '../../src/core/ports.ts';
import { Metrics } from '../../src/http/metrics.ts';
import { LastRefusals } from '../../src/replica/refused.ts';
import { openInstance, remove, set, type Instance } from '../aae/world.ts';
import { anyOf, person } from '../grant/world.ts';
import { FakeClock } from '../support.ts';
import { post, readingsOf, send, startApi, type TestApi } from './harness.ts';
import { fieldsOf, french, held, mesh, nowMs, one, openRegion, statementsOf, versionOf, type Sent } from './signing.ts';
import { StubStore } from './stubStore.ts';

interface Refused {
  readonly via: string;
  readonly code: string;
  readonly key: string;
  readonly keyBytes: number;
  readonly [name: string]: unknown;
}

describe('what an operator is shown of authority', () => {
  let region: Instance;
  let api: TestApi;
  let refusals: LastRefusals;

  beforeEach(async () => {
    refusals = new LastRefusals(new FakeClock());
    region = await openRegion({ refusals });
    api = await startApi({ store: region.replica, entries: region.replica, refusals });
  });
  afterEach(() => api[Symbol.asyncDispose]());

  const sets = (write: Sent): ReturnType<typeof post> => post(`${api.url}/data/set`, fieldsOf(write));
  const json = async (path: string): Promise<unknown> => JSON.parse((await send(`${api.url}${path}`, 'GET')).text);
  const refused = async (): Promise<Refused[]> => ((await json('/control/refused')) as { refused: Refused[] }).refused; // as the schema says
  const candidates = async (name: string): Promise<{ leafGrant: string; chain: unknown }[]> => {
    const key = Buffer.from(name).toString('base64url');
    return ((await json(`/control/key?key=${key}`)) as { candidates: { leafGrant: string; chain: unknown }[] }).candidates; // as above
  };

  it('K11: K20: T41: of each candidate the chain is shown, and once it is revoked by what, until it is swept', async () => {
    await region.replica.write([set('/cities/FR/1', 'Lyon')]);
    await sets(one({ version: versionOf('writer', 100) })); // greater: the other way around the region's covers it (R29)
    const grants = [
      { grant: toHex(held.id), audience: toHex(person('a').publicKey) },
      { grant: toHex(french.id), audience: toHex(person('writer').publicKey) },
    ];
    const stands = { stands: true, code: null, message: null, link: null, endedBy: null };
    const chains = new Map((await candidates('/cities/FR/1')).map(({ leafGrant, chain }) => [leafGrant, chain]));
    assert.deepEqual(chains.get(toHex(french.id)), { grants, ...stands });
    assert.deepEqual(chains.get(toHex(held.id)), { grants: grants.slice(0, 1), ...stands });
    const revocation = mesh.revocation(french, 'a');
    await region.ledger?.take([anyOf(revocation)]);
    const ended = (await candidates('/cities/FR/1')).find(({ leafGrant }) => leafGrant === toHex(french.id));
    const { message, ...rest } = ended?.chain as Record<string, unknown>; // as the schema says
    assert.deepEqual(rest, { grants, stands: false, code: 'grant_revoked', link: 1, endedBy: toHex(revocation.id) });
    assert.match(String(message), /^revoked by /);
  });

  it('T41: in an open mesh no chain is shown', async () => {
    await api[Symbol.asyncDispose]();
    const open = await openInstance();
    await open.replica.write([set('k', 'v')]);
    api = await startApi({ entries: open.replica });
    const [only] = await candidates('k');
    assert.equal(only?.chain, null);
  });

  it('K11: T42: writes that were refused are listed, whichever way they came, the latest first, without values and with their keys cut', async () => {
    await sets(one({ key: '/cities/DE/1', value: 'secret' }));
    await sets({ ...one(), signature: one({ by: 'stranger' }).signature });
    const [statement] = statementsOf({ ...one({ key: '/cities/DE/2', value: 'secret' }), signature: one().signature });
    const { body, value, signature } = statement!;
    const write = { ...body, value, signature };
    const received = { write, id: region.digests.writeId(body), accepted: body.version };
    await region.replica.receive([received], 'feedfeedfeed');
    const stranger = await openRegion({ refusals }, []);
    await assert.rejects(stranger.replica.write([set('/cities/DE/3', 'secret'), remove('/cities/DE/4')]));
    await sets(one({ key: `/cities/FR/${'x'.repeat(100)}`, version: versionOf('writer', -20_000) }));
    const list = await refused();
    assert.deepEqual(
      list.map(({ via, code, key }) => [via, code, Buffer.from(key, 'base64').toString()]),
      [
        ['signed', 'version_stale', `/cities/FR/${'x'.repeat(53)}`],
        ['api', 'grant_unknown', '/cities/DE/3'],
        ['peer', 'bad_signature', '/cities/DE/2'],
        ['signed', 'bad_signature', '/cities/FR/1'],
        ['signed', 'key_denied', '/cities/DE/1'],
      ],
    );
    assert.equal(list[0]?.keyBytes, 111);
    assert.deepEqual([list[2]?.['peer'], list[4]?.['peer']], ['feedfeedfeed', null]);
    assert.deepEqual([list[4]?.['grant'], list[4]?.['link'], list[4]?.['endedBy']], [toHex(french.id), 1, null]);
    assert.equal(list[4]?.['at'], new Date(nowMs).toISOString());
    assert.doesNotMatch(JSON.stringify(list), /secret|c2VjcmV0/);
  });

  it('I9: T42: so many are remembered and no more; what is taken in, waits or found another version is none of them', async () => {
    await sets(one());
    await sets(one());
    const expected = { ...set('/cities/FR/1', 'v'), expected: { kind: 'absent' } } as const;
    await assert.rejects(region.replica.write([expected]));
    await region.replica.receive([], 'feedfeedfeed');
    assert.deepEqual(await refused(), []);
    for (let i = 0; i < 110; i += 1) await sets(one({ key: `/cities/DE/${i}` }));
    const list = await refused();
    assert.deepEqual([list.length, Buffer.from(list[0]?.key ?? '', 'base64').toString()], [100, '/cities/DE/109']);
  });

  it('T42: they are counted by code and way', async () => {
    const metrics = new Metrics(readingsOf(new StubStore()), silentLog);
    const counted = await openRegion({ refusals: metrics });
    for (let i = 0; i < 2; i += 1) await assert.rejects(counted.replica.writeSigned(statementsOf(one({ key: '/cities/DE/1' }))));
    assert.match(await metrics.text(), /^gkvmesh_writes_refused_total\{code="key_denied",via="signed"\} 2$/m);
  });
});
