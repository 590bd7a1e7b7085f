import { parseKey } from '../core/key.ts';
import { compareStamps, makeStamp, physicalMsOf, successorStamp, type Stamp } from '../core/stamp.ts';
import { checkShape, encodeBody, parseGrantId, type GrantId, type WriteBody } from '../core/write.ts';
import { sha256 } from '../crypto/digest.ts';
import { type SigningKey } from '../crypto/ed25519.ts';
import { clientInstance, writeIdOf } from '../crypto/mesh.ts';
import { grantLimits } from '../grant/limits.ts';
import { signWrites } from '../grant/signatureBlock.ts';

/** What is to be signed. `above`: a version that it replaces, where that may be ahead of our clock. */
export type StatementOp =
  | {
      readonly kind: 'set';
      readonly key: Uint8Array;
      readonly value: Uint8Array;
      /** ms since the epoch; 0, or left out: never. */
      readonly expiresAt?: number;
      readonly above?: Stamp;
    }
  | { readonly kind: 'delete'; readonly key: Uint8Array; readonly above?: Stamp };

/** A signed write as `POST /data/set` takes it: each field in base64. */
export interface SignedWrite {
  readonly write: string;
  readonly value: string;
  readonly signature: string;
}

export interface SignerOptions {
  /** 32 bytes; servers tell it, see `Client.meshId`. */
  readonly meshId: Uint8Array;
  /** 32 bytes: id of a grant whose audience is the key. */
  readonly grantId: Uint8Array;
  readonly key: SigningKey;
  /** ms since the epoch. A server takes no version that is more than 4 s ahead of its clock, or 15 s behind. */
  readonly now: () => number;
}

/** Writes that one signature serves. */
const signedTogetherMax = 1 << grantLimits.pathMax;

/** Makes and signs writes under one grant. Versions rise with each; use one signer for one key, and no other beside it. */
export class Signer {
  readonly #options: SignerOptions;
  readonly #leaf: GrantId;
  #last: Stamp;

  /** Error: `malformed` where the grant's id has not 32 bytes. */
  constructor(options: SignerOptions) {
    this.#options = options;
    this.#leaf = parseGrantId(options.grantId);
    this.#last = makeStamp(0, 0, clientInstance(options.key.publicKey));
  }

  /** One signature serves up to 256 of them; each can be sent by itself. Errors: `malformed`, `too_large` for what no write is. */
  sign(ops: readonly StatementOp[]): SignedWrite[] {
    const { meshId, key } = this.#options;
    const signed: SignedWrite[] = [];
    for (let at = 0; at < ops.length; at += signedTogetherMax) {
      const statements = ops.slice(at, at + signedTogetherMax).map((op) => ({ body: this.#bodyOf(op), value: valueOf(op) }));
      const ids = statements.map(({ body }) => writeIdOf(meshId, body));
      const blocks = signWrites(meshId, ids, key).map(base64);
      for (const [i, { body, value }] of statements.entries())
        signed.push({ write: base64(encodeBody(body)), value: base64(value), signature: blocks[i] ?? '' });
    }
    return signed;
  }

  #bodyOf(op: StatementOp): WriteBody {
    const value = valueOf(op);
    const expiresAt = op.kind === 'set' ? (op.expiresAt ?? 0) : 0;
    checkShape({ tombstone: op.kind === 'delete', expiresAt, valueLength: value.length });
    return {
      key: parseKey(op.key),
      version: this.#next(op.above),
      tombstone: op.kind === 'delete',
      expiresAt,
      leaf: this.#leaf,
      valueLength: value.length,
      valueDigest: sha256(value),
    };
  }

  #next(above: Stamp | undefined): Stamp {
    const { now, key } = this.#options;
    const instance = clientInstance(key.publicKey);
    const nowMs = now();
    const next = nowMs > physicalMsOf(this.#last) ? makeStamp(nowMs, 0, instance) : successorStamp(this.#last, instance);
    this.#last = above === undefined || compareStamps(next, above) > 0 ? next : successorStamp(above, instance);
    return this.#last;
  }
}

function valueOf(op: StatementOp): Uint8Array {
  return op.kind === 'set' ? op.value : new Uint8Array(0);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
