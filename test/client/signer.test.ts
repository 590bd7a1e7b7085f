import assert from 'node:assert/strict';
import { Client } from '../../src/client/client.ts';
import { Signer, type SignedWrite } from '../../src/client/signer.ts';
import { compareStamps, makeStamp, physicalMsOf, stampToHex, type Stamp } from '../../src/core/stamp.ts';
import { decodeBody, type WriteBody } from '../../src/core/write.ts';
import { clientInstance } from '../../src/crypto/mesh.ts';
import { startApi } from '../http/harness.ts';
import { french, mesh, nowMs, openRegion } from '../http/signing.ts';
import { key } from '../aae/world.ts';
import { person } from '../grant/world.ts';
import { FakeClock } from '../support.ts';

const bodyOf = ({ write }: SignedWrite): WriteBody => decodeBody(Buffer.from(write, 'base64'));
const set = (name: string, above?: string) =>
  ({ kind: 'set', key: Buffer.from(name), value: Buffer.from(name), ...(above === undefined ? {} : { above }) }) as const;

describe('signer', () => {
  let clock: FakeClock;
  let signer: Signer;

  beforeEach(() => {
    clock = new FakeClock();
    signer = new Signer({ meshId: mesh.id, grantId: french.id, key: person('writer'), now: () => clock.now() });
  });

  it('T40: versions rise within a millisecond, when the clock goes back, and above what is replaced', () => {
    const versions: Stamp[] = [];
    const next = (above?: string): void => {
      versions.push(...signer.sign([set('a', above), set('b')]).map((signed) => bodyOf(signed).version));
    };
    next();
    clock.ms -= 60_000;
    next();
    clock.ms += 60_001;
    next();
    next(stampToHex(makeStamp(nowMs + 4_000, 3, clientInstance(person('a').publicKey))));
    for (const [i, version] of versions.entries()) {
      assert.deepEqual(Buffer.from(version.subarray(8)), Buffer.from(clientInstance(person('writer').publicKey)));
      if (i > 0) assert.ok(compareStamps(version, versions[i - 1]!) > 0, String(i));
    }
    assert.deepEqual(
      [4, 6].map((i) => physicalMsOf(versions[i]!) - nowMs),
      [1, 4_000],
    );
  });

  it('T40: what no write can be is not signed', () => {
    const grant = { meshId: mesh.id, key: person('writer'), now: () => nowMs };
    const ids = { meshId: mesh.id, grantId: french.id };
    for (const wrong of [Buffer.alloc(0), Buffer.alloc(31), Buffer.alloc(33), 'x'.repeat(32), undefined] as Uint8Array[]) {
      assert.throws(() => new Signer({ ...grant, ...ids, meshId: wrong }), { name: 'GkvError', code: 'malformed', message: /^meshId: / });
      assert.throws(() => new Signer({ ...grant, ...ids, grantId: wrong }), { name: 'GkvError', code: 'malformed', message: /^grantId: / });
    }
    for (const expiresAt of [NaN, 1.5, -1, Infinity, -Infinity, 2 ** 53, '5' as unknown as number])
      assert.throws(() => signer.sign([{ ...set('a'), expiresAt }]), { name: 'GkvError', code: 'malformed', message: /^expiresAt: / });
    for (const expiresAt of [0, 1, 2 ** 53 - 1])
      assert.deepEqual(
        signer.sign([{ ...set('a'), expiresAt }]).map((write) => bodyOf(write).expiresAt),
        [expiresAt],
      );
    const none = ['', 'ff', 'F'.repeat(32), 'f'.repeat(33), 'f'.repeat(32), 5, Buffer.alloc(16)] as string[];
    for (const above of none)
      for (const op of [set('a', above), { kind: 'delete', key: Buffer.from('a'), above } as const])
        assert.throws(() => signer.sign([op]), { name: 'GkvError', code: 'malformed' }, above);
    assert.equal(signer.sign([{ ...set('a'), above: null }]).length, 1, 'the version of a key that is not there');
    for (const ms of [NaN, -1, 2 ** 48, Infinity])
      assert.throws(() => new Signer({ ...grant, ...ids, now: () => ms }).sign([set('a')]), {
        name: 'GkvError',
        code: 'malformed',
        message: /^now: /,
      });
    assert.throws(() => signer.sign([set('')]), { code: 'malformed' });
    assert.throws(() => signer.sign([set('x'.repeat(1_025))]), { code: 'too_large' });
    assert.throws(() => signer.sign([{ ...set('a'), value: Buffer.alloc(1_048_577) }]), { code: 'too_large' });
    assert.deepEqual(signer.sign([]), []);
  });

  it('K21: T40: a client sends them one by one and in batches of more than one signature serves, and asks for the id of the mesh', async () => {
    const region = await openRegion({ clock });
    await using api = await startApi({ store: region.replica });
    await using client = new Client(api.url);
    assert.equal((await client.meshId()).length, 32);
    const [one] = signer.sign([set('/cities/FR/one')]);
    const first = await client.setSigned(one!);
    assert.equal(first.applied, true);
    assert.deepEqual(await client.setSigned(one!), { ...first, applied: false }, 'sent again');
    const many = signer.sign(Array.from({ length: 300 }, (_, i) => set(`/cities/FR/${i}`)));
    assert.deepEqual(new Set((await client.batchSigned(many)).map(({ applied }) => applied)), new Set([true]));
    assert.equal(String((await client.get(Buffer.from('/cities/FR/299'))).value), '/cities/FR/299');
    const [gone] = signer.sign([{ kind: 'delete', key: Buffer.from('/cities/FR/one') }]);
    await client.setSigned(gone!);
    assert.equal((await region.replica.get(key('/cities/FR/one'))).exists, false);
    const [elsewhere] = signer.sign([set('/cities/DE/1')]);
    await assert.rejects(client.setSigned(elsewhere!), {
      code: 'key_denied',
      details: { index: 0, link: 1, grant: Buffer.from(french.id).toString('hex'), endedBy: null },
    });
  });
});
