import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Point, signAsync, verifyAsync } from '@noble/ed25519';
import fc from 'fast-check';
import { hasCode } from '../../src/core/errors.ts';
import { inlineSignatures, nativeSignatures, SigningKey } from '../../src/crypto/ed25519.ts';
import { PublicKeys } from '../../src/crypto/publicKey.ts';
import { ed25519Vectors } from '../vectors/ed25519.ts';

type Vector = Record<'key' | 'message' | 'signature', string> & { valid: boolean };
const vectors = JSON.parse(readFileSync(new URL('../vectors/ed25519.json', import.meta.url), 'utf8')) as Record<string, Vector>; // checked below
const native = nativeSignatures();
const inline = inlineSignatures();

function pointOf(bytes: Uint8Array): Point | undefined {
  try {
    return Point.fromBytes(bytes);
  } catch {
    return undefined;
  }
}

const isPrime = (point: Point | undefined): boolean => point !== undefined && !point.is0() && point.isTorsionFree();

/** The same rule over the other implementation: its strict way, and both points of prime order. */
async function reference(key: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  if (!isPrime(pointOf(key)) || !isPrime(pointOf(signature.subarray(0, 32)))) return false;
  return verifyAsync(signature, message, key, { zip215: false });
}

/** node:crypto alone, without what makes it strict. */
function bare(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), key]);
  return verify(null, message, createPublicKey({ key: spki, format: 'der', type: 'spki' }), signature);
}

const partsOf = ({ key, message, signature }: Vector): [Buffer, Buffer, Buffer] => [
  Buffer.from(key, 'hex'),
  Buffer.from(message, 'hex'),
  Buffer.from(signature, 'hex'),
];

describe('ed25519', () => {
  it('T3: the file is what the generator makes', () => {
    assert.deepEqual(vectors, ed25519Vectors());
  });

  for (const [name, vector] of Object.entries(vectors)) {
    it(`T3: ${name}: ${vector.valid ? 'holds' : 'is refused'}, whoever verifies`, async () => {
      const parts = partsOf(vector);
      assert.equal(await native.verify(...parts), vector.valid);
      assert.equal(await inline.verify(...parts), vector.valid);
      assert.equal(await reference(...parts), vector.valid);
    });
  }

  it('what else waits for the threads waits behind 512 checks at the most, however many are asked for', async () => {
    const key = SigningKey.fromSeed(Buffer.alloc(32, 7));
    const message = Buffer.from('message');
    const signature = key.sign(message);
    let done = 0;
    const checks = Array.from({ length: 4_000 }, async () => {
      assert.equal(await native.verify(key.publicKey, message, signature), true);
      done += 1;
    });
    await stat('.');
    assert.ok(done < 1_000, `${done} checks came first`);
    await Promise.all(checks);
    assert.equal(done, 4_000);
  });

  it('T3: without its checks each of the two would take some of them, and not the same ones', async () => {
    const taken = { bare: new Set<string>(), strict: new Set<string>() };
    for (const [name, vector] of Object.entries(vectors)) {
      if (vector.valid) continue;
      const [key, message, signature] = partsOf(vector);
      if (bare(key, message, signature)) taken.bare.add(name);
      if (await verifyAsync(signature, message, key, { zip215: false })) taken.strict.add(name);
    }
    assert.ok(taken.strict.has('R of order 8 thrown in') && !taken.bare.has('R of order 8 thrown in'));
    assert.ok([...taken.bare].some((name) => name.startsWith('key of small order') && !taken.strict.has(name)));
    assert.ok(taken.bare.has('key of mixed order, that falls out') && taken.strict.has('key of mixed order, that falls out'));
  });

  it('T3: what is changed anywhere gets the same verdict from both', async () => {
    const signer = SigningKey.fromSeed(Buffer.alloc(32, 7));
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 40 }), fc.nat(63), fc.nat(7), fc.boolean(), async (message, at, bit, flips) => {
        const signature = Buffer.from(signer.sign(message));
        if (flips) signature[at] = (signature[at] ?? 0) ^ (1 << bit);
        assert.equal(await native.verify(signer.publicKey, message, signature), !flips);
        assert.equal(await reference(signer.publicKey, message, signature), !flips);
      }),
      { numRuns: 60 },
    );
  });

  it('T3: signing is that of RFC 8032', async () => {
    const seed = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex');
    const signer = SigningKey.fromSeed(seed);
    assert.equal(Buffer.from(signer.publicKey).toString('hex'), 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
    for (const message of [Buffer.alloc(0), Buffer.from('gkvmesh'), Buffer.alloc(5_000, 1)]) {
      assert.deepEqual(Buffer.from(signer.sign(message)), Buffer.from(await signAsync(message, seed)));
    }
  });

  it('T3: a signature or key of another length is refused', async () => {
    const signer = SigningKey.fromSeed(Buffer.alloc(32, 9));
    const message = Buffer.from('m');
    const signature = signer.sign(message);
    assert.ok(!(await native.verify(signer.publicKey, message, signature.subarray(0, 63))));
    assert.ok(!(await native.verify(signer.publicKey, message, Buffer.concat([signature, Buffer.of(0)]))));
    assert.ok(!(await native.verify(signer.publicKey.subarray(0, 31), message, signature)));
    assert.ok(native.isKey(signer.publicKey) && !native.isKey(Buffer.alloc(32)) && !native.isKey(Buffer.alloc(0)));
  });

  it('a private key of another kind, or none, is bad_config', () => {
    for (const pem of ['', 'nonsense', '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n']) {
      assert.throws(
        () => SigningKey.fromPem(pem),
        (error) => hasCode(error, 'bad_config'),
      );
    }
    const ecKey = readFileSync(new URL('../fixtures/tls/server.key', import.meta.url), 'utf8');
    assert.throws(
      () => SigningKey.fromPem(ecKey),
      (error) => hasCode(error, 'bad_config'),
    );
  });

  it('I9: checked keys are kept up to a bound, and what goes is what was not asked for longest', () => {
    const keys = new PublicKeys(2);
    const [a, b, c] = [1, 2, 3].map((i) => SigningKey.fromSeed(Buffer.alloc(32, i)).publicKey);
    assert.ok(a !== undefined && b !== undefined && c !== undefined);
    const first = keys.get(a);
    const second = keys.get(b);
    assert.equal(keys.get(a), first);
    keys.get(c);
    assert.equal(keys.get(a), first);
    assert.notEqual(keys.get(b), second);
  });
});
