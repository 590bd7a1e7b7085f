/** Which options of TLS there are, which go together, and what an address beyond loopback needs. */
import { GkvError } from '../core/errors.ts';
import { type SourcedFile } from './sourcedFile.ts';
import { type TlsFiles, type TlsPortName } from './tlsFiles.ts';

/** By the parts of TlsFiles: the option's name in the file, and its flag. */
const options = {
  api: { cert: ['tlsCert', '--tls-cert'], key: ['tlsKey', '--tls-key'], ca: ['tlsClientCa', '--tls-client-ca'] },
  mesh: { cert: ['meshTlsCert', '--mesh-tls-cert'], key: ['meshTlsKey', '--mesh-tls-key'], ca: ['meshTlsCa', '--mesh-tls-ca'] },
} as const;

type TlsOption = (typeof options)[TlsPortName]['cert' | 'key' | 'ca'][0];

/** Paths, by option. */
export type TlsPaths = Readonly<Record<TlsOption, string | undefined>>;

/** The files of a port; undefined if it has none. `sources` says where an option came from. Error: `bad_config` when some are missing. */
export function tlsFilesOf(port: TlsPortName, paths: TlsPaths, sources: ReadonlyMap<string, string>): TlsFiles | undefined {
  const { cert: certOption, key: keyOption, ca: caOption } = options[port];
  const fileOf = ([name]: readonly [TlsOption, string]): SourcedFile | undefined => {
    const path = paths[name];
    return path === undefined ? undefined : { path, source: sources.get(name) ?? name };
  };
  const cert = fileOf(certOption);
  const key = fileOf(keyOption);
  const ca = fileOf(caOption);
  const given = cert ?? key ?? ca;
  if (given === undefined) return undefined;
  if (cert !== undefined && key !== undefined && (ca !== undefined || port === 'api')) return { port, cert, key, ca };
  const needed = port === 'mesh' ? [certOption, keyOption, caOption] : [certOption, keyOption];
  const missing = needed.filter(([name]) => paths[name] === undefined).map(([, flag]) => flag);
  throw new GkvError('bad_config', `${given.source}: is of use with ${missing.join(' and ')} alone: ${purposes[port]}`);
}

const purposes = {
  api: 'TLS on the API port takes a certificate and its key',
  mesh: 'TLS between regions is mutual, and takes a certificate, its key and the CA of all regions',
} as const;

/** What a port that is not on loopback lacks, after the address; undefined if nothing: who connects must prove who it is, if not by tokens. */
export function lackBeyondLoopback(port: TlsPortName, files: TlsFiles | undefined, hasTokens: boolean): string | undefined {
  if (files !== undefined && (files.ca !== undefined || hasTokens)) return undefined;
  const { cert, key, ca } = options[port];
  const callers = port === 'api' ? `${ca[1]} (or --tokens)` : ca[1];
  if (files !== undefined) {
    return `is not loopback, and has TLS without authentication; it needs ${callers} too, or --insecure-plaintext, which waives it`;
  }
  return `is not loopback; it needs ${cert[1]}, ${key[1]} and ${callers}, or --insecure-plaintext, which waives authentication and TLS`;
}
