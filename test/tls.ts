/** The certificates of test/fixtures/tls; its make.sh says what they are. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TlsFiles, type TlsPortName } from '../src/server/tlsFiles.ts';

export type Leaf = 'peer' | 'peer2' | 'server' | 'client' | 'elsewhere' | 'other';
export type Fixture = `${Leaf | 'expired' | 'ca' | 'other-ca'}.pem` | `${Leaf | 'locked'}.key`;

export function fixture(name: Fixture): string {
  return join(import.meta.dirname, 'fixtures/tls', name);
}

export function pem(name: Fixture): string {
  return readFileSync(fixture(name), 'utf8');
}

/** A certificate of the fixtures and its key, for a client or a server in the test's own process. */
export function shows(leaf: Leaf, ca: 'ca' | 'other-ca' = 'ca'): { cert: string; key: string; ca: string[] } {
  return { cert: pem(`${leaf}.pem`), key: pem(`${leaf}.key`), ca: [pem(`${ca}.pem`)] };
}

/** As options would name them. */
export function tlsFiles(port: TlsPortName, cert: string, key: string, ca?: string): TlsFiles {
  const file = (path: string, name: string): TlsFiles['cert'] => ({ path, source: `--${name}` });
  return { port, cert: file(cert, 'cert'), key: file(key, 'key'), ca: ca === undefined ? undefined : file(ca, 'ca') };
}
