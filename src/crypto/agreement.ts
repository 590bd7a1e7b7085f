import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto';
import { GkvError } from '../core/errors.ts';

/** Of a secret, a public key, and what is agreed on. */
export const agreementBytes = 32;

/** What comes before the secret in a PrivateKeyInfo, and before the key in a SubjectPublicKeyInfo (RFC 8410). */
const pkcs8Prefix = Buffer.from('302e020100300506032b656e04220420', 'hex');
const spkiPrefix = Buffer.from('302a300506032b656e032100', 'hex');

/** One side of an agreement on a secret: X25519 (RFC 7748). For one session alone, so that no key that is kept tells what was agreed on. */
export class Agreement {
  readonly publicKey: Uint8Array;
  readonly #key: KeyObject;

  /** `secret`: 32 unpredictable bytes. */
  constructor(secret: Uint8Array) {
    this.#key = createPrivateKey({ key: Buffer.concat([pkcs8Prefix, secret]), format: 'der', type: 'pkcs8' });
    this.publicKey = createPublicKey(this.#key).export({ format: 'der', type: 'spki' }).subarray(-agreementBytes);
  }

  /** 32 bytes that the other side comes to as well. Error: `bad_public_key` for one with which anybody could. */
  with(publicKey: Uint8Array): Uint8Array {
    try {
      const other = createPublicKey({ key: Buffer.concat([spkiPrefix, publicKey]), format: 'der', type: 'spki' });
      const agreed = diffieHellman({ privateKey: this.#key, publicKey: other });
      if (agreed.some((byte) => byte !== 0)) return agreed;
    } catch (cause) {
      throw new GkvError('bad_public_key', 'no public key of X25519 to agree with', { cause });
    }
    throw new GkvError('bad_public_key', 'a public key of X25519 of small order');
  }
}
