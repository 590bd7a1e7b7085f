import { toLatin1 } from '../core/bytes.ts';
import { type WriteId } from '../core/write.ts';
import { type Signatures } from '../crypto/ed25519.ts';
import { BatchRoots } from './batchRoots.ts';
import { batchMessage, signatureOf } from './signatureBlock.ts';

/** So many roots of batches, and as many again, are remembered once their signature was found to hold. */
const rootsMax = 4_096;

/** Signatures on writes of one mesh. One check serves all writes of a batch. */
export class WriteSignatures {
  readonly #meshId: Uint8Array;
  readonly #signatures: Signatures;
  readonly #roots = new BatchRoots();
  /** Signer, root and signature, one char a byte. Once these are as many as may be, they are the older half, and the half that was that is forgotten. */
  #held = new Set<string>();
  #heldBefore = new Set<string>();
  /** By the same names; as many at a time as callers ask for. */
  readonly #underWay = new Map<string, Promise<boolean>>();
  /** Of the write before: the next one of its batch needs no name to be found. */
  #last: Named | undefined;

  constructor(meshId: Uint8Array, signatures: Signatures) {
    this.#meshId = meshId;
    this.#signatures = signatures;
  }

  /** Whether the block, which is one, holds a signature by this key of a batch that the write is in: at once where that is known, and for a batch by one promise. */
  hold(signer: Uint8Array, id: WriteId, block: Uint8Array): boolean | Promise<boolean> {
    const root = this.#roots.of(id, block);
    const last = this.#last;
    const isSame = last !== undefined && last.root === root && last.signer === signer;
    const signed = isSame ? last : named({ signer, root, signature: signatureOf(block) });
    this.#last = signed;
    const { name } = signed;
    if (this.#held.has(name)) return true;
    if (this.#heldBefore.has(name)) {
      this.#remember(name);
      return true;
    }
    const before = this.#underWay.get(name);
    if (before !== undefined) return before;
    return this.#verify(signed);
  }

  /** The writes of a batch mostly come together: they wait for one check. */
  #verify({ name, signer, root, signature }: Named): Promise<boolean> {
    const checking = this.#signatures.verify(signer, batchMessage(this.#meshId, root), signature).then(
      (isHeld) => {
        this.#underWay.delete(name);
        if (isHeld) this.#remember(name);
        return isHeld;
      },
      (error: unknown) => {
        this.#underWay.delete(name);
        throw error;
      },
    );
    this.#underWay.set(name, checking);
    return checking;
  }

  #remember(name: string): void {
    this.#held.add(name);
    if (this.#held.size < rootsMax) return;
    this.#heldBefore = this.#held;
    this.#held = new Set();
  }
}

interface Signed {
  readonly signer: Uint8Array;
  readonly root: Uint8Array;
  readonly signature: Uint8Array;
}

interface Named extends Signed {
  readonly name: string;
}

function named(signed: Signed): Named {
  return { ...signed, name: toLatin1(Buffer.concat([signed.signer, signed.root, signed.signature])) };
}
