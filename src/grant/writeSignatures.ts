import { toLatin1 } from '../core/bytes.ts';
import { type WriteId } from '../core/write.ts';
import { type Signatures } from '../crypto/ed25519.ts';
import { batchMessage, rootOfPath, type SignatureBlock } from './signatureBlock.ts';

/** Roots of batches that are remembered once their signature was found to hold. */
const rootsMax = 8_192;

/** Signatures on writes of one mesh. One check serves all writes of a batch. */
export class WriteSignatures {
  readonly #meshId: Uint8Array;
  readonly #signatures: Signatures;
  /** Signer, root and signature, one char a byte; by the time they were asked for. */
  readonly #held = new Set<string>();
  /** By the same names; as many at a time as callers ask for. */
  readonly #underWay = new Map<string, Promise<boolean>>();

  constructor(meshId: Uint8Array, signatures: Signatures) {
    this.#meshId = meshId;
    this.#signatures = signatures;
  }

  /** Whether the block holds a signature by this key of a batch that the write is in. */
  async hold(signer: Uint8Array, id: WriteId, { path, signature }: SignatureBlock): Promise<boolean> {
    const root = rootOfPath(id, path);
    const name = toLatin1(Buffer.concat([signer, root, signature]));
    const isHeld = this.#held.delete(name) || (await this.#verify(name, signer, root, signature));
    if (isHeld) this.#held.add(name);
    const [oldest] = this.#held;
    if (this.#held.size > rootsMax && oldest !== undefined) this.#held.delete(oldest);
    return isHeld;
  }

  /** The writes of a batch mostly come together: they wait for one check. */
  #verify(name: string, signer: Uint8Array, root: Uint8Array, signature: Uint8Array): Promise<boolean> {
    const before = this.#underWay.get(name);
    if (before !== undefined) return before;
    const checking = this.#signatures.verify(signer, batchMessage(this.#meshId, root), signature).finally(() => {
      this.#underWay.delete(name);
    });
    this.#underWay.set(name, checking);
    return checking;
  }
}
