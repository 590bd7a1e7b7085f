import { physicalMsOf } from '../core/stamp.ts';
import { type Write, type WriteId } from '../core/write.ts';
import { authorise, type Answer } from './authorise.ts';
import { refusal, shortId, type Known } from './known.ts';
import { shapeOf } from './signatureBlock.ts';
import { type WriteSignatures } from './writeSignatures.ts';

/**
 * Whether a write may be taken in: the chain of its leaf grant first, then the signature, whose signer is that grant's audience. Codes as of
 * `authorise`, then `bad_signature`. Error: `malformed` where the signature block is none.
 */
export async function judgeWrite(known: Known, signatures: WriteSignatures, write: Omit<Write, 'value'>, id: WriteId): Promise<Answer> {
  const isSigned = shapeOf(write.signature) !== undefined;
  const right = write.tombstone ? 'delete' : 'write';
  const answer = authorise(known, write.leaf, { right, key: write.key, atMs: physicalMsOf(write.version) });
  if (answer.kind === 'refused') return answer;
  const leaf = answer.chain.at(-1);
  if (leaf !== undefined && isSigned && (await signatures.hold(leaf.body.audience, id, write.signature))) return answer;
  const why = !isSigned ? 'it has no signature' : `its signature is none of ${shortId(leaf?.body.audience ?? id)}…, who holds the grant`;
  return { kind: 'refused', refusal: refusal('bad_signature', why, { link: answer.chain.length - 1, grantId: write.leaf }) };
}
