import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { GkvError } from '../core/errors.ts';
import { PublicKeys } from './publicKey.ts';

const signatureBytes = 64;
const scalarBytes = 32;

/** Which keys and signatures hold: Ed25519 (RFC 8032), the strict way. The same verdict everywhere; see SPEC.md of `src/grant`, T3. */
export interface Signatures {
  /** Whether the 32 bytes are a key that may hold a grant. */
  isKey(publicKey: Uint8Array): boolean;
  /** Callers bound how many they ask for at once. False for bytes of a wrong length too. */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean>;
}

/** Keys that are kept once they were checked. */
const keysMax = 4_096;

/** So many checks are on node's threads at a time, some 50 ms of them: commits to disk stand in the same line. */
const underWayMax = 512;

/** node:crypto's verdict, on its threads, for what is strict. */
export function nativeSignatures(): Signatures {
  const waiting: (() => void)[] = [];
  let underWay = 0;
  return strict(
    (key, message, signature) =>
      new Promise((resolve, reject) => {
        const begin = (): void => {
          underWay += 1;
          verify(null, message, key, signature, (error, isValid) => {
            underWay -= 1;
            waiting.shift()?.();
            if (error === null) resolve(isValid);
            else reject(error);
          });
        };
        if (underWay < underWayMax) begin();
        else waiting.push(begin);
      }),
  );
}

/** The same verdict within the call, for a simulation, where nothing may happen beside it. */
export function inlineSignatures(): Signatures {
  return strict((key, message, signature) => Promise.resolve(verify(null, message, key, signature)));
}

type NativeVerify = (key: KeyObject, message: Uint8Array, signature: Uint8Array) => Promise<boolean>;

function strict(nativeVerify: NativeVerify): Signatures {
  const keys = new PublicKeys(keysMax);
  return {
    isKey: (publicKey) => keys.get(publicKey) !== undefined,
    verify: (publicKey, message, signature) => {
      const key = keys.get(publicKey);
      if (key === undefined || !isStrict(signature)) return Promise.resolve(false);
      return nativeVerify(key, message, signature);
    },
  };
}

/** L, the order of the base point, big-endian. */
const order = Buffer.from('1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed', 'hex');
/** The neutral element, as it is encoded. */
const identity = Buffer.from(`01${'00'.repeat(31)}`, 'hex');

/**
 * What node:crypto (OpenSSL) leaves open: S below the order, R not the neutral element. It compares R's bytes with those it works
 * out from a key of prime order, so that no other R of small or mixed order, or of another encoding, passes.
 */
function isStrict(signature: Uint8Array): boolean {
  if (signature.length !== signatureBytes) return false;
  return isBelowOrder(signature.subarray(scalarBytes)) && !identity.equals(signature.subarray(0, scalarBytes));
}

function isBelowOrder(scalar: Uint8Array): boolean {
  const top = scalar[scalarBytes - 1] ?? 0;
  if (top < (order[0] ?? 0)) return true; // 15 of 16 of all scalars
  return Buffer.compare(Buffer.from(scalar).reverse(), order) < 0;
}

/** A private key in use. Its bytes are not to be had from here. */
export class SigningKey {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly #key: KeyObject;

  private constructor(key: KeyObject) {
    if (key.asymmetricKeyType !== 'ed25519') {
      throw new GkvError('bad_config', `a key of type ${key.asymmetricKeyType ?? 'none'}: grants are signed with Ed25519`);
    }
    this.#key = key;
    this.publicKey = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-scalarBytes);
  }

  /** From the 32 bytes that RFC 8032 calls the private key. */
  static fromSeed(seed: Uint8Array): SigningKey {
    return new SigningKey(createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: 'der', type: 'pkcs8' }));
  }

  /** From PKCS #8 in PEM, encrypted or not. Error: `bad_config` where it is none, is no Ed25519 key, or the passphrase is another. */
  static fromPem(pem: string, passphrase?: string): SigningKey {
    let key: KeyObject;
    try {
      key = createPrivateKey({ key: pem, ...(passphrase !== undefined && { passphrase }) });
    } catch (cause) {
      throw new GkvError('bad_config', 'no private key in PEM (PKCS #8), or it is encrypted and the passphrase is another', { cause });
    }
    return new SigningKey(key);
  }

  sign(message: Uint8Array): Uint8Array {
    return sign(null, message, this.#key);
  }
}

/** What comes before the seed in a PrivateKeyInfo (RFC 8410). */
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex');
