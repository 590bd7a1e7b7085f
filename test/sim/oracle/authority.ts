import { toHex } from '../../../src/core/bytes.ts';
import { type Head } from '../../../src/core/entry.ts';
import { physicalMsOf } from '../../../src/core/stamp.ts';
import { batchMessage } from '../../../src/grant/signatureBlock.ts';
import { person } from '../../grant/world.ts';
import { decodeSignatureBlock, rootOfPath } from '../../grant/plainBlocks.ts';
import { holds } from '../grants/crypto.ts';
import { type GrantedMesh } from '../grants/granted.ts';
import { type GivenGrant } from '../grants/law.ts';
import { clusterName } from '../grants/office.ts';
import { Violation } from '../kernel/kernel.ts';
import { checkMinted, type Minted } from './heads.ts';

/** A candidate that a commit has brought. */
interface Taken {
  readonly region: number;
  /** For messages. */
  readonly name: string;
  readonly key: string;
  readonly head: Head;
  readonly grant: GivenGrant;
  readonly signature: Uint8Array;
  /** No cluster held it before. */
  readonly isNew: boolean;
  readonly minted: Minted;
}

/** I4: it was signed by who holds its grant, and is allowed by what is known there; one that is new was made there, or by a writer of his own. */
export function checkTaken(taken: Taken, { office, writes }: GrantedMesh, known: { has(id: string): boolean }): void {
  const { head, grant, name, key, signature, minted } = taken;
  const version = toHex(head.version);
  const wanted = { key, tombstone: head.tombstone, ms: physicalMsOf(head.version) };
  const verdict = office.law.verdict(grant, known);
  if (verdict !== 'stands') throw new Violation('I4', `${name}: ${version} is taken in, and its grant is ${verdict} there`);
  if (!office.law.allows(grant, wanted)) throw new Violation('I4', `${name}: ${version} is taken in, which its grant does not allow`);
  const block = decodeSignatureBlock(signature);
  const isSigned =
    block !== undefined &&
    holds(person(grant.holder).publicKey, batchMessage(office.meshId, rootOfPath(head.id, block.path)), block.signature);
  if (!isSigned) throw new Violation('I4', `${name}: ${version} is taken in, and ${grant.holder} did not sign it`);
  if (!taken.isNew || writes.of(toHex(head.id)) !== undefined) return;
  if (grant.holder !== clusterName(taken.region)) throw new Violation('I4', `${name}: ${version} of ${grant.holder} was made by nobody`);
  checkMinted(name, version, minted);
}
