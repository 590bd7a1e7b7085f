import { type Stamp } from '../../src/core/stamp.ts';
import { grantZero, signatureEmpty, type GrantId } from '../../src/core/write.ts';
import { sha256 } from '../../src/crypto/digest.ts';
import { type MeshDigests } from '../../src/crypto/mesh.ts';
import { type ReceivedWrite } from '../../src/replica/proposal.ts';
import { key } from '../aae/world.ts';

export interface WriteShape {
  readonly value?: string;
  readonly tombstone?: boolean;
  readonly expiresAt?: number;
  readonly leaf?: GrantId;
}

/** A write as a peer sends it. */
export function received(
  digests: MeshDigests,
  name: string,
  version: Stamp,
  accepted: Stamp = version,
  shape: WriteShape = {},
): ReceivedWrite {
  const { tombstone = false, expiresAt = 0, leaf = grantZero } = shape;
  const value = Buffer.from(tombstone ? '' : (shape.value ?? 'v'));
  const statement = { key: key(name), version, tombstone, expiresAt: tombstone ? 0 : expiresAt, leaf };
  const id = digests.writeId({ ...statement, valueLength: value.length, valueDigest: sha256(value) });
  return { write: { ...statement, value, signature: signatureEmpty }, id, accepted };
}
