import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { GkvError } from '../core/errors.ts';
import { SigningKey } from '../crypto/ed25519.ts';
import { fileError } from './io.ts';

/** Names a file, mode 600, whose first line is the passphrase of private keys: with it new ones are encrypted. */
const passphraseVariable = 'GKVMESH_PASSPHRASE_FILE';
const encryptedLine = '-----BEGIN ENCRYPTED PRIVATE KEY-----';

/** Makes a key and writes it to a new file, which nobody else may read: PKCS #8 in PEM. Error: `bad_config` where there is one. */
export function makeKeyFile(path: string): SigningKey {
  const passphrase = readPassphrase();
  const encryption = passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase };
  const pem = generateKeyPairSync('ed25519')
    .privateKey.export({ type: 'pkcs8', format: 'pem', ...encryption })
    .toString();
  writeNew(path, pem, 0o600);
  return SigningKey.fromPem(pem, passphrase);
}

/** Error: `bad_config` where it cannot be read, is no key, may be read by others, or is encrypted with what we are not told. */
export function readKeyFile(path: string): SigningKey {
  const pem = readSecret(path);
  if (!pem.includes(encryptedLine)) return keyOf(path, pem);
  const passphrase = readPassphrase();
  if (passphrase === undefined)
    throw new GkvError('bad_config', `${path} is encrypted: name the file of its passphrase in ${passphraseVariable}`);
  return keyOf(path, pem, passphrase);
}

function keyOf(path: string, pem: string, passphrase?: string): SigningKey {
  try {
    return SigningKey.fromPem(pem, passphrase);
  } catch (cause) {
    if (!(cause instanceof GkvError)) throw cause;
    throw new GkvError(cause.code, `${path}: ${cause.message}`, { cause });
  }
}

function readPassphrase(): string | undefined {
  const path = process.env[passphraseVariable];
  if (path === undefined) return undefined;
  if (path === '') throw new GkvError('bad_config', `${passphraseVariable}: "" is not a file`);
  const [line = ''] = readSecret(path).split(/\r?\n/, 1);
  if (line.length === 0 || line.length > passphraseCharsMax)
    throw new GkvError('bad_config', `${path}: a passphrase is one line of 1 to ${passphraseCharsMax} characters`);
  return line;
}

/** OpenSSL takes no longer one. */
const passphraseCharsMax = 1_024;

/** Error: `bad_config` where it cannot be read, or may be read by others. */
export function readSecret(path: string): string {
  let text: string;
  let mode: number;
  try {
    mode = statSync(path).mode;
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw fileError(path, 'cannot be read', cause);
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
    throw isThere ? new GkvError('bad_config', `${path} is there already`, { cause }) : fileError(path, 'cannot be written', cause);
  }
}
