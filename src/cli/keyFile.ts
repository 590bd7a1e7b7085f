import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { GkvError } from '../core/errors.ts';
import { SigningKey } from '../crypto/ed25519.ts';

/** Makes a key and writes it to a new file, which nobody else may read: PKCS #8 in PEM. Error: `bad_config` where there is one. */
export function makeKeyFile(path: string): SigningKey {
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  writeNew(path, pem, 0o600);
  return SigningKey.fromPem(pem);
}

/** Error: `bad_config` where it cannot be read, is no key, or may be read by others. */
export function readKeyFile(path: string): SigningKey {
  return SigningKey.fromPem(readSecret(path));
}

/** Error: `bad_config` where it cannot be read, or may be read by others. */
export function readSecret(path: string): string {
  let text: string;
  let mode: number;
  try {
    mode = statSync(path).mode;
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new GkvError('bad_config', `${path} cannot be read`, { cause });
  }
  if ((mode & 0o077) !== 0) throw new GkvError('bad_config', `${path} is open to others: a secret has mode 600`);
  return text;
}

/** Error: `bad_config` where the file exists, or cannot be written. */
export function writeNew(path: string, text: string, mode: number): void {
  try {
    writeFileSync(path, text, { flag: 'wx', mode });
  } catch (cause) {
    const isThere = (cause as NodeJS.ErrnoException).code === 'EEXIST'; // what node:fs throws
    throw new GkvError('bad_config', isThere ? `${path} is there already` : `${path} cannot be written`, { cause });
  }
}
