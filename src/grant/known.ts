import { toHex } from '../core/bytes.ts';
import { type ErrorCode } from '../core/errors.ts';
import { type Grant } from './grant.ts';
import { type Revocation } from './revocation.ts';
import { type RootDocument } from './root.ts';

/** What is known of a mesh's authority, when something is judged. Whatever is here has signatures that hold. */
export interface Known {
  readonly meshId: Uint8Array;
  /** A grant whose chain is known as far as the root; see `chain.ts`. */
  grant(id: Uint8Array): Grant | undefined;
  /** A grant that was refused for good, and why, as far as it is remembered. */
  refused(id: Uint8Array): Refusal | undefined;
  /** Those that stand, of this version; several where the root was forked. */
  rootsOf(version: number): readonly RootDocument[];
  /** Those that stand, of a greater version. */
  rootsAfter(version: number): readonly RootDocument[];
  /** Those that count. */
  revocationsOf(grantId: Uint8Array): readonly Revocation[];
}

export type RefusalCode = Extract<
  ErrorCode,
  | 'grant_unknown'
  | 'root_unknown'
  | 'chain_too_long'
  | 'bad_public_key'
  | 'grant_signature'
  | 'threshold'
  | 'issuer_mismatch'
  | 'not_delegable'
  | 'grant_wider'
  | 'grant_revoked'
  | 'right_denied'
  | 'key_denied'
  | 'grant_time'
  | 'grant_limit'
  | 'scope_mismatch'
  | 'bad_signature'
>;

/** Why something is refused: the check that failed, where, and what is responsible. */
export interface Refusal {
  readonly code: RefusalCode;
  /** What was wrong, and what would be right. */
  readonly message: string;
  /** The link of the chain that fails, counted from the root's grant, which is 0; undefined where there is no chain. */
  readonly link: number | undefined;
  /** The grant that fails. */
  readonly grantId: Uint8Array | undefined;
  /** The revocation, or the root document, that ended it. */
  readonly endedBy: Uint8Array | undefined;
}

/** Codes of refusals that a record which is yet to come may lift; all others are for good. */
const openCodes: readonly RefusalCode[] = ['grant_unknown', 'root_unknown', 'threshold'];

export function isFinal({ code }: Refusal): boolean {
  return !openCodes.includes(code);
}

export function refusal(
  code: RefusalCode,
  message: string,
  where: { link?: number; grantId?: Uint8Array; endedBy?: Uint8Array } = {},
): Refusal {
  const { link, grantId, endedBy } = where;
  return { code, message, link, grantId, endedBy };
}

/** The beginning of an id, by which people tell them apart. */
export function shortId(id: Uint8Array): string {
  return toHex(id.subarray(0, 6));
}
