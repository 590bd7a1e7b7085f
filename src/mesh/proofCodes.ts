/** What is wrong with a proof, and not with what was asked for under it: another try begins with another proof. */
export const proofCodes = [
  'session_unknown',
  'peer_unproven',
  'scope_mismatch',
  ...(['grant_unknown', 'root_unknown', 'chain_too_long', 'bad_public_key', 'grant_signature', 'threshold'] as const),
  ...(['issuer_mismatch', 'not_delegable', 'grant_wider', 'grant_revoked', 'right_denied', 'grant_time', 'bad_signature'] as const),
] as const;
