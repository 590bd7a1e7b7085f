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

  constructor(meshId: Uint8Array, signatures: Signatures) {
    this.#meshId = meshId;
    this.#signatures = signatures;
  }

  /** Whether the block holds a signature by this key of a batch that the write is in. */
  async hold(signer: Uint8Array, id: WriteId, { path, signature }: SignatureBlock): Promise<boolean> {
    const root = rootOfPath(id, path);
    const name = toLatin1(Buffer.concat([signer, root, signature]));
    const isHeld = this.#held.delete(name) || (await this.#signatures.verify(signer, batchMessage(this.#meshId, root), signature));
    if (isHeld) this.#held.add(name);
    const [oldest] = this.#held;
    if (this.#held.size > rootsMax && oldest !== undefined) this.#held.delete(oldest);
    return isHeld;
  }
}
