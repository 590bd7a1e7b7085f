import assert from 'node:assert/strict';
import { toHex } from '../../src/core/bytes.ts';
import { hasCode } from '../../src/core/errors.ts';
import { parseKey, prefixRange } from '../../src/core/key.ts';
import { membersScope, scopeOf } from '../../src/core/scope.ts';
import { makeStamp, parseInstance } from '../../src/core/stamp.ts';
import { parseGrantId, type Write } from '../../src/core/write.ts';
import { sha256 } from '../../src/crypto/digest.ts';
import { inlineSignatures } from '../../src/crypto/ed25519.ts';
import { Ledger } from '../../src/grant/ledger.ts';
import { rightsKnown } from '../../src/grant/rights.ts';
import { signWrites } from '../../src/grant/signatureBlock.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { bodyOf } from '../../src/replica/batch.ts';
import { Guard } from '../../src/replica/guard.ts';
import { type ReceivedWrite } from '../../src/replica/proposal.ts';
import { sweepEnded } from '../../src/replica/sweep.ts';
import { decodeWrites, encodeWrites } from '../../src/replica/wire.ts';
import { tableRange, tables } from '../../src/store/keyspace.ts';
import { assertTree } from '../aae/oracle.ts';
import { key, openInstance, remove, set, type Instance, type InstanceOptions } from '../aae/world.ts';
import { anyOf, Mesh, patternsOf, person } from '../grant/world.ts';
import { type MemoryFaults } from '../../src/store/memory/faults.ts';
import { FakeClock } from '../support.ts';

const always = { notBeforeMs: 0, expiresMs: 2 ** 48 };
const mesh = new Mesh();
const held = mesh.grant('a', always);
const french = mesh.given(held, 'a', 'writer', { patterns: patternsOf('/cities/FR/**') });
const peerInstance = parseInstance(new Uint8Array(8).fill(0xee));
const nowMs = new FakeClock().now();

/** A region whose key holds the grant of this name. */
function open(
  signer = 'a',
  more: Partial<InstanceOptions> = {},
  records: Parameters<typeof anyOf>[0][] = [mesh.root, held, french],
): Promise<Instance> {
  return openInstance({ granted: { meshId: mesh.id, records: records.map(anyOf), signer: person(signer) }, ...more });
}

/** What a peer sends: writes that the holder of a grant signed together. */
function sent({ digests }: Instance, under: Grant, by: string, ...shapes: readonly Partial<Write>[]): ReceivedWrite[] {
  const writes = shapes.map((shape, i) => {
    const version = makeStamp(nowMs, i, peerInstance);
    const leaf = parseGrantId(under.id);
    const write = { key: key('/cities/FR/1'), version, tombstone: false, expiresAt: 0, leaf, value: Buffer.from('v'), ...shape };
    return { write, id: digests.writeId(bodyOf(write)), accepted: write.version };
  });
  const blocks = signWrites(
    mesh.id,
    writes.map(({ id }) => id),
    person(by),
  );
  return writes.map(({ write, ...rest }, i) => ({ write: { ...write, signature: blocks[i]! }, ...rest }));
}

async function statuses({ replica }: Instance, writes: readonly ReceivedWrite[]): Promise<string[]> {
  return (await replica.receive(writes, 'peer')).map(({ status }) => status);
}

async function read({ replica }: Instance, name: string): Promise<string | undefined> {
  const { exists, value } = await replica.get(key(name));
  return exists ? Buffer.from(value).toString() : undefined;
}

/** How many writes wait, and how many of them for their grants. */
async function waitingFor({ replica }: Instance): Promise<(number | undefined)[]> {
  const { writes, unproven } = await replica.parkedCount();
  return [writes, unproven];
}

