import { GkvError, type ErrorCode } from '../core/errors.ts';

/** The HTTP status of every error code; README.md has those that a caller may meet. */
export const statusOf: Readonly<Record<ErrorCode, number>> = {
  malformed: 400,
  unknown_field: 400,
  too_large: 413,
  unknown_path: 404,
  wrong_method: 405,
  slow_body: 408,
  origin_denied: 403,
  unauthenticated: 401,
  version_mismatch: 412,
  version_future: 400,
  version_stale: 400,
  bad_signature: 403,
  below_floor: 409,
  grant_unknown: 403,
  root_unknown: 403,
  chain_too_long: 403,
  bad_public_key: 403,
  grant_signature: 403,
  threshold: 403,
  issuer_mismatch: 403,
  not_delegable: 403,
  grant_wider: 403,
  grant_revoked: 403,
  right_denied: 403,
  key_denied: 403,
  grant_time: 403,
  grant_limit: 403,
  scope_mismatch: 403,
  mesh_mismatch: 409,
  peer_unproven: 403,
  session_unknown: 409,
  peer_unreachable: 502,
  peer_timeout: 504,
  peer_protocol: 502,
  rollback_detected: 409,
  must_bootstrap: 409,
  not_advertised: 409,
  wrong_peer: 502,
  unavailable: 503,
  disk_full: 507,
  read_only: 503,
  data_locked: 503,
  format_unknown: 500,
  port_in_use: 500,
  bad_config: 500,
  corrupt: 500,
  store_closed: 503,
  store_conflict: 503,
  store_unreadable: 500,
  transaction_too_old: 503,
  transaction_too_large: 413,
  commit_unknown: 503,
  lease_lost: 503,
  internal: 500,
};

export interface ErrorAnswer {
  readonly status: number;
  readonly code: ErrorCode;
  /** JSON. */
  readonly body: string;
}

/**
 * What a caller is told. Of failures that are ours (500) only that there was one and where the log tells more, but for
 * `corrupt`, which names the key.
 */
export function errorAnswer(error: unknown, requestId: string): ErrorAnswer {
  if (!(error instanceof GkvError)) return internalAnswer(requestId);
  const status = statusOf[error.code];
  if (status === 500 && error.code !== 'corrupt') return internalAnswer(requestId);
  return { status, code: error.code, body: errorBody(error) };
}

/** `{"error":{"code","message", and the details}}` */
function errorBody(error: GkvError): string {
  return JSON.stringify({ error: { ...error.details, code: error.code, message: error.message } });
}

function internalAnswer(requestId: string): ErrorAnswer {
  return {
    status: 500,
    code: 'internal',
    body: errorBody(new GkvError('internal', `internal error; the log has more under request id ${requestId}`)),
  };
}
