import { toLatin1 } from '../core/bytes.ts';
import { zeroSum, type Sum } from '../core/sum.ts';
import { type WriteId } from '../core/write.ts';
import { type MeshDigests } from '../crypto/mesh.ts';

export const fingerprintBytes = 8;
export const scopeFingerprintBytes = 16;
/** Salted ids of writes: within a range of hundreds, two are equal by chance once in 2^31 or so, and never twice with another nonce. */
export const idBytes = 6;

/** Fingerprints and ids of one exchange; its nonce makes them different from those of every other. */
export class Fingerprints {
  readonly #digests: MeshDigests;
  readonly #nonce: Uint8Array;
  /** Of a range with nothing in it. */
  readonly empty: Uint8Array;

  constructor(digests: MeshDigests, nonce: Uint8Array) {
    this.#digests = digests;
    this.#nonce = nonce;
    this.empty = this.of(zeroSum());
  }

  /** HMAC(meshKey, nonce ‖ sum)[0..8]. */
  of(sum: Sum): Uint8Array {
    return this.#digests.mac(this.#nonce, sum).subarray(0, fingerprintBytes);
  }

  /** As `of`, longer: two clusters that agree on it hold the same. */
  ofScope(sum: Sum): Uint8Array {
    return this.#digests.mac(this.#nonce, sum).subarray(0, scopeFingerprintBytes);
  }

  /** SHA-256(meshKey ‖ nonce ‖ writeId)[0..6], one char a byte. */
  idOf(id: WriteId): string {
    return toLatin1(this.#digests.keyed(this.#nonce, id).subarray(0, idBytes));
  }
}

/** Takes ids that lie one behind the other apart. */
export function splitIds(ids: Uint8Array): string[] {
  const names: string[] = [];
  for (let at = 0; at < ids.length; at += idBytes) names.push(toLatin1(ids.subarray(at, at + idBytes)));
  return names;
}

export function joinIds(ids: readonly string[]): Uint8Array {
  return Buffer.from(ids.join(''), 'latin1');
}
