import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { decodeEntry, encodeEntry, type Head } from '../../src/core/entry.ts';
import { parseKey } from '../../src/core/key.ts';
import { makeStamp, parseInstance, parseStamp, stampFromHex, stampToHex } from '../../src/core/stamp.ts';
import { decodeBody, encodeBody, parseGrantId, signatureEmpty, type WriteBody } from '../../src/core/write.ts';
import { instanceOf, MeshDigests, openMesh } from '../../src/crypto/mesh.ts';
import { sha256 } from '../../src/crypto/digest.ts';
import { Fingerprints } from '../../src/aae/fingerprint.ts';
import { decodeAnswer, decodeRequest, encodeAnswer, encodeRequest } from '../../src/aae/frame.ts';
import { decodeAsk, decodeReply, encodeAsk, encodeReply } from '../../src/aae/message.ts';
import { decodeBoundChanges, decodeTreeState, encodeBoundChanges, encodeTreeState } from '../../src/aae/records.ts';
import { decodeSlot, encodeSlot } from '../../src/replica/slot.ts';
import { decodeWrites, encodeWrites } from '../../src/replica/wire.ts';
import { zeroSum } from '../../src/core/sum.ts';
import { coreVectors } from './core.ts';
import { recordVectors } from './records.ts';
import { accepted, clusterId, expiresAt, leaf, nonce, statements, version, writeIdOf } from './samples.ts';

interface Core {
  meshId: string;
  meshKey: string;
  openMesh: { id: string; key: string };
  stamp: string;
  instance: string;
  writes: Record<keyof typeof statements, { body: string; writeId: string; element: string }>;
  boundLevels: Record<string, number>;
  entry: string;
  entryOfLargeValue: string;
}

function load(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`${name}.json`, import.meta.url), 'utf8'));
}

const core = load('core') as Core; // checked against the generator below
const records = load('records') as Record<string, string>; // as above
const digests = new MeshDigests({ id: Buffer.from(core.meshId, 'hex'), key: Buffer.from(core.meshKey, 'hex') });
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytesOf = (name: string): Buffer => Buffer.from(records[name] ?? '', 'hex');

function bodyOf(name: keyof typeof statements): WriteBody {
  const { key, value, version: stamp, leaf: grant, ...rest } = statements[name];
  return {
    ...rest,
    key: parseKey(key),
    version: parseStamp(stamp),
    leaf: parseGrantId(grant),
    valueLength: value.length,
    valueDigest: sha256(value),
  };
}

