import { createPublicKey, type KeyObject } from 'node:crypto';
import { Point } from '@noble/ed25519';
import { toLatin1 } from '../core/bytes.ts';

const publicKeyBytes = 32;

/** What comes before the key in a SubjectPublicKeyInfo (RFC 8410). */
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');

/**
 * Whether the bytes are the one encoding (RFC 8032, 5.1.3) of a point of the prime order: no other point can be a key, so
 * that all ways of verifying agree. About 1 ms.
 */
function isPublicKey(bytes: Uint8Array): boolean {
  if (bytes.length !== publicKeyBytes) return false;
  try {
    const point = Point.fromBytes(bytes); // refuses y ≥ p, x = 0 with a sign, and what is not on the curve
    return !point.is0() && point.isTorsionFree();
  } catch {
    return false;
  }
}

/** Public keys that were met, checked once each; the ones that were not asked for longest go first. */
export class PublicKeys {
  readonly #known = new Map<string, KeyObject | undefined>();
  readonly #keysMax: number;

  constructor(keysMax: number) {
    this.#keysMax = keysMax;
  }

  /** Undefined for what is no key. */
  get(bytes: Uint8Array): KeyObject | undefined {
    const name = toLatin1(bytes);
    const isKnown = this.#known.has(name);
    const key = isKnown ? this.#known.get(name) : keyObjectOf(bytes);
    this.#known.delete(name);
    this.#known.set(name, key);
    if (this.#known.size > this.#keysMax) {
      const [oldest] = this.#known.keys();
      if (oldest !== undefined) this.#known.delete(oldest);
    }
    return key;
  }
}

function keyObjectOf(bytes: Uint8Array): KeyObject | undefined {
  if (!isPublicKey(bytes)) return undefined;
  return createPublicKey({ key: Buffer.concat([spkiPrefix, bytes]), format: 'der', type: 'spki' });
}
