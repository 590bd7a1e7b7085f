import assert from 'node:assert/strict';
import { toHex } from '../../src/core/bytes.ts';
import { makeStamp, stampToHex } from '../../src/core/stamp.ts';
import { grantZero, parseGrantId } from '../../src/core/write.ts';
import { clientInstance } from '../../src/crypto/mesh.ts';
import { encodeSignatureBlock } from '../../src/grant/signatureBlock.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { assertTree } from '../aae/oracle.ts';
import { openInstance, type Instance } from '../aae/world.ts';
import { anyOf, patternsOf } from '../grant/world.ts';
import { FakeClock } from '../support.ts';
import { b64, codeOf, errorOf, post, type TestApi } from './harness.ts';
import {
  fieldsOf,
  french,
  held,
  mesh,
  nowMs,
  one,
  openRegion,
  readIn,
  said,
  sendSet,
  sent,
  servedByEach,
  versionOf,
  type Json,
  type Sent,
  type Shape,
} from './signing.ts';

describe('writes that clients sign', () => {
  let region: Instance;
  let api: TestApi;
  let clock: FakeClock;
  const serve = servedByEach();

  beforeEach(async () => {
    clock = new FakeClock();
    region = await openRegion({ clock });
    api = await serve(region);
  });

  const sets = (write: Sent): Promise<Json> => sendSet(api, write);
  const batch = (...writes: readonly Sent[]): Promise<Json> =>
    post(`${api.url}/data/batch`, { ops: writes.map((write) => ({ op: 'write', ...fieldsOf(write) })) });
  const read = (name?: string): Promise<string | undefined> => readIn(region, name);
  /** Refused, and nothing is kept. */
  async function refuses(write: Sent, expected: string, what?: string): Promise<void> {
    assert.equal(said(await sets(write)), expected, what);
    assert.equal(await read(), undefined, what);
  }

  it('T40: K1: K21: one is taken in, is seen here and is taken in by another region as it was signed', async () => {
    const { status, json } = await sets(one());
    assert.deepEqual([status, json['applied'], json['version']], [200, true, stampToHex(versionOf('writer'))]);
    assert.ok(String(json['accepted']) > String(json['version']), 'accepted above its version, by this region');
    assert.equal(await read(), 'Paris');
    const { writes } = await region.replica.feedPage(new Uint8Array(12), new Map());
    const other = await openRegion({ cluster: 2 });
    assert.deepEqual(
      (await other.replica.receive(writes, 'peer')).map((result) => result.status),
      ['applied'],
    );
    assert.deepEqual(stampToHex(writes[0]!.accepted), json['accepted']);
    await assertTree(region.store, region.digests);
  });

  it('T40: a delete, a value of 1 MiB, an expiry and an empty value are signed writes as well', async () => {
    assert.equal(said(await sets(one({ value: 'x'.repeat(1_048_576), key: '/cities/FR/large' }))), '200');
    assert.equal((await read('/cities/FR/large'))?.length, 1_048_576);
    assert.equal(said(await sets(one({ value: '', expiresAt: nowMs + 10 }))), '200');
    assert.equal(await read(), '');
    clock.ms += 10;
    assert.equal(await read(), undefined);
    assert.equal(said(await sets(one({ version: versionOf('writer', 1) }))), '200');
    assert.equal(said(await sets(one({ version: versionOf('writer', 2), tombstone: true }))), '200');
    assert.equal(await read(), undefined);
  });

  it('T40: one that is here already says so, with the stamp of its first time, also where its signature is another', async () => {
    const first = await sets(one());
    const [inBatch] = sent({}, { key: '/cities/FR/2' });
    for (const again of [one(), inBatch!]) {
      const { json } = await sets(again);
      assert.deepEqual(json, { ...first.json, applied: false });
    }
    const forged = { ...one(), signature: one({ by: 'stranger' }).signature };
    assert.equal(said(await sets(forged)), '403 bad_signature', 'who cannot sign it does not learn that it is here');
  });

  it('K12: T40: one that loses to a greater write of its grant or of another says so; of another it is seen once that is gone', async () => {
    await sets(one({ version: versionOf('writer', 2) }));
    assert.deepEqual((await sets(one({ version: versionOf('writer', 1) }))).json['applied'], false);
    const second = mesh.given(held, 'a', 'second');
    await region.ledger?.take([anyOf(second)]);
    const leaf = parseGrantId(second.id);
    assert.deepEqual((await sets(one({ leaf, by: 'second', value: 'Lyon' }))).json['applied'], false);
    assert.equal(await read(), 'Paris');
    await region.ledger?.take([anyOf(mesh.revocation(french, 'a'))]);
    assert.equal(await read(), 'Lyon');
    await assertTree(region.store, region.digests);
  });

  it('I2: T40: of equal versions with different values the greater by id wins, in either order, and the other says that it lost', async () => {
    const seen: unknown[] = [];
    for (const order of ['one way', 'the other'] as const) {
      region = await openRegion();
      api = await serve(region);
      const both = [one({ value: 'Lyon' }), one({ value: 'Nice' })];
      const applied: unknown[] = [];
      for (const each of order === 'one way' ? both : both.reverse()) applied.push((await sets(each)).json['applied']);
      assert.equal(applied[0], true);
      seen.push(await read());
    }
    assert.equal(seen[0], seen[1]);
  });

  /** The body of a shape under the signature of the right write. */
  const swapped = (shape: Shape): Sent => ({ ...one(shape), signature: one().signature });
  for (const [what, write, expected] of [
    ['key', () => swapped({ key: '/cities/FR/2' }), '403 bad_signature'],
    ['key, to one of other slashes', () => swapped({ key: '//cities/FR/1' }), '403 key_denied'],
    ['key, to one of dots', () => swapped({ key: '/cities/DE/../FR/1' }), '403 key_denied'],
    ['version', () => swapped({ version: versionOf('writer', 1) }), '403 bad_signature'],
    ['version, to one of another’s', () => swapped({ version: versionOf('a') }), '400 malformed'],
    [
      'version, to one of a slot of the region',
      () => swapped({ version: makeStamp(nowMs, 0, clientInstance(Buffer.from('slot'))) }),
      '400 malformed',
    ],
    ['value', () => ({ ...one(), value: Buffer.from('Lyons') }), '400 malformed'],
    ['value, by one of another length', () => ({ ...one(), value: Buffer.from('Nice') }), '400 malformed'],
    ['value, in the body too', () => swapped({ value: 'Lyons' }), '403 bad_signature'],
    ['flags', () => swapped({ tombstone: true }), '403 bad_signature'],
    ['flags, with a value', () => ({ ...one(), write: flipped(one().write, 1) }), '400 malformed'],
    ['expiry', () => swapped({ expiresAt: nowMs + 60_000 }), '403 bad_signature'],
    ['leaf, to one that another holds', () => swapped({ leaf: parseGrantId(held.id) }), '400 malformed'],
    ['leaf and version, to those of another', () => swapped({ leaf: parseGrantId(held.id), version: versionOf('a') }), '403 bad_signature'],
    ['leaf, to one that nobody knows', () => swapped({ leaf: parseGrantId(Buffer.alloc(32, 5)) }), '403 grant_unknown'],
    ['leaf, to none', () => swapped({ leaf: grantZero }), '403 grant_unknown'],
  ] as const) {
    it(`K1: T40: another ${what} under a valid signature is ${expected}`, () => refuses(write(), expected));
  }

  it('K1: K3: T40: a signature of another holder, mesh or kind is bad_signature', async () => {
    const { signature } = one();
    const body = one({ leaf: parseGrantId(held.id), version: versionOf('a') });
    const [inBatch] = sent({}, { key: '/cities/FR/2' });
    const grantSignature = french.signatures[0]!.signature;
    const raised = Buffer.from(signature.subarray(-64));
    raised.set(plusOrder(raised.subarray(32)), 32);
    const neutral = Buffer.concat([Buffer.from(`01${'00'.repeat(31)}`, 'hex'), signature.subarray(-32)]);
    const blockOf = (bytes: Uint8Array): Buffer => Buffer.from(encodeSignatureBlock({ path: [], signature: bytes }));
    for (const [what, write] of [
      ['of a stranger', { ...one(), signature: one({ by: 'stranger' }).signature }],
      ['of another holder', { ...one(), signature: one({ by: 'a' }).signature }],
      ['by the writer of what another holds', { ...body, signature }],
      ['of another mesh', { ...one(), signature: one({ meshId: Buffer.alloc(32, 9) }).signature }],
      ['of a grant', { ...one(), signature: blockOf(grantSignature) }],
      ['with S + L', { ...one(), signature: blockOf(raised) }],
      ['with the neutral element as R', { ...one(), signature: blockOf(neutral) }],
      ['of zeros', { ...one(), signature: blockOf(new Uint8Array(64)) }],
      ['of a batch that it is not in', { ...one({ key: '/cities/FR/3' }), signature: inBatch!.signature }],
      ['of a batch, on the other side', { ...one(), signature: flipped(inBatch!.signature, 3) }],
      ['of a batch, with another sibling', { ...one(), signature: flipped(inBatch!.signature, 4) }],
    ] as const) {
      await refuses(write, '403 bad_signature', what);
    }
    assert.equal(said(await sets(inBatch!)), '200');
    assert.equal(await read(), 'Paris', 'as it was signed it is taken in');
  });

  it('T40: a grant whose holder is a key of small order is none, and neither is what it signs', async () => {
    const small = Buffer.from(`ecff${'ff'.repeat(29)}7f`, 'hex');
    const given = mesh.given(held, 'a', 'writer', { audience: small });
    const [refusal] = (await region.ledger?.take([anyOf(given)])) ?? [];
    assert.equal(refusal?.code, 'bad_public_key');
    await refuses(one({ leaf: parseGrantId(given.id) }), '403 grant_unknown');
  });

  it('T40: every truncation of a write and its signature, one byte more of each, and formats and flags that are unknown, are malformed', async () => {
    const whole = one();
    const wrong: Sent[] = [];
    for (const field of ['write', 'signature', 'value'] as const) {
      const bytes = whole[field];
      for (let length = 0; length < bytes.length; length += 1) wrong.push({ ...whole, [field]: bytes.subarray(0, length) });
      for (const more of [0, 1, 255]) wrong.push({ ...whole, [field]: Buffer.concat([bytes, Buffer.of(more)]) });
      wrong.push({ ...whole, [field]: Buffer.concat([bytes, bytes]) });
    }
    const withByte = (at: number, byte: number): Sent => {
      const write = Buffer.from(whole.write);
      write[at] = byte;
      return { ...whole, write };
    };
    for (const format of [0, 2, 255]) wrong.push(withByte(0, format));
    for (const flags of [2, 3, 0x80, 255]) wrong.push(withByte(1, flags));
    const keyAt = 1 + 1 + 16 + 8 + 32;
    for (const [at, byte] of [
      [keyAt, 0xff],
      [keyAt + 1, 0],
      [keyAt + 1, 0xff],
      [18, 0xff],
    ] as const)
      wrong.push(withByte(at, byte)); // lengths, and an expiry beyond 2^53
    const block = (at: number, byte: number): Sent => {
      const signature = Buffer.from(whole.signature);
      signature[at] = byte;
      return { ...whole, signature };
    };
    for (const [at, byte] of [
      [0, 1],
      [1, 0],
      [1, 0xff],
      [2, 1],
      [2, 9],
      [2, 255],
      [3, 1],
      [3, 0x80],
    ] as const)
      wrong.push(block(at, byte));
    wrong.push({ ...whole, signature: Buffer.alloc(2) }); // that of an open mesh
    for (const write of wrong) {
      await refuses(write, '400 malformed', JSON.stringify(fieldsOf(write)));
    }
    const valueAt = keyAt + 2 + 12;
    await refuses(withByte(valueAt, 0xff), '413 too_large');
  });

  it('T40: exactly three fields, each in base64; what is unknown, missing or of another kind is 400', async () => {
    const fields = fieldsOf(one());
    const cases: [object, string][] = [
      ...['key', 'ifVersion', 'ttlMs', 'delete', 'toString'].map((name): [object, string] => [
        { ...fields, [name]: 'YQ==' },
        '400 unknown_field',
      ]),
      ...(['write', 'value', 'signature'] as const).flatMap((name): [object, string][] => [
        [{ ...fields, [name]: 1 }, '400 malformed'],
        [{ ...fields, [name]: `${fields[name]}\n` }, '400 malformed'],
        [{ ...fields, [name]: null }, '400 malformed'],
      ]),
      [{ write: fields.write, value: fields.value }, '400 malformed'],
      [{ write: fields.write, signature: fields.signature }, '400 malformed'],
      [{ value: fields.value, signature: fields.signature }, '400 unknown_field'],
      [{ key: b64('/cities/FR/1'), value: fields.value, signature: fields.signature }, '400 unknown_field'],
    ];
    for (const [body, expected] of cases) assert.equal(said(await post(`${api.url}/data/set`, body)), expected, JSON.stringify(body));
    assert.equal(await read(), undefined);
  });

  for (const [what, aheadMs, expected] of [
    ['4,000 ms ahead', 4_000, '200'],
    ['4,001 ms ahead', 4_001, '400 version_future'],
    ['of an hour ahead', 3_600_000, '400 version_future'],
    ['of the greatest stamp', 2 ** 48 - 1 - nowMs, '400 version_future'],
    ['15,000 ms old', -15_000, '200'],
    ['15,001 ms old', -15_001, '400 version_stale'],
    ['of zero', -nowMs, '400 version_stale'],
  ] as const) {
    it(`K13: G39: T40: a version ${what} is ${expected}`, async () => {
      assert.equal(said(await sets(one({ version: versionOf('writer', aheadMs) }))), expected);
      assert.equal(await read(), expected === '200' ? 'Paris' : undefined);
      assert.ok(region.replica.hlc.aheadMs() <= 4_001, 'I11');
      if (expected === '200') return;
      const forged = { ...one({ version: versionOf('writer', aheadMs) }), signature: one().signature };
      await refuses(forged, expected, 'the clock is looked at before the signature');
    });
  }

  it('T40: one that was taken in is version_stale too, when it comes again after 15 s', async () => {
    assert.equal(said(await sets(one())), '200');
    clock.ms += 15_001;
    assert.equal(said(await sets(one())), '400 version_stale');
    assert.equal(await read(), 'Paris');
  });

  it('T40: where stamps are ahead of a clock that was set right, who is version_stale is sent elsewhere, and not told to sign anew', async () => {
    clock.ms += 86_400_000;
    region.replica.hlc.next();
    clock.ms -= 86_400_000;
    const refused = await sets(one());
    assert.equal(said(refused), '400 version_stale');
    assert.match(String(errorOf(refused.json)['message']), /864\d{5} ms ahead of our clock, which was wrong: write elsewhere$/);
  });

  it('K10: K11: K20: T40: a refusal names the check, the link, the grant, and what ended it', async () => {
    const refused = await sets(one({ key: '/cities/DE/1' }));
    const { code, message, index, link, grant, endedBy } = errorOf(refused.json);
    assert.deepEqual([refused.status, code, index, link, grant, endedBy], [403, 'key_denied', 0, 1, toHex(french.id), null]);
    assert.equal(message, `operation 0: grant ${toHex(french.id)}: no pattern of it matches the key`); // the command line shows no more
    await sets(one());
    const revocation = mesh.revocation(french, 'a');
    await region.ledger?.take([anyOf(revocation)]);
    for (const write of [one(), one({ key: '/cities/FR/2' })]) {
      const error = errorOf((await sets(write)).json);
      assert.deepEqual([error['code'], error['grant'], error['endedBy']], ['grant_revoked', toHex(french.id), toHex(revocation.id)]);
    }
    assert.equal(await read(), undefined);
  });

  it('K5: K6: T40: rights, times and patterns hold by every link of the chain', async () => {
    const grant = (more: Parameters<typeof mesh.given>[3]): Grant => mesh.given(held, 'a', 'writer', more);
    const reading = grant({ rights: 1, depth: 0 });
    const writing = grant({ rights: 2, depth: 0 });
    const over = grant({ expiresMs: nowMs });
    const later = grant({ notBeforeMs: nowMs + 1 });
    const deep = mesh.given(french, 'writer', 'b', { patterns: patternsOf('/cities/FR/b/**') });
    await region.ledger?.take([reading, writing, over, later, deep].map(anyOf));
    const under = ({ id }: Grant, more: Shape = {}): Sent => one({ leaf: parseGrantId(id), ...more });
    await refuses(under(reading), '403 right_denied');
    await refuses(under(writing, { tombstone: true }), '403 right_denied');
    await refuses(under(over), '403 grant_time');
    await refuses(under(later), '403 grant_time');
    await refuses(under(deep, { by: 'b' }), '403 key_denied');
    assert.equal(said(await sets(under(deep, { by: 'b', key: '/cities/FR/b/1' }))), '200');
    await region.ledger?.take([anyOf(mesh.revocation(french, 'a'))]);
    const ended = await sets(under(deep, { by: 'b', key: '/cities/FR/b/2' }));
    assert.deepEqual([codeOf(ended.json), errorOf(ended.json)['link']], ['grant_revoked', 1]);
  });

  it('T40: I3: below the floor, what is not here is refused, and nothing comes back', async () => {
    await region.replica.raiseFloor(versionOf('writer', 10));
    const { json, status } = await sets(one());
    assert.deepEqual([status, codeOf(json), await read()], [409, 'below_floor', undefined]);
    assert.equal(said(await sets(one({ version: versionOf('writer', 11) }))), '200');
  });

  it('T40: a batch is taken in whole or refused whole, and is all signed or not at all', async () => {
    const two = sent({}, { key: '/cities/FR/2', value: 'Lyon' });
    const mixed = {
      ops: [
        { op: 'write', ...fieldsOf(two[0]!) },
        { op: 'set', key: b64('/cities/FR/3'), value: '' },
      ],
    };
    assert.equal(said(await post(`${api.url}/data/batch`, mixed)), '400 malformed');
    assert.equal(said(await batch(one(), one({ value: 'Nice' }))), '400 malformed', 'the same key twice');
    const refused = await batch(two[0]!, one({ key: '/cities/DE/1' }));
    assert.deepEqual([said(refused), errorOf(refused.json)['index']], ['403 key_denied', 1]);
    assert.equal(await read(), undefined);
    const { json } = await batch(...two);
    assert.deepEqual(
      (json['results'] as { applied: boolean }[]).map(({ applied }) => applied),
      [true, true],
    );
    assert.deepEqual([await read(), await read('/cities/FR/2')], ['Paris', 'Lyon']);
    const again = await batch(...two, one({ key: '/cities/FR/3' }));
    assert.deepEqual(
      (again.json['results'] as { applied: boolean }[]).map(({ applied }) => applied),
      [false, false, true],
    );
  });

  it('T40: in an open mesh nothing is signed: mesh_mismatch', async () => {
    region = await openInstance();
    api = await serve(region);
    await refuses(one(), '409 mesh_mismatch');
  });

  it('I4: T40: keys are bytes: NUL matches and is signed as it stands', async () => {
    assert.equal(said(await sets(one({ key: '/cities/FR/\0' }))), '200');
    await refuses(one({ key: '/cities\0/FR/1' }), '403 key_denied');
  });
});

function flipped(bytes: Buffer, at: number): Buffer {
  const other = Buffer.from(bytes);
  other.writeUInt8(other.readUInt8(at) ^ 1, at);
  return other;
}

/** S + L, little-endian. */
function plusOrder(scalar: Uint8Array): Buffer {
  const order = BigInt('0x1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed');
  const sum = BigInt(`0x${Buffer.from(scalar).reverse().toString('hex')}`) + order;
  return Buffer.from(sum.toString(16).padStart(64, '0'), 'hex').reverse();
}