describe('vectors', () => {
  it('the files are what the generator makes by hand', () => {
    assert.deepEqual(core, coreVectors());
    assert.deepEqual(records, recordVectors());
  });

  for (const name of Object.keys(statements) as (keyof typeof statements)[]) {
    it(`C1, C2, C6: write body, write id and element: ${name}`, () => {
      const body = bodyOf(name);
      assert.equal(hexOf(encodeBody(body)), core.writes[name].body);
      assert.deepEqual(decodeBody(Buffer.from(core.writes[name].body, 'hex')), body);
      const id = digests.writeId(body);
      assert.equal(hexOf(id), core.writes[name].writeId);
      assert.equal(
        hexOf(digests.element({ version: body.version, id, length: body.key.length + body.valueLength })),
        core.writes[name].element,
      );
    });
  }

  it('G12: C3: a stamp is physical u48, logical u16, instance u64', () => {
    const stamp = makeStamp(1_700_000_000_123, 7, parseInstance(Buffer.from('0102030405060708', 'hex')));
    assert.equal(stampToHex(stamp), core.stamp);
    assert.deepEqual(Buffer.from(stampFromHex(core.stamp)), Buffer.from(stamp));
  });

  it('C4: instance id', () => {
    assert.equal(hexOf(instanceOf(clusterId, 2, 0x0103)), core.instance);
  });

  it('C5: the open mesh', () => {
    assert.deepEqual({ id: hexOf(openMesh.id), key: hexOf(openMesh.key) }, core.openMesh);
  });

  it('G16: C7: bound levels (replaced)', () => {
    for (const [key, level] of Object.entries(core.boundLevels)) assert.equal(digests.boundLevel(Buffer.from(key, 'hex')), level, key);
    assert.deepEqual(Object.values(core.boundLevels).sort(), [0, 1, 2, 3]);
  });

  it('C8: entry record', () => {
    const bytes = Buffer.from(core.entry, 'hex');
    const entry = decodeEntry(bytes);
    const kept = entry.map((head): Head => (head.tombstone ? { ...head, position: undefined } : head));
    assert.equal(hexOf(encodeEntry(kept, () => 9)), core.entry);
    const expiring = entry.find(({ tombstone }) => !tombstone);
    assert.deepEqual(expiring?.position, { commit: Buffer.from('00000000000000050000', 'hex'), place: 3 });
    assert.deepEqual(
      [expiring.expiresAt, expiring.length, hexOf(expiring.accepted), hexOf(expiring.leaf)],
      [expiresAt, 18, hexOf(accepted), hexOf(leaf)],
    );
    assert.deepEqual(expiring.record, Buffer.from('\0\0Berlin'));
    const [large] = decodeEntry(Buffer.from(core.entryOfLargeValue, 'hex'));
    assert.ok(large !== undefined);
    assert.deepEqual([large.length, large.record, hexOf(large.id)], [257, undefined, core.writes.set.writeId]);
    assert.equal(hexOf(encodeEntry([{ ...large, position: undefined }], () => 9)), core.entryOfLargeValue);
  });

  it('R1: slot record', () => {
    const record = decodeSlot(bytesOf('slot'));
    assert.deepEqual(
      record.results.map(({ status, stamp }) => `${status} ${stampToHex(stamp)}`),
      [`applied ${hexOf(version)}`, `applied ${hexOf(version).replace('0007', '0008')}`, `parked ${hexOf(accepted)}`],
    );
    assert.deepEqual([record.lease, record.batch, hexOf(record.closed)], [5, 77, hexOf(accepted)]);
    assert.equal(hexOf(encodeSlot(record)), records['slot']);
  });

  it('R2: writes on the wire', () => {
    const writes = decodeWrites(bytesOf('wireWrites'), digests);
    assert.deepEqual(
      writes.map(({ id }) => hexOf(id)),
      [core.writes.set.writeId, hexOf(writeIdOf({ ...statements.expiring, leaf: Buffer.alloc(32) })), core.writes.tombstone.writeId],
    );
    assert.ok(writes.every(({ write }) => Buffer.compare(write.signature, signatureEmpty) === 0));
    assert.equal(hexOf(writes[1]?.accepted ?? Buffer.alloc(0)), hexOf(accepted));
    assert.equal(hexOf(encodeWrites(writes)), records['wireWrites']);
  });

  it('A6: tree state and log of bounds', () => {
    assert.equal(hexOf(encodeTreeState({ active: 2, building: undefined })), records['treeState']);
    assert.equal(hexOf(encodeTreeState({ active: 2, building: { cursor: Buffer.from('cursor') } })), records['treeStateBuilding']);
    assert.equal(decodeTreeState(bytesOf('treeState')).active, 2);
    const changes = decodeBoundChanges(bytesOf('boundChanges'));
    assert.deepEqual(
      changes.map(({ kind, level, key }) => `${kind} ${level} ${Buffer.from(key).toString()}`),
      ['added 1 a', 'removed 2 bc', 'dropped 3 '],
    );
    assert.equal(hexOf(encodeBoundChanges(changes)), records['boundChanges']);
  });

  it('A7: messages of an exchange', () => {
    assert.equal(hexOf(new Fingerprints(digests, nonce).of(zeroSum())), records['fingerprintOfZero']);
    const ask = decodeAsk(bytesOf('ask'));
    assert.equal(hexOf(encodeAsk(ask)), records['ask']);
    assert.equal(Buffer.from(ask.scope.end ?? '').toString(), 'a0');
    assert.deepEqual([ask.closing, ask.spans.length, ask.wants.length, ask.fetch?.end], ['final', 1, 1, null]);
    const reply = decodeReply(bytesOf('reply'));
    assert.equal(hexOf(encodeReply(reply)), records['reply']);
    assert.equal(Buffer.from(reply.fetchNext ?? '').toString(), `a${'b'.repeat(254)}c`);
    assert.deepEqual([reply.looked, reply.wantsDone, reply.applied, reply.parked, reply.scopeFingerprint.length], [1, 4, 5, 6, 16]);
  });

  it('A8: frames of an exchange', () => {
    const request = decodeRequest(bytesOf('request'), digests);
    assert.equal(hexOf(request.body), records['ask']);
    assert.equal(hexOf(encodeRequest(request.header, request.body, digests)), records['request']);
    const answer = decodeAnswer(bytesOf('answer'), bytesOf('request'), digests);
    assert.equal(hexOf(encodeAnswer(answer, request, digests)), records['answer']);
  });
});
