import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { GkvError } from '../core/errors.ts';
import { tlsFailure } from '../core/tlsFailure.ts';

/** With an https URL, in PEM. */
export interface ClientTls {
  /** CAs of the server's certificate; absent: the well-known ones. */
  readonly ca?: string;
  /** What we show a server that asks for a certificate, and its private key. */
  readonly cert?: string;
  readonly key?: string;
}

/** What connections of a URL's protocol are made with. Error: `bad_config`. */
export function checkedTls(protocol: 'http:' | 'https:', { ca, cert, key }: ClientTls): SecureContextOptions {
  if (protocol === 'http:') {
    if ((ca ?? cert ?? key) === undefined) return {};
    throw new GkvError('bad_config', '--ca, --cert and --key: are of use with an https: URL alone');
  }
  if ((cert === undefined) !== (key === undefined)) {
    throw new GkvError('bad_config', '--cert and --key: one is of use with the other alone');
  }
  if (ca?.includes('-----BEGIN CERTIFICATE-----') === false) {
    // Node would take an empty text for the well-known ones.
    throw new GkvError('bad_config', '--ca: holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----');
  }
  const options: SecureContextOptions = { ca, cert, key, minVersion: 'TLSv1.2' };
  try {
    createSecureContext(options);
  } catch (cause) {
    const right = 'must be PEM, the key without a passphrase and that of the certificate';
    throw new GkvError('bad_config', `--ca, --cert and --key: ${right}: ${tlsFailure(cause).reason}`, { cause });
  }
  return options;
}

/** Why a request to the origin failed, and what would be right where that is known. */
export function whyUnusable(error: unknown, origin: string): string {
  const { kind, reason } = tlsFailure(error);
  switch (kind) {
    case 'not-tls':
      return 'it does not speak TLS; use http:';
    case 'their-certificate':
      return `we refuse its certificate: ${reason}; it must be of a CA in --ca, valid now, and for the name or address in the URL`;
    case 'refused':
      return `it refuses our side of TLS: ${reason}; it may want a --cert of its client CA`;
    case 'closed':
      return origin.startsWith('https:') ? `${reason}; it may want a --cert of its client CA` : `${reason}; if it speaks TLS, use https:`;
    case 'other':
      return reason;
  }
}