describe('a granted store', () => {
  it('K1: R11: R24: signs what is made here, so that another takes it in: alone, in batches, inline or not, over what is there', async () => {
    const [ours, theirs] = [await open(), await open('writer')];
    const many = Array.from({ length: 300 }, (_, i) => set(`/k/${i}`, 'x'.repeat(i)));
    await Promise.all([ours.replica.write([set('alone', 'v')]), ours.replica.write(many)]);
    await ours.replica.write([set('alone', 'v2'), set('twice', '1'), set('twice', '2'), remove('/k/0')]);
    const { writes } = await ours.replica.feedPage(new Uint8Array(12), new Map());
    assert.equal(writes.length, 302);
    const wire = decodeWrites(encodeWrites(writes), ours.digests);
    assert.deepEqual(new Set(await statuses(theirs, wire)), new Set(['applied']));
    assert.deepEqual(
      [await read(theirs, 'twice'), await read(theirs, '/k/0'), await read(theirs, '/k/299')],
      ['2', undefined, 'x'.repeat(299)],
    );
    for (const { store, digests } of [ours, theirs]) {
      await assertTree(store, digests);
      const rows = await store.read((snapshot) => snapshot.range(tableRange(tables.leafValue), { limit: 100 }));
      assert.equal(rows.length, 299 - 254, 'rows of greater values alone, whatever the length of their signature blocks');
    }
  });

  it('K10: K11: K20: R24: R27: a writer confined to /cities/FR/** is refused elsewhere, with the check, the link and the grant', async () => {
    const region = await open('writer');
    await region.replica.write([set('/cities/FR/1', 'Paris')]);
    await assert.rejects(region.replica.write([set('/cities/FR/2', 'Lyon'), set('/cities/DE/1', 'Bonn')]), (error) => {
      assert.ok(hasCode(error, 'key_denied'));
      assert.deepEqual(error.details, { index: 1, link: 1, grant: toHex(french.id), endedBy: null });
      return true;
    });
    assert.equal(await read(region, '/cities/FR/2'), undefined, 'all or nothing');
    const revocation = mesh.revocation(french, 'a');
    await region.ledger?.take([anyOf(revocation)]);
    await assert.rejects(region.replica.write([set('/cities/FR/1', 'Lyon')]), (error) => {
      assert.ok(hasCode(error, 'grant_revoked'));
      assert.deepEqual(error.details, { index: 0, link: 1, grant: toHex(french.id), endedBy: toHex(revocation.id) });
      return true;
    });
    assert.equal(await read(region, '/cities/FR/1'), undefined, 'what it wrote is seen no more');
  });

  it('R33: a store that is for some keys makes and takes in no others, whatever their grants: of its clients, of who signs himself, and of peers', async () => {
    const scope = scopeOf([prefixRange(Buffer.from('/cities/')), ...membersScope]);
    const [whole, part] = [await open(), await open('a', { cluster: 2 })];
    const confined = await openInstance({
      granted: { meshId: mesh.id, records: [mesh.root, held, french].map(anyOf), signer: person('a'), scope },
      cluster: 3,
    });
    await confined.replica.write([set('/cities/FR/1', 'Paris'), set('@system/peers/x', '{}')]);
    await assert.rejects(confined.replica.write([set('/cities/FR/2', 'Lyon'), set('/roads/1', 'A7')]), (error) => {
      assert.ok(hasCode(error, 'key_denied') && /this cluster is for/.test(error.message));
      assert.deepEqual(error.details, { index: 1, link: null, grant: null, endedBy: null });
      return true;
    });
    assert.equal(await read(confined, '/cities/FR/2'), undefined, 'all or nothing');
    await whole.replica.write([set('/cities/DE/1', 'Bonn'), set('/roads/1', 'A7'), set('@system/other', 'v')]);
    const { writes } = await whole.replica.feedPage(new Uint8Array(12), new Map());
    const ofKey = new Map(writes.map(({ write }, i) => [Buffer.from(write.key).toString(), i]));
    const results = await statuses(confined, writes);
    assert.deepEqual(['/cities/DE/1', '/roads/1', '@system/other'].map((name) => results[ofKey.get(name) ?? -1]), ['applied', 'denied', 'denied']); // prettier-ignore
    assert.deepEqual(await statuses(part, writes), ['applied', 'applied', 'applied'], 'a store that is for everything takes all');
    const fresh = makeStamp(nowMs, 0, parseInstance(sha256(person('a').publicKey).subarray(0, 8)));
    const [signed] = sent(confined, held, 'a', { key: key('/roads/2'), version: fresh });
    assert.ok(signed !== undefined);
    const { signature, value } = signed.write;
    const statement = { body: bodyOf(signed.write), value, signature };
    await assert.rejects(confined.replica.writeSigned([statement]), (error) => hasCode(error, 'key_denied'));
    await whole.replica.writeSigned([statement]);
    await assertTree(confined.store, confined.digests);
  });

  it('I9: T11: a batch of more segments of keys than are matched in one turn is too_large, whoever signs it; in an open mesh it is taken', async () => {
    const region = await open();
    const names = Array.from({ length: 66 }, (_, i) => `/cities/FR/${i}`.padEnd(1_010, '/'));
    const tooMany = (error: unknown): boolean => hasCode(error, 'too_large') && /segments/.test(error.message);
    await assert.rejects(region.replica.write(names.map((name) => set(name, 'v'))), tooMany);
    const instance = parseInstance(sha256(person('writer').publicKey).subarray(0, 8));
    const shapes = names.map((name, i) => ({ key: key(name), version: makeStamp(nowMs, i, instance) }));
    const statements = sent(region, french, 'writer', ...shapes).map(({ write }) => ({ ...write, body: bodyOf(write) }));
    await assert.rejects(region.replica.writeSigned(statements), tooMany);
    await region.replica.write(names.slice(0, 60).map((name) => set(name, 'v')));
    await (await openInstance()).replica.write(names.map((name) => set(name, 'v')));
  });

  it('R24: a cluster whose key holds no grant writes nothing', async () => {
    const region = await open('stranger');
    await assert.rejects(region.replica.write([set('k', 'v')]), (error) => hasCode(error, 'grant_unknown'));
  });

  it('I1: R28: a sweep by another instance of the cluster leaves what was taken in under a grant that it has not read', async () => {
    const region = await open();
    await region.ledger?.take([anyOf(mesh.revocation(french, 'a'))]);
    const stale = new Guard(await Ledger.open(region.store, mesh.id, inlineSignatures()), inlineSignatures(), undefined);
    const late = mesh.given(held, 'a', 'other', { patterns: patternsOf('/o/**') });
    await region.ledger?.take([anyOf(late)]);
    assert.deepEqual(await statuses(region, sent(region, late, 'other', { key: key('/o/1') })), ['applied']);
    assert.equal(await sweepEnded(region.store, stale, [], new AbortController().signal), 0);
    assert.equal(await read(region, '/o/1'), 'v');
  });

  it('K9: R24: what is made here rests on the grant nearest to the root, not on one that a delegate gave us and may revoke', async () => {
    const delegate = mesh.given(held, 'a', 'delegate', { rights: rightsKnown, depth: 1, patterns: patternsOf('/cities/**') });
    const gift = mesh.given(delegate, 'delegate', 'cluster', { patterns: patternsOf('/cities/**') });
    const own = mesh.given(held, 'a', 'cluster', { patterns: patternsOf('/cities/**') });
    const region = await open('cluster', {}, [mesh.root, held, delegate, gift, own]);
    await region.replica.write([set('/cities/1', 'v')]);
    await region.ledger?.take([anyOf(mesh.revocation(gift, 'delegate'))]);
    assert.equal(await read(region, '/cities/1'), 'v');
  });

  it('R27: ifVersion does not see what lost its authority', async () => {
    const region = await open('a');
    await statuses(region, sent(region, french, 'writer', {}));
    await region.ledger?.take([anyOf(mesh.revocation(french, 'a'))]);
    const absent = { ...set('/cities/FR/1', 'ours'), expected: { kind: 'absent' } } as const;
    await region.replica.write([absent]);
    assert.equal(await read(region, '/cities/FR/1'), 'ours');
  });

  for (const [what, change, status] of [
    ['as it was signed', {}, 'applied'],
    ['another key', { key: key('/cities/FR/2') }, 'forged'],
    ['another version', { version: makeStamp(nowMs - 1, 0, peerInstance) }, 'forged'],
    ['the version of the greatest stamp', { version: makeStamp(2 ** 48 - 1, 0xffff, peerInstance) }, 'forged'],
    ['the version of an hour ahead', { version: makeStamp(nowMs + 3_600_000, 0, peerInstance) }, 'forged'],
    ['the version of zero', { version: makeStamp(0, 0, peerInstance) }, 'forged'],
    ['another key, beyond its patterns', { key: key('/cities/DE/1') }, 'forged'],
    ['a key of other slashes', { key: key('//cities/FR/1') }, 'forged'],
    ['a key of dots', { key: key('/cities/DE/../FR/1') }, 'forged'],
    ['another value', { value: Buffer.from('w') }, 'forged'],
    ['flags', { tombstone: true, value: Buffer.alloc(0) }, 'forged'],
    ['an expiry', { expiresAt: nowMs + 1 }, 'forged'],
    ['the leaf of another', { leaf: parseGrantId(held.id) }, 'forged'],
    ['a leaf that nobody knows', { leaf: parseGrantId(Buffer.alloc(32, 5)) }, 'unproven'],
  ] as const) {
    it(`K1: I4: R25: a received write with ${what} is ${status}`, async () => {
      const region = await open();
      const [whole] = sent(region, french, 'writer', {});
      const write = { ...whole!.write, ...change };
      const changed = { write, id: region.digests.writeId(bodyOf(write)), accepted: write.version };
      assert.deepEqual(await statuses(region, [changed]), [status]);
      assert.equal(await read(region, '/cities/FR/1'), status === 'applied' ? 'v' : undefined);
      assert.equal((await region.replica.parkedCount()).writes, status === 'unproven' ? 1 : 0);
      await assertTree(region.store, region.digests);
    });
  }

  it('K3: I4: R25: what another signed, or what its chain does not give, is denied, and the rest of the page is taken in', async () => {
    const region = await open();
    const reading = mesh.given(held, 'a', 'reader', { rights: 1, depth: 0 });
    const short = mesh.given(held, 'a', 'late', { expiresMs: nowMs });
    await region.ledger?.take([reading, short].map(anyOf));
    const writes = [
      ...sent(region, french, 'stranger', { key: key('/cities/FR/1') }),
      ...sent(region, french, 'writer', { key: key('/cities/DE/1') }, { key: key('/cities/FR/2') }),
      ...sent(region, reading, 'reader', { key: key('k') }),
      ...sent(region, short, 'late', { key: key('k') }),
    ];
    assert.deepEqual(await statuses(region, writes), ['forged', 'denied', 'applied', 'denied', 'denied']);
    assert.deepEqual(
      (await region.replica.list({ range: { start: new Uint8Array(0), end: null }, limit: 10, order: 'forward', values: 'without' }))
        .entries.length,
      1,
    );
  });

  it('K9: R25: after a revocation nothing more comes in under it, whenever it was signed', async () => {
    const region = await open();
    const writes = sent(region, french, 'writer', {}, { key: key('/cities/FR/2') });
    assert.deepEqual(await statuses(region, writes.slice(0, 1)), ['applied']);
    await region.ledger?.take([anyOf(mesh.revocation(french, 'a'))]);
    assert.deepEqual(await statuses(region, writes.slice(1)), ['denied']);
  });

  it('I4: R26: what came before its grant waits, and is taken in or denied once that is known', async () => {
    const region = await open('a', {}, [mesh.root, held]);
    const other = mesh.given(held, 'a', 'other', { patterns: patternsOf('/o/**') });
    const early = [...sent(region, french, 'writer', {}), ...sent(region, other, 'other', { key: key('/elsewhere') })];
    assert.deepEqual(await statuses(region, early), ['unproven', 'unproven']);
    assert.deepEqual(await statuses(region, early), ['unproven', 'unproven']);
    assert.deepEqual(await waitingFor(region), [2, 2], 'once each');
    assert.equal(await region.replica.retryUnproven(), 0);
    await region.ledger?.take([anyOf(french)]);
    assert.equal(await region.replica.retryUnproven(), 1);
    assert.deepEqual([await read(region, '/cities/FR/1'), await waitingFor(region)], ['v', [1, 1]]);
    await region.ledger?.take([anyOf(other)]);
    assert.equal(await region.replica.retryUnproven(), 1);
    assert.deepEqual([await read(region, '/elsewhere'), (await region.replica.parkedCount()).writes], [undefined, 0]);
  });

  it('K13: G39: R9: a write from the future waits for the clock first, and for its grant then', async () => {
    const clock = new FakeClock();
    const region = await open('a', { clock }, [mesh.root, held]);
    const ahead = sent(region, french, 'writer', { version: makeStamp(nowMs + 60_000, 0, peerInstance) });
    assert.deepEqual(await statuses(region, ahead), ['parked']);
    assert.deepEqual(await waitingFor(region), [1, 0]);
    clock.ms += 60_000;
    assert.equal(await region.replica.retryParked(), 1);
    assert.deepEqual(await waitingFor(region), [1, 1]);
    await region.ledger?.take([anyOf(french)]);
    assert.equal(await region.replica.retryUnproven(), 1);
    assert.deepEqual([await read(region, '/cities/FR/1'), await waitingFor(region)], ['v', [0, 0]]);
  });

  it('K1: R25: a second valid signature of one body is no second write', async () => {
    const region = await open();
    const [alone] = sent(region, french, 'writer', {});
    const [inBatch] = sent(region, french, 'writer', {}, { key: key('/cities/FR/2') });
    assert.notDeepEqual(alone!.write.signature, inBatch!.write.signature);
    assert.deepEqual(await statuses(region, [alone!, inBatch!, alone!]), ['applied', 'duplicate', 'duplicate']);
  });

  it('I2: R25: of two writes of one version the greater by id wins, in either order', async () => {
    const seen: (string | undefined)[] = [];
    for (const order of ['one way', 'the other'] as const) {
      const region = await open();
      const both = [...sent(region, french, 'writer', {}), ...sent(region, french, 'writer', { value: Buffer.from('w') })];
      for (const each of order === 'one way' ? both : both.reverse()) await statuses(region, [each]);
      seen.push(await read(region, '/cities/FR/1'));
    }
    assert.equal(seen[0], seen[1]);
  });

  it('I4: R25: keys are bytes: NUL, and what is no UTF-8, match and are signed as they stand', async () => {
    const region = await open();
    for (const [bytes, status] of [
      [Buffer.from('/cities/FR/\0\xff', 'latin1'), 'applied'],
      [Buffer.from('/cities\0/FR/1'), 'denied'],
      [Buffer.concat([Buffer.from('/cities/FR'), Buffer.of(0xc0, 0xaf), Buffer.from('x')]), 'denied'], // an overlong slash is none
    ] as const) {
      assert.deepEqual(await statuses(region, sent(region, french, 'writer', { key: parseKey(bytes) })), [status]);
    }
  });

  it('I9: R26: of one peer so many wait and no more: others still find room', async () => {
    const region = await open('a', {}, [mesh.root, held]);
    const many = (from: number, count: number): ReceivedWrite[] =>
      sent(region, french, 'writer', ...Array.from({ length: count }, (_, i) => ({ key: key(`/cities/FR/${from + i}`) })));
    const receive = (writes: readonly ReceivedWrite[], peer: string): Promise<unknown> => region.replica.receive(writes, peer);
    for (let from = 0; from < 1_000; from += 250) await receive(many(from, 250), 'flooding');
    await assert.rejects(receive(many(1_000, 1), 'flooding'), (error) => hasCode(error, 'unavailable'));
    await receive(many(1_000, 1), 'other');
    assert.equal((await region.replica.parkedCount()).writes, 1_001);
    await region.ledger?.take([anyOf(french)]);
    assert.equal(await region.replica.retryUnproven(), 1_001);
    await receive(many(2_000, 1), 'flooding');
    assert.deepEqual([await read(region, '/cities/FR/999'), await read(region, '/cities/FR/2000')], ['v', 'v']);
  });

  it('I9: R29: K10: what a delegate gives itself pushes nothing out of a key that does not follow from it, and its end shows that again', async () => {
    const delegate = mesh.grant('delegate', always);
    const grants = Array.from({ length: 140 }, (_, i) => mesh.given(delegate, 'delegate', `writer ${i}`));
    const region = await open('a', {}, [mesh.root, held, delegate, ...grants]);
    assert.deepEqual(await statuses(region, sent(region, held, 'a', { key: key('k'), value: Buffer.from('honest') })), ['applied']);
    for (const [i, grant] of grants.entries())
      await statuses(region, sent(region, grant, `writer ${i}`, { key: key('k'), version: makeStamp(nowMs, i + 1, peerInstance) }));
    assert.deepEqual([await read(region, 'k'), (await region.replica.candidates(key('k'))).length], ['v', 33]);
    await region.ledger?.take([anyOf(mesh.revocationByRoot(delegate))]);
    assert.equal(await read(region, 'k'), 'honest');
    await assertTree(region.store, region.digests);
  });

  it('I9: R29: a key keeps the 128 greatest candidates, in whatever order they come', async () => {
    const grants = Array.from({ length: 140 }, (_, i) => mesh.grant(`writer ${i}`, always));
    const kept: string[][] = [];
    for (const order of ['rising', 'falling'] as const) {
      const region = await open('a', {}, [mesh.root, held, ...grants]);
      const writes = grants.flatMap((grant, i) =>
        sent(region, grant, `writer ${i}`, { key: key('k'), version: makeStamp(nowMs, i, peerInstance) }),
      );
      for (const each of order === 'rising' ? writes : writes.reverse()) await statuses(region, [each]);
      const candidates = await region.replica.candidates(key('k'));
      kept.push(candidates.map(({ id }) => toHex(id)));
      await assertTree(region.store, region.digests);
    }
    assert.equal(kept[0]?.length, 128);
    assert.deepEqual(kept[0], kept[1]);
  });

  it('R2: a row of writes of a granted mesh without a leaf or a signature is malformed, and one with them is in an open mesh', async () => {
    const [granted, openOne] = [await open(), await openInstance()];
    await openOne.replica.write([set('k', 'v')]);
    const { writes } = await openOne.replica.feedPage(new Uint8Array(12), new Map());
    const [whole] = sent(granted, french, 'writer', {});
    const unsigned = { ...whole!, write: { ...whole!.write, signature: new Uint8Array(2) } };
    for (const [rows, { digests }] of [
      [writes, granted],
      [[unsigned], granted],
      [[whole!], openOne],
      [[unsigned], openOne],
    ] as const) {
      assert.throws(
        () => decodeWrites(encodeWrites(rows), digests),
        (error) => hasCode(error, 'malformed'),
      );
    }
  });

  it('R8: R24: after an answer that was lost, a refusal is the same refusal, and what was taken in is signed once', async () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const region = await open('writer', { seed, faults: { unknownCommitted: 0.5 } });
      const refused = region.replica.write([set('/cities/FR/2', 'Lyon'), set('/cities/DE/1', 'Bonn')]);
      const written = region.replica.write([set('/cities/FR/1', 'Paris')]);
      await assert.rejects(refused, (error) => hasCode(error, 'key_denied') && error.details['index'] === 1);
      const [outcome] = await written;
      const [head] = await region.replica.candidates(key('/cities/FR/1'));
      assert.deepEqual([outcome?.version, await read(region, '/cities/FR/2')], [head?.version, undefined], `seed ${seed}`);
    }
  });

  it('K9: R25: a commit that a revocation overtakes is judged again: nothing slips by', async () => {
    for (const signer of ['a', 'writer']) {
      const faults: MemoryFaults = {};
      const region = await open(signer, { faults });
      const revocation = anyOf(mesh.revocation(french, 'a'));
      faults.pause = async (point) => {
        if (point !== 'commit') return;
        delete faults.pause;
        await region.ledger?.take([revocation]);
      };
      if (signer === 'a') assert.deepEqual(await statuses(region, sent(region, french, 'writer', {})), ['denied']);
      else await assert.rejects(region.replica.write([set('/cities/FR/1', 'v')]), (error) => hasCode(error, 'grant_revoked'));
      assert.deepEqual(await region.replica.candidates(key('/cities/FR/1')), []);
      assert.equal(faults.pause, undefined);
    }
  });
});
