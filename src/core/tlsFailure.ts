/**
 * What an error of a connection says of TLS. `not-tls`: the other end does not speak it. `their-certificate`: we do not take what it
 * showed. `refused`: it said that it does not take what we are. `closed`: it ended the connection without a word, which is
 * how a server refuses a certificate, and how a TLS port answers plain text. `other`: it is not about TLS.
 */
export type TlsFailure = 'not-tls' | 'their-certificate' | 'refused' | 'closed' | 'other';

const notTls = new Set(['ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG']);
/** Node names what OpenSSL says of a certificate, without a prefix of its own. */
const verification = /^(?:ERR_TLS_CERT_|(?!ERR_).*(?:CERT|UNABLE_TO_|CRL|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|HOSTNAME_MISMATCH))/;

/** Reads an error of node's `tls` or of undici: its kind, and the reason without OpenSSL's own places and numbers. */
export function tlsFailure(error: unknown): { readonly kind: TlsFailure; readonly reason: string } {
  if (!(error instanceof Error)) return { kind: 'other', reason: String(error) };
  const { reason } = error as { reason?: unknown };
  return { kind: kindOf(error), reason: typeof reason === 'string' ? reason : error.message };
}

function kindOf(error: Error & { code?: unknown; socket?: { bytesRead?: unknown } | null }): TlsFailure {
  const code = typeof error.code === 'string' ? error.code : '';
  if (notTls.has(code)) return 'not-tls';
  if (/^ERR_SSL_.*ALERT/.test(code)) return 'refused';
  if (verification.test(code)) return 'their-certificate';
  if (code === 'UND_ERR_SOCKET') return error.socket?.bytesRead === 0 ? 'closed' : 'other';
  return code === 'ECONNRESET' || code === 'EPIPE' ? 'closed' : 'other';
}
