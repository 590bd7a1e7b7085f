import { toLatin1 } from '../core/bytes.ts';
import { type WriteId } from '../core/write.ts';
import { type Signatures } from '../crypto/ed25519.ts';
import { batchMessage, rootOfPath, type SignatureBlock } from './signatureBlock.ts';

/** So many roots of batches, and as many again, are remembered once their signature was found to hold. */
const rootsMax = 4_096;

/** Signatures on writes of one mesh. One check serves all writes of a batch. */
export class WriteSignatures {
  readonly #meshId: Uint8Array;
  readonly #signatures: Signatures;
  /** Signer, root and signature, one char a byte. Once these are as many as may be, they are the older half, and the half that was that is forgotten. */
  #held = new Set<string>();
  #heldBefore = new Set<string>();
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
    if (this.#held.has(name)) return true;
    const isHeld = this.#heldBefore.has(name) || (await this.#verify(name, signer, root, signature));
    if (isHeld) this.#remember(name);
    return isHeld;
  }

  #remember(name: string): void {
    this.#held.add(name);
    if (this.#held.size < rootsMax) return;
    this.#heldBefore = this.#held;
    this.#held = new Set();
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
