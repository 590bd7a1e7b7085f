/** Vectors of what gives and ends authority, and of signatures on writes. Signed with node:crypto, put together by hand. */
import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { be, cat, hex, sha256, text, u16, u32, u64, u8 } from './bytes.ts';
import { bodyOf, expiresAt, statements, writeIdOf } from './samples.ts';

const zero32 = Buffer.alloc(32);

/** A key pair from 32 bytes; RFC 8410. */
class Pair {
  readonly seed: Buffer;
  readonly publicKey: Buffer;
  readonly #key;

  constructor(label: string) {
    this.seed = sha256(text(label));
    this.#key = createPrivateKey({ key: cat(hex('302e020100300506032b657004220420'), this.seed), format: 'der', type: 'pkcs8' });
    this.publicKey = createPublicKey(this.#key).export({ format: 'der', type: 'spki' }).subarray(-32);
  }

  sign(message: Buffer): Buffer {
    return sign(null, message, this.#key);
  }
}

const byKey = (a: Pair, b: Pair): number => Buffer.compare(a.publicKey, b.publicKey);
const rootKeys = [new Pair('root a'), new Pair('root b')].sort(byKey);
const laterKeys = [new Pair('root c'), new Pair('root d'), new Pair('root e')].sort(byKey);
const cluster = new Pair('cluster');
const writer = new Pair('writer');
export const pairs = { cluster, writer };

/** Count, then key and signature of each, by rising keys. */
function signatures(message: Buffer, pairsThatSign: readonly Pair[]): Buffer {
  const sorted = [...pairsThatSign].sort(byKey);
  return cat(u8(sorted.length), ...sorted.map((pair) => cat(pair.publicKey, pair.sign(message))));
}

/** format | version | previous | nonce | threshold | count, keys | count, carried. */
function rootBody(version: number, previous: Buffer, keys: readonly Pair[], carried: readonly Buffer[]): Buffer {
  const nonce = sha256(text(`nonce of root ${version}`)).subarray(0, 16);
  const fixed = cat(u8(1), u32(version), previous, nonce, u8(2));
  return cat(fixed, u8(keys.length), ...keys.map(({ publicKey }) => publicKey), u16(carried.length), ...carried);
}

const rootId = (body: Buffer): Buffer => sha256(text('gkvmesh/root/v1\0'), body);
const firstBody = rootBody(1, zero32, rootKeys, []);
const meshId = rootId(firstBody);
const signedRoot = (body: Buffer, keys: readonly Pair[]): Buffer =>
  cat(body, signatures(cat(text('gkvmesh/root/sign/v1\0'), meshId, rootId(body)), keys));

/** format | parent | root version | issuer | audience | rights | depth | not before | expires | nonce | count, patterns. */
function grantBody(names: {
  parent: Buffer;
  rootVersion: number;
  issuer: Buffer;
  audience: Pair;
  rights: number;
  depth: number;
  patterns: readonly string[];
}): Buffer {
  const who = cat(u8(1), names.parent, u32(names.rootVersion), names.issuer, names.audience.publicKey);
  const what = cat(u8(names.rights), u8(names.depth), u64(1_700_000_000_000), u64(1_800_000_000_000), sha256(names.parent).subarray(0, 16));
  return cat(who, what, u8(names.patterns.length), ...names.patterns.map((pattern) => cat(u16(pattern.length), text(pattern))));
}

const grantId = (body: Buffer): Buffer => sha256(text('gkvmesh/grant/v1\0'), meshId, body);
const signedGrant = (body: Buffer, keys: readonly Pair[]): Buffer =>
  cat(body, signatures(cat(text('gkvmesh/grant/sign/v1\0'), meshId, grantId(body)), keys));

const all = { parent: zero32, rootVersion: 1, issuer: zero32, audience: cluster, rights: 31, depth: 2, patterns: ['**'] };
const allBody = grantBody(all);
const frenchBody = grantBody({
  parent: grantId(allBody),
  rootVersion: 0,
  issuer: cluster.publicKey,
  audience: writer,
  rights: 1 | 2 | 4,
  depth: 0,
  patterns: ['/cities/FR/**', 'hi'],
});
const laterBody = rootBody(2, meshId, laterKeys, [grantId(allBody)]);

/** format | target | signer | root version. */
const revocationBody = (target: Buffer, signer: Buffer, rootVersion: number): Buffer => cat(u8(1), target, signer, u32(rootVersion));
const revocationId = (body: Buffer): Buffer => sha256(text('gkvmesh/revocation/v1\0'), meshId, body);
const signedRevocation = (body: Buffer, keys: readonly Pair[]): Buffer =>
  cat(body, signatures(cat(text('gkvmesh/revocation/sign/v1\0'), meshId, revocationId(body)), keys));
const byClusterBody = revocationBody(grantId(frenchBody), cluster.publicKey, 0);
const byRootBody = revocationBody(grantId(frenchBody), zero32, 2);

const leaf = (id: Buffer): Buffer => sha256(u8(0), id);
const branch = (left: Buffer, right: Buffer): Buffer => sha256(u8(1), left, right);

/** length | pathLen | sides | siblings | signature. */
function block(sides: number, siblings: readonly Buffer[], root: Buffer): Buffer {
  const rest = cat(u8(siblings.length), u8(sides), ...siblings, writer.sign(cat(text('gkvmesh/batch/v1\0'), meshId, root)));
  return cat(u16(rest.length), rest);
}

/** ((a b) (c d)) e, blocks of a, d and e. */
function batch(): Record<string, Buffer> {
  const ids = batchIds;
  const [a, b, c, d, e] = ids.map(leaf) as [Buffer, Buffer, Buffer, Buffer, Buffer];
  const root = branch(branch(branch(a, b), branch(c, d)), e);
  return {
    first: block(0b000, [b, branch(c, d), e], root),
    fourth: block(0b011, [c, branch(a, b), e], root),
    fifth: block(0b1, [branch(branch(a, b), branch(c, d))], root),
  };
}

export const batchIds = Array.from({ length: 5 }, (_, i) => sha256(text(`write ${i}`)));

/** Of a client that mints its versions by its own key, under the delegated grant, at 1,700,000,000,123 ms. */
function clientWrite(): Record<string, Buffer> {
  const instance = sha256(writer.publicKey).subarray(0, 8);
  const value = text('Paris');
  const version = cat(be(1_700_000_000_123, 6), u16(0), instance);
  const statement = { ...statements.set, key: text('/cities/FR/1'), version, value, expiresAt, leaf: grantId(frenchBody) };
  const body = bodyOf(statement);
  const id = sha256(text('gkvmesh/write/v1\0'), meshId, body);
  return { clientBody: body, clientValue: value, clientWriteId: id, clientBlock: block(0, [], leaf(id)) };
}

export function grantVectors(): Record<string, string> {
  const single = writeIdOf(statements.set);
  const named = {
    meshId,
    firstRoot: signedRoot(firstBody, rootKeys),
    laterRoot: signedRoot(laterBody, [...rootKeys, ...laterKeys.slice(0, 2)]),
    laterRootId: rootId(laterBody),
    rootGrant: signedGrant(allBody, rootKeys),
    rootGrantId: grantId(allBody),
    delegated: signedGrant(frenchBody, [cluster]),
    delegatedId: grantId(frenchBody),
    revocation: signedRevocation(byClusterBody, [cluster]),
    revocationId: revocationId(byClusterBody),
    rootRevocation: signedRevocation(byRootBody, laterKeys.slice(1)),
    rootRevocationId: revocationId(byRootBody),
    writeId: single,
    singleBlock: block(0, [], leaf(single)),
    ...clientWrite(),
    ...Object.fromEntries(Object.entries(batch()).map(([name, bytes]) => [`${name}OfBatch`, bytes])),
  };
  return Object.fromEntries(Object.entries(named).map(([name, bytes]) => [name, bytes.toString('hex')]));
}
