import { GkvError } from '../core/errors.ts';
import { parseKey } from '../core/key.ts';
import { compareStamps, makeStamp, physicalMsMax, physicalMsOf, stampFromHex, successorStamp, type Stamp } from '../core/stamp.ts';
import { checkShape, encodeBody, parseGrantId, type GrantId, type WriteBody } from '../core/write.ts';
import { sha256 } from '../crypto/digest.ts';
import { type SigningKey } from '../crypto/ed25519.ts';
import { clientInstance, meshIdBytes, writeIdOf } from '../crypto/mesh.ts';
import { grantLimits } from '../grant/limits.ts';
import { signWrites } from '../grant/signatureBlock.ts';

/** What is to be signed. `above`: a version that it replaces, as `Client.get` gives it, where that may be ahead of our clock. */
export type StatementOp =
  | {
      readonly kind: 'set';
      readonly key: Uint8Array;
      readonly value: Uint8Array;
      /** ms since the epoch; 0, or left out: never. */
      readonly expiresAt?: number;
      readonly above?: string | null;
    }
  | { readonly kind: 'delete'; readonly key: Uint8Array; readonly above?: string | null };

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

  /** Error: `malformed` where the mesh's or the grant's id has not 32 bytes. */
  constructor(options: SignerOptions) {
    checkId('meshId', options.meshId);
    checkId('grantId', options.grantId);
    this.#options = options;
    this.#leaf = parseGrantId(options.grantId);
    this.#last = makeStamp(0, 0, clientInstance(options.key.publicKey));
  }

  /** One signature serves up to 256 of them; each can be sent by itself. Errors: `malformed`, `too_large` for what no write is, or no clock's time. */
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
    if (!Number.isSafeInteger(expiresAt) || expiresAt < 0)
      throw new GkvError(
        'malformed',
        `expiresAt: ${String(expiresAt)} is no time: ms since the epoch, a whole number below 2^53, or 0 for never`,
      );
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

  #next(replaced: string | null | undefined): Stamp {
    const above = replaced === undefined || replaced === null ? undefined : versionOf(replaced);
    const { now, key } = this.#options;
    const instance = clientInstance(key.publicKey);
    const nowMs = Math.floor(now()); // of a fraction stamps take no note
    if (!(nowMs >= 0 && nowMs < physicalMsMax)) throw new GkvError('malformed', `now: ${nowMs} is no time in ms since the epoch`);
    const next = nowMs > physicalMsOf(this.#last) ? makeStamp(nowMs, 0, instance) : successorStamp(this.#last, instance);
    this.#last = above === undefined || compareStamps(next, above) > 0 ? next : successorStamp(above, instance);
    return this.#last;
  }
}

/** The version that is to be replaced. Error: `malformed`. */
function versionOf(above: unknown): Stamp {
  if (typeof above !== 'string') throw new GkvError('malformed', `above: is a ${typeof above}, must be a version: 32 hex digits`);
  const version = stampFromHex(above);
  if (physicalMsOf(version) < physicalMsMax) return version;
  throw new GkvError('malformed', `above: ${above} is later than any time, and nothing comes after it`);
}

/** Error: `malformed`. */
function checkId(name: 'meshId' | 'grantId', id: unknown): void {
  if (id instanceof Uint8Array && id.length === meshIdBytes) return;
  const found = id instanceof Uint8Array ? `has ${id.length} bytes` : `is a ${typeof id}`;
  throw new GkvError('malformed', `${name}: ${found}, must be a Uint8Array of 32`);
}

function valueOf(op: StatementOp): Uint8Array {
  return op.kind === 'set' ? op.value : new Uint8Array(0);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
