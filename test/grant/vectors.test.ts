import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Signer } from '../../src/client/signer.ts';
import { decodeBody, parseWriteId } from '../../src/core/write.ts';
import { SigningKey } from '../../src/crypto/ed25519.ts';
import { clientInstance, MeshDigests, writeIdOf } from '../../src/crypto/mesh.ts';
import { grantLayout } from '../../src/grant/grant.ts';
import { decodeRecord, encodeRecord, signStatement, statementId, type Layout, type Signed } from '../../src/grant/record.ts';
import { revocationLayout } from '../../src/grant/revocation.ts';
import { namesOf } from '../../src/grant/rights.ts';
import { rootLayout } from '../../src/grant/root.ts';
import { encodeSignatureBlock, signWrites } from '../../src/grant/signatureBlock.ts';
import { batchIds, grantVectors, pairs } from '../vectors/grants.ts';
import { decodeSignatureBlock } from './plainBlocks.ts';

const vectors = JSON.parse(readFileSync(new URL('../vectors/grants.json', import.meta.url), 'utf8')) as Record<string, string>; // checked below
const bytesOf = (name: string): Buffer => Buffer.from(vectors[name] ?? '', 'hex');
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const meshId = bytesOf('meshId');
const writer = SigningKey.fromSeed(pairs.writer.seed);
const cluster = SigningKey.fromSeed(pairs.cluster.seed);

function decoded<Body>(layout: Layout<Body>, name: string): Signed<Body> {
  const record = decodeRecord(layout, meshId, bytesOf(name));
  assert.equal(hexOf(encodeRecord(layout, record)), vectors[name]);
  assert.deepEqual(Buffer.from(statementId(layout, meshId, record.body)), Buffer.from(record.id));
  return record;
}

describe('vectors of grants', () => {
  it('T4: the file is what the generator makes by hand', () => {
    assert.deepEqual(vectors, grantVectors());
  });

  it('T5: root documents; the id of the first is the mesh id', () => {
    const first = decoded(rootLayout, 'firstRoot');
    assert.equal(hexOf(first.id), vectors['meshId']);
    assert.deepEqual([first.body.version, first.body.threshold, first.body.keys.length, first.signatures.length], [1, 2, 2, 2]);
    const later = decoded(rootLayout, 'laterRoot');
    assert.equal(hexOf(later.id), vectors['laterRootId']);
    assert.deepEqual([later.body.version, later.body.keys.length, later.signatures.length], [2, 3, 4]);
    assert.equal(hexOf(later.body.previous), vectors['meshId']);
    assert.deepEqual(later.body.carried.map(hexOf), [vectors['rootGrantId']]);
  });

  it('T6: grants, from the root and from who holds one', () => {
    const root = decoded(grantLayout, 'rootGrant');
    assert.equal(hexOf(root.id), vectors['rootGrantId']);
    assert.deepEqual(namesOf(root.body.rights), ['read', 'write', 'delete', 'delegate', 'replicate']);
    const { id, body } = decoded(grantLayout, 'delegated');
    assert.equal(hexOf(id), vectors['delegatedId']);
    assert.deepEqual(
      [hexOf(body.parent), hexOf(body.issuer), hexOf(body.audience)],
      [vectors['rootGrantId'], hexOf(cluster.publicKey), hexOf(writer.publicKey)],
    );
    assert.deepEqual([body.depth, body.notBeforeMs, body.expiresMs], [0, 1_700_000_000_000, 1_800_000_000_000]);
    assert.deepEqual(
      body.patterns.map(({ bytes }) => Buffer.from(bytes).toString()),
      ['/cities/FR/**', 'hi'],
    );
    assert.equal(hexOf(encodeRecord(grantLayout, signStatement(grantLayout, meshId, body, [cluster]))), vectors['delegated']);
  });

  it('T7: revocations, by who holds a grant and by the root', () => {
    const byCluster = decoded(revocationLayout, 'revocation');
    assert.deepEqual([hexOf(byCluster.id), hexOf(byCluster.body.target)], [vectors['revocationId'], vectors['delegatedId']]);
    const byRoot = decoded(revocationLayout, 'rootRevocation');
    assert.deepEqual([hexOf(byRoot.id), byRoot.body.rootVersion, byRoot.signatures.length], [vectors['rootRevocationId'], 2, 2]);
  });

  it('T8: signature blocks, of one write and of five', () => {
    for (const name of ['singleBlock', 'firstOfBatch', 'fourthOfBatch', 'fifthOfBatch']) {
      const block = decodeSignatureBlock(bytesOf(name));
      assert.ok(block !== undefined);
      assert.equal(hexOf(encodeSignatureBlock(block)), vectors[name]);
    }
    assert.deepEqual(signWrites(meshId, [parseWriteId(bytesOf('writeId'))], writer).map(hexOf), [vectors['singleBlock']]);
    const blocks = signWrites(
      meshId,
      batchIds.map((id) => parseWriteId(id)),
      writer,
    ).map(hexOf);
    assert.deepEqual([blocks[0], blocks[3], blocks[4]], [vectors['firstOfBatch'], vectors['fourthOfBatch'], vectors['fifthOfBatch']]);
  });

  it('T40: a write as a client makes and signs it', () => {
    const signer = new Signer({ meshId, grantId: bytesOf('delegatedId'), key: writer, now: () => 1_700_000_000_123 });
    const value = Buffer.from('Paris');
    const [signed] = signer.sign([{ kind: 'set', key: Buffer.from('/cities/FR/1'), value, expiresAt: 1_800_000_000_000 }]);
    const inBase64 = (name: string): string => bytesOf(name).toString('base64');
    assert.deepEqual(signed, { write: inBase64('clientBody'), value: inBase64('clientValue'), signature: inBase64('clientBlock') });
    const body = decodeBody(bytesOf('clientBody'));
    assert.equal(hexOf(writeIdOf(meshId, body)), vectors['clientWriteId']);
    assert.equal(hexOf(new MeshDigests({ id: meshId, key: Buffer.alloc(32) }).writeId(body)), vectors['clientWriteId']);
    assert.deepEqual(Buffer.from(body.version.subarray(8)), Buffer.from(clientInstance(writer.publicKey)));
  });
});
