/**
 * Every failure that a caller may meet has a stable code; the message says what was wrong, with the value, and what
 * would be right. A code never changes its meaning.
 */
export type ErrorCode =
  // what a client sent
  | 'malformed'
  | 'unknown_field'
  | 'too_large'
  | 'unknown_path'
  | 'wrong_method'
  | 'slow_body'
  | 'origin_denied'
  | 'unauthenticated'
  | 'version_mismatch'
  | 'version_future'
  | 'version_stale'
  | 'bad_signature'
  | 'below_floor'
  // what authority lacks, in the order of the checks; src/grant/SPEC.md
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
  // what a peer is or did
  | 'mesh_mismatch'
  | 'peer_unproven'
  | 'session_unknown'
  | 'peer_unreachable'
  | 'peer_timeout'
  | 'peer_protocol'
  | 'rollback_detected'
  | 'must_bootstrap'
  | 'wrong_peer'
  // what this process, its store or its machine cannot do
  | 'not_advertised'
  | 'unavailable'
  | 'disk_full'
  | 'read_only'
  | 'data_locked'
  | 'format_unknown'
  | 'port_in_use'
  | 'bad_config'
  | 'corrupt'
  | 'store_closed'
  | 'store_conflict'
  | 'store_unreadable'
  | 'transaction_too_old'
  | 'transaction_too_large'
  | 'commit_unknown'
  | 'lease_lost'
  | 'internal';

/** Additional facts for the caller, such as the current version in `version_mismatch`. Goes into the JSON answer. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | null>>;

export class GkvError extends Error {
  override readonly name = 'GkvError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; details?: ErrorDetails } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** True for a GkvError of one of the codes. */
export function hasCode(error: unknown, ...codes: readonly ErrorCode[]): error is GkvError {
  return error instanceof GkvError && codes.includes(error.code);
}

/** Checks what only a bug of ours can break; the world's failures are GkvErrors of their own. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new GkvError('internal', `assertion failed: ${message}`);
}
