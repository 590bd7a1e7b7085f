import { GkvError } from '../core/errors.ts';
import { tlsFailure } from '../core/tlsFailure.ts';

const flags = '--mesh-tls-cert, --mesh-tls-key and --mesh-tls-ca';

/** The error of a connection to a peer that failed for TLS, or that may have, and what would be right; undefined for all others. */
export function tlsError(origin: string, cause: unknown): GkvError | undefined {
  const { kind, reason } = tlsFailure(cause);
  const unreachable = (message: string): GkvError => new GkvError('peer_unreachable', `peer ${origin} ${message}`, { cause });
  switch (kind) {
    case 'not-tls':
      return new GkvError('peer_protocol', `peer ${origin} does not speak TLS, and we do: it needs ${flags} too`, { cause });
    case 'their-certificate':
      return unreachable(
        `has a certificate that we refuse: ${reason}; it must be of a CA in --mesh-tls-ca, valid now, and for the name or address that we call`,
      );
    case 'refused':
      return unreachable(`refuses our side of TLS: ${reason}; our --mesh-tls-cert must be of a CA in its --mesh-tls-ca`);
    case 'closed':
      return unreachable(
        origin.startsWith('https:')
          ? `cannot be reached: ${reason}; if it refused our --mesh-tls-cert, which must be of a CA in its --mesh-tls-ca, its log says so`
          : `cannot be reached: ${reason}; if it speaks TLS, we need ${flags} too`,
      );
    case 'other':
      return undefined;
  }
}
