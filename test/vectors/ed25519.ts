/** Signatures on which verifiers of Ed25519 disagree, each crafted from the equation s·B = R + h·A with points of small order thrown in. */
import { createHash } from 'node:crypto';
import { Point } from '@noble/ed25519';
import { cat, sha256, text } from './bytes.ts';

const order = Point.CURVE().n;
const fieldPrime = Point.CURVE().p;

function numberOf(littleEndian: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(littleEndian).reverse().toString('hex')}`);
}

function littleEndian(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse();
}

const scalar = (label: string): bigint => (numberOf(sha256(text(label))) % (order - 1n)) + 1n;

/** h of RFC 8032, over the bytes as they stand. */
function challenge(r: Uint8Array, a: Uint8Array, message: Uint8Array): bigint {
  return (
    numberOf(
      createHash('sha512')
        .update(cat(r, a, message))
        .digest(),
    ) % order
  );
}

/** A point of order 8: any point times the order of the base point, where that is one. */
function torsion(): Point {
  for (let y = 2n; ; y += 1n) {
    let point: Point;
    try {
      point = Point.fromBytes(littleEndian(y));
    } catch {
      continue;
    }
    const found = point.multiply(order - 1n, false).add(point);
    if (!found.double().double().is0()) return found;
  }
}

const eighth = torsion();

interface Case {
  readonly valid: boolean;
  readonly key: Uint8Array;
  readonly message: Uint8Array;
  readonly r: Uint8Array;
  readonly s: bigint;
}

const a = scalar('secret');
const key = Point.BASE.multiply(a);
const message = text('gkvmesh');

/** A signature as RFC 8032 makes it, but for the nonce, what is added to R, and the key that goes into the hash. */
function signed(options: { nonce?: bigint; added?: Point; addedToKey?: Point; message?: Buffer } = {}): Omit<Case, 'valid'> {
  const nonce = options.nonce ?? scalar('nonce');
  const r = Point.BASE.multiply(nonce, false)
    .add(options.added ?? Point.ZERO)
    .toBytes();
  const publicKey = key.add(options.addedToKey ?? Point.ZERO).toBytes();
  const of = options.message ?? message;
  return { key: publicKey, message: of, r, s: (nonce + challenge(r, publicKey, of) * a) % order };
}

/** A message for which h is a multiple of 8, so that what is of small order in the key falls out of the equation. */
function signedWithLuck(addedToKey: Point): Omit<Case, 'valid'> {
  for (let i = 0; ; i += 1) {
    const found = signed({ addedToKey, message: text(`luck ${i}`) });
    if (challenge(found.r, found.key, found.message) % 8n === 0n) return found;
  }
}

/** All 8 points of small order, and the encodings of some that are not the least ones. */
function smallOrderKeys(): Uint8Array[] {
  const points: Point[] = [Point.ZERO];
  for (let i = 1; i < 8; i += 1) points.push((points.at(-1) ?? Point.ZERO).add(eighth));
  const signBit = (bytes: Uint8Array): Uint8Array => Buffer.concat([bytes.subarray(0, 31), Buffer.of((bytes[31] ?? 0) | 0x80)]);
  const odd = [littleEndian(fieldPrime), littleEndian(fieldPrime + 1n), signBit(littleEndian(fieldPrime + 1n)), signBit(littleEndian(1n))];
  return [...points.map((point) => point.toBytes()), ...odd, signBit(littleEndian(fieldPrime - 1n))];
}

function cases(): Record<string, Case> {
  const good = signed();
  const wide = Object.fromEntries(
    smallOrderKeys().map((bytes, i): [string, Case] => [
      `key of small order ${i}`,
      { valid: false, key: bytes, message, r: Point.ZERO.toBytes(), s: 0n },
    ]),
  );
  return {
    good: { valid: true, ...good },
    'good, of nothing': { valid: true, ...signed({ message: Buffer.alloc(0) }) },
    'S + L': { valid: false, ...good, s: good.s + order },
    'S + 8 L': { valid: false, ...good, s: good.s + 8n * order },
    'S one more': { valid: false, ...good, s: (good.s + 1n) % order },
    'another message': { valid: false, ...good, message: text('gkvmesh.') },
    'R of order 8 thrown in': { valid: false, ...signed({ added: eighth }) },
    'R of order 2 thrown in': { valid: false, ...signed({ added: eighth.double().double() }) },
    'R is nothing': { valid: false, ...signed({ nonce: 0n }) },
    'R is nothing, as y = p + 1': { valid: false, ...rewrittenR(littleEndian(fieldPrime + 1n)) },
    'R is nothing, with a sign': { valid: false, ...rewrittenR(Buffer.concat([Buffer.of(1), Buffer.alloc(30), Buffer.of(0x80)])) },
    'key of mixed order': { valid: false, ...signed({ addedToKey: eighth }) },
    'key of mixed order, that falls out': { valid: false, ...signedWithLuck(eighth) },
    'key of mixed order 2, that falls out': { valid: false, ...signedWithLuck(eighth.double().double()) },
    'key that is no point': { valid: false, ...good, key: littleEndian(2n) },
    ...wide,
  };
}

/** Nonce 0, R spelled in another way, which goes into the hash as it stands. */
function rewrittenR(r: Uint8Array): Omit<Case, 'valid'> {
  return { key: key.toBytes(), message, r, s: (challenge(r, key.toBytes(), message) * a) % order };
}

/** Expected is what the strict way says. */
export function ed25519Vectors(): object {
  return Object.fromEntries(
    Object.entries(cases()).map(([name, { valid, r, s, ...rest }]) => [
      name,
      {
        valid,
        key: Buffer.from(rest.key).toString('hex'),
        message: Buffer.from(rest.message).toString('hex'),
        signature: cat(r, littleEndian(s)).toString('hex'),
      },
    ]),
  );
}
