/** Certificates, keys and CAs: read from files, and looked at as long as it can be said which file is wrong. */
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { GkvError } from '../core/errors.ts';
import { type SourcedFile } from './sourcedFile.ts';

export type TlsPortName = 'api' | 'mesh';

/** The files of one port. */
export interface TlsFiles {
  readonly port: TlsPortName;
  /** The certificate, and after it those between it and its CA, if there are any. */
  readonly cert: SourcedFile;
  readonly key: SourcedFile;
  /** Who connects must show a certificate of one of these CAs. Always there for the mesh port. */
  readonly ca: SourcedFile | undefined;
}

/** What the files hold, in PEM. */
export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
  /** Empty: who connects is not asked for a certificate. */
  readonly ca: readonly string[];
  /** The first end of a certificate in the chain, ms since the Unix epoch. */
  readonly endsAtMs: number;
}

/** Extended key usages, as OpenSSL asks for them of servers and of clients. */
const usages = { serverAuth: '1.3.6.1.5.5.7.3.1', clientAuth: '1.3.6.1.5.5.7.3.2' } as const;
const usagesOf = { api: ['serverAuth'], mesh: ['serverAuth', 'clientAuth'] } as const;

/**
 * Errors: `bad_config`, with the option, the file and what would be right: files that cannot be read or hold something else, a
 * certificate that is not valid now or is not for what the port does, a key of another certificate.
 */
export function readTls(files: TlsFiles, nowMs: number): TlsMaterial {
  const cert = read(files.cert);
  const key = read(files.key);
  const chain = certificatesIn(files.cert, cert).map((pem) => parsed(files.cert, pem));
  const [own] = chain;
  if (own === undefined) throw wrong(files.cert, noCertificate);
  for (const certificate of chain) checkTimes(files.cert, certificate, nowMs);
  checkUsages(files, own);
  if (!own.checkPrivateKey(parsedKey(files.key, key))) {
    throw wrong(
      files.key,
      `is not the key of the certificate in ${files.cert.path}; it needs the one that this certificate was asked for with`,
    );
  }
  const ca = files.ca === undefined ? [] : readCas(files.ca, nowMs);
  try {
    createSecureContext({ cert, key, ca });
  } catch (cause) {
    throw wrong(files.cert, `is not taken by OpenSSL: ${messageOf(cause)}`, cause);
  }
  return { cert, key, ca, endsAtMs: Math.min(...chain.map(endOf)) };
}

/** Of several one may have ended: that is how a CA is replaced. */
function readCas(file: SourcedFile, nowMs: number): string[] {
  const pems = certificatesIn(file, read(file));
  const cas = pems.map((pem) => parsed(file, pem));
  const [first] = cas;
  if (first === undefined) throw wrong(file, noCertificate);
  if (!cas.some((ca) => beginOf(ca) <= nowMs && nowMs < endOf(ca))) checkTimes(file, first, nowMs);
  return pems;
}

const noCertificate = 'holds no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----';

function read({ path, source }: SourcedFile): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw wrong({ path, source }, `cannot be read: ${messageOf(cause)}`, cause);
  }
}

function certificatesIn(file: SourcedFile, text: string): string[] {
  const begun = text.split('-----BEGIN CERTIFICATE-----').length - 1;
  const pems = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (pems.length < begun) throw wrong(file, 'holds a certificate without its end; it needs the whole file');
  return pems.map((pem) => `${pem}\n`);
}

function parsed(file: SourcedFile, pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw wrong(file, `holds a certificate that cannot be read: ${messageOf(cause)}`, cause);
  }
}

function parsedKey(file: SourcedFile, pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw wrong(file, 'holds no private key in PEM without a passphrase', cause);
  }
}

function checkTimes(file: SourcedFile, certificate: X509Certificate, nowMs: number): void {
  const named = `a certificate (${certificate.subject.replaceAll('\n', ', ')})`;
  if (nowMs >= endOf(certificate)) {
    throw wrong(file, `holds ${named} that ended at ${iso(endOf(certificate))}; it needs a renewed one`);
  }
  if (nowMs < beginOf(certificate)) {
    throw wrong(file, `holds ${named} that is valid from ${iso(beginOf(certificate))}, and by this machine’s clock it is ${iso(nowMs)}`);
  }
}

function checkUsages({ cert, port }: TlsFiles, own: X509Certificate): void {
  const allowed = own.keyUsage as readonly string[] | undefined; // the types do not say that a certificate may be for everything
  const missing = allowed === undefined ? [] : usagesOf[port].filter((usage) => !allowed.includes(usages[usage]));
  if (missing.length === 0) return;
  throw wrong(
    cert,
    `holds a certificate whose extended key usage lacks ${missing.join(' and ')}; the ${port} port needs ${usagesOf[port].join(' and ')}`,
  );
}

function beginOf(certificate: X509Certificate): number {
  return Date.parse(certificate.validFrom);
}

function endOf(certificate: X509Certificate): number {
  return Date.parse(certificate.validTo);
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function wrong({ path, source }: SourcedFile, what: string, cause?: unknown): GkvError {
  return new GkvError('bad_config', `${source}: ${path} ${what}`, { cause });
}
