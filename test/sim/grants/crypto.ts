import { createPublicKey, verify, type KeyObject } from 'node:crypto';
import { toLatin1 } from '../../../src/core/bytes.ts';
import { inlineSignatures, type Signatures } from '../../../src/crypto/ed25519.ts';

/** Answers that are kept; a run of 500 operations asks for some hundred. */
const keptMax = 20_000;

const inline = inlineSignatures();
const answers = new Map<string, Promise<boolean>>();

/**
 * The real verdict on signatures, within the call: every cluster asks for the same ones, and seeds for the same records. What is kept is the
 * settled promise, so that a run goes the same way whether or not another one asked before.
 */
export const signatures: Signatures = {
  isKey: (publicKey) => inline.isKey(publicKey),
  verify: (publicKey, message, signature) => {
    const name = toLatin1(Buffer.concat([publicKey, signature, message]));
    const known = answers.get(name);
    if (known !== undefined) return known;
    if (answers.size >= keptMax) answers.clear();
    const answer = inline.verify(publicKey, message, signature);
    answers.set(name, answer);
    return answer;
  },
};

const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');
const keys = new Map<string, KeyObject>();
const held = new Map<string, boolean>();

/** For the oracle: what node says, of keys that the simulation made itself. */
export function holds(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const keyName = toLatin1(publicKey);
  const key = keys.get(keyName) ?? createPublicKey({ key: Buffer.concat([spkiPrefix, publicKey]), format: 'der', type: 'spki' });
  keys.set(keyName, key);
  const name = toLatin1(Buffer.concat([publicKey, signature, message]));
  const answer = held.get(name) ?? verify(null, message, key, signature);
  if (held.size >= keptMax) held.clear();
  held.set(name, answer);
  return answer;
}
