import assert from 'node:assert/strict';
import { SigningKey } from '../../src/crypto/ed25519.ts';
import { grantLayout, type GrantBody } from '../../src/grant/grant.ts';
import { Pattern } from '../../src/grant/pattern.ts';
import { decodeRecord, encodeRecord, signStatement, type Layout, type Signed } from '../../src/grant/record.ts';
import { revocationLayout, type RevocationBody } from '../../src/grant/revocation.ts';
import { rightsOf } from '../../src/grant/rights.ts';
import { rootLayout, type RootBody } from '../../src/grant/root.ts';
import { refuses } from '../core/strict.ts';
import { meshId } from './samples.ts';

const zero = new Uint8Array(32);
const keys = [1, 2, 3]
  .map((i) => SigningKey.fromSeed(Buffer.alloc(32, i)))
  .sort((a, b) => Buffer.compare(Buffer.from(a.publicKey), Buffer.from(b.publicKey)));
const [first, second, third] = keys as [SigningKey, SigningKey, SigningKey];
const pattern = (text: string): Pattern => Pattern.parse(Buffer.from(text));

const rootBody: RootBody = {
  version: 1,
  previous: zero,
  nonce: new Uint8Array(16),
  threshold: 1,
  keys: [first.publicKey, second.publicKey],
  carried: [],
};
const laterBody: RootBody = { ...rootBody, version: 2, previous: meshId, carried: [Buffer.alloc(32, 1), Buffer.alloc(32, 2)] };

const rootGrant: GrantBody = {
  parent: zero,
  rootVersion: 1,
  issuer: zero,
  audience: second.publicKey,
  rights: rightsOf(['write', 'delegate']),
  depth: 1,
  notBeforeMs: 5,
  expiresMs: 9,
  nonce: new Uint8Array(16),
  patterns: [pattern('a'), pattern('b/**')],
};
const delegated: GrantBody = { ...rootGrant, parent: meshId, rootVersion: 0, issuer: first.publicKey };

const revocation: RevocationBody = { target: meshId, signer: first.publicKey, rootVersion: 0 };

function isTaken<Body>(layout: Layout<Body>, record: Signed<Body>): boolean {
  return !refuses((bytes) => decodeRecord(layout, meshId, bytes), encodeRecord(layout, record));
}

function signed<Body>(layout: Layout<Body>, body: Body, ...by: SigningKey[]): Signed<Body> {
  return signStatement(layout, meshId, body, by);
}

describe('shapes of records', () => {
  it('T5: what the others are changed from is right', () => {
    assert.ok(isTaken(rootLayout, signed(rootLayout, rootBody, first)));
    assert.ok(isTaken(rootLayout, signed(rootLayout, laterBody, first, second, third)));
  });

  for (const [what, body] of [
    ['version 0', { ...rootBody, version: 0 }],
    ['a threshold of 0', { ...rootBody, threshold: 0 }],
    ['a threshold above its keys', { ...rootBody, threshold: 3 }],
    ['no keys', { ...rootBody, keys: [], threshold: 0 }],
    ['a key twice', { ...rootBody, keys: [first.publicKey, first.publicKey] }],
    ['keys that fall', { ...rootBody, keys: [second.publicKey, first.publicKey] }],
    ['17 keys', { ...rootBody, keys: Array.from({ length: 17 }, (_, i) => Buffer.alloc(32, i)) }],
    ['one before the first', { ...rootBody, previous: meshId }],
    ['none before the second', { ...laterBody, previous: zero }],
    ['grants carried into the first', { ...rootBody, carried: [meshId] }],
    ['a carried grant twice', { ...laterBody, carried: [meshId, meshId] }],
    [
      'more carried grants than 1,024',
      { ...laterBody, carried: Array.from({ length: 1_025 }, (_, i) => Buffer.alloc(32, i >> 8).fill(i, 31)) },
    ],
  ] as const) {
    it(`T5: a root document with ${what} is malformed`, () => {
      assert.ok(!isTaken(rootLayout, signed(rootLayout, body, first)));
    });
  }

  it('T6: what the others are changed from is right', () => {
    assert.ok(isTaken(grantLayout, signed(grantLayout, rootGrant, first, third)));
    assert.ok(isTaken(grantLayout, signed(grantLayout, delegated, first)));
    assert.ok(isTaken(grantLayout, signed(grantLayout, { ...delegated, rights: 1, depth: 0 }, first)));
    assert.ok(isTaken(grantLayout, signed(grantLayout, { ...delegated, rights: 31, depth: 7, patterns: [pattern('b/**')] }, first)));
  });

  for (const [what, body] of [
    ['K7: its issuer as its audience', { ...delegated, audience: first.publicKey }],
    ['K3: no parent and an issuer of its own', { ...rootGrant, issuer: first.publicKey }],
    ['a parent and no issuer', { ...rootGrant, parent: meshId }],
    ['a parent and a root version', { ...delegated, rootVersion: 1 }],
    ['no parent and root version 0', { ...rootGrant, rootVersion: 0 }],
    ['no rights', { ...delegated, rights: 0, depth: 0 }],
    ['an unknown right', { ...delegated, rights: 32 + 8 }],
    ['depth 8', { ...delegated, depth: 8 }],
    ['K5: depth without the right to delegate', { ...delegated, rights: 1 }],
    ['K5: the right to delegate without depth', { ...delegated, depth: 0 }],
    ['an end at its beginning', { ...delegated, notBeforeMs: 9 }],
    ['no patterns', { ...delegated, patterns: [] }],
    ['nine patterns', { ...delegated, patterns: Array.from({ length: 9 }, (_, i) => pattern(`${i}`)) }],
    ['a pattern twice', { ...delegated, patterns: [pattern('a'), pattern('a')] }],
    ['patterns that fall', { ...delegated, patterns: [pattern('b'), pattern('a')] }],
    ['replication of what is no prefix', { ...delegated, rights: 31, patterns: [pattern('*/a')] }],
  ] as const) {
    it(`T6: a grant with ${what} is malformed`, () => {
      assert.ok(!isTaken(grantLayout, signed(grantLayout, body, first)));
    });
  }

  it('T6: a grant with a parent has one signature, of its issuer', () => {
    for (const by of [[second], [first, second], []]) assert.ok(!isTaken(grantLayout, signed(grantLayout, delegated, ...by)));
  });

  it('T4: a signer who signs twice, signers that fall, and 33 of them are malformed', () => {
    const { id, body, signatures } = signed(grantLayout, rootGrant, first, second);
    const [a, b] = signatures;
    assert.ok(a !== undefined && b !== undefined);
    for (const row of [[a, a], [b, a], [], Array.from({ length: 33 }, (_, i) => ({ ...a, key: Buffer.alloc(32, i) }))]) {
      assert.ok(!isTaken(grantLayout, { id, body, signatures: row }));
    }
  });

  it('T7: a revocation is of the root, or has one signature, of its signer', () => {
    assert.ok(isTaken(revocationLayout, signed(revocationLayout, revocation, first)));
    const byRoot = { ...revocation, signer: zero, rootVersion: 1 };
    assert.ok(isTaken(revocationLayout, signed(revocationLayout, byRoot, first, second)));
    assert.ok(!isTaken(revocationLayout, signed(revocationLayout, revocation, second)));
    assert.ok(!isTaken(revocationLayout, signed(revocationLayout, { ...revocation, rootVersion: 1 }, first)));
    assert.ok(!isTaken(revocationLayout, signed(revocationLayout, { ...byRoot, rootVersion: 0 }, first)));
  });
});
