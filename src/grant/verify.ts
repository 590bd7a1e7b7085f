import { type Signatures } from '../crypto/ed25519.ts';
import { isZero, type GrantBody } from './grant.ts';
import { refusal, shortId, type Refusal } from './known.ts';
import { signedMessage, type Layout, type Signed } from './record.ts';
import { type RevocationBody } from './revocation.ts';
import { type RootBody } from './root.ts';

/** What is wrong with a record by itself: `bad_public_key`, then `grant_signature`. `keys` are those that its body names. */
export async function recordFault<Body>(
  layout: Layout<Body>,
  { meshId, signatures }: { meshId: Uint8Array; signatures: Signatures },
  record: Signed<Body>,
  keys: readonly Uint8Array[],
): Promise<Refusal | undefined> {
  const where = { grantId: record.id };
  const bad = [...keys, ...record.signatures.map(({ key }) => key)].find((key) => !signatures.isKey(key));
  if (bad !== undefined) return refusal('bad_public_key', `${shortId(bad)}… in a ${layout.what} is no public key`, where);
  const message = signedMessage(layout, meshId, record.id);
  for (const { key, signature } of record.signatures) {
    if (await signatures.verify(key, message, signature)) continue;
    return refusal('grant_signature', `the signature of ${shortId(key)}… under a ${layout.what} does not hold`, where);
  }
  return undefined;
}

export function keysOfGrant({ issuer, audience }: GrantBody): Uint8Array[] {
  return isZero(issuer) ? [audience] : [issuer, audience];
}

export function keysOfRoot({ keys }: RootBody): readonly Uint8Array[] {
  return keys;
}

export function keysOfRevocation({ signer }: RevocationBody): Uint8Array[] {
  return isZero(signer) ? [] : [signer];
}
