import { equalBytes } from '../core/bytes.ts';
import { checked, gives, isAt, standing, type Answer, type Check } from './authorise.ts';
import { type Chain } from './chain.ts';
import { refusal, type Known, type Refusal } from './known.ts';
import { type Grant } from './grant.ts';

/** Feeds and exchanges are over all keys: who may replicate some alone may not take part yet. */
const overAll: Check = {
  code: 'replicate_narrow',
  fault: ({ patterns }) => {
    if (patterns.some(({ literalPrefix }) => literalPrefix?.length === 0)) return undefined;
    const texts = patterns.map(({ bytes }) => Buffer.from(bytes).toString()).join(' ');
    return `replicate on ${JSON.stringify(texts)}: it must be on **, parts of a mesh are not replicated yet`;
  },
};

/**
 * Whether a cluster that has proved this key may send and be sent everything, by this grant, at a time (ms since the epoch). Codes: `grant_unknown`,
 * `root_unknown`, those for which a grant is refused, `grant_revoked`, `bad_signature` where another key holds it, `right_denied`, `replicate_narrow`, `grant_time`.
 */
export function mayReplicate(known: Known, leafId: Uint8Array, holder: Uint8Array, atMs: number): Answer {
  const answer = standing(known, leafId);
  if (answer.kind === 'refused') return answer;
  const leaf = answer.chain.at(-1);
  if (leaf === undefined || !equalBytes(leaf.body.audience, holder)) {
    const where = { link: answer.chain.length - 1, grantId: leafId };
    return { kind: 'refused', refusal: refusal('bad_signature', 'another key holds it', where) };
  }
  return checked(answer.chain, checksAt(atMs));
}

/**
 * Why nobody may replicate by a leaf whose last links, up from it, are these, whatever they follow from. A link that holds all that is asked for below one that does not is wider than that.
 * Codes: `right_denied`, `replicate_narrow`, `grant_time`, `grant_wider`.
 */
export function replicateFault([leaf, ...above]: readonly Grant[], atMs: number): Refusal | undefined {
  const faultOf = (grant: Grant): Refusal | undefined => {
    const answer = checked([grant], checksAt(atMs));
    return answer.kind === 'refused' ? { ...answer.refusal, link: undefined } : undefined;
  };
  const fault = leaf && faultOf(leaf);
  if (fault !== undefined) return fault;
  const [lacking] = above.flatMap((grant) => faultOf(grant) ?? []);
  return lacking && { ...lacking, code: 'grant_wider', message: `a grant above ${lacking.message}` };
}

function checksAt(atMs: number): readonly Check[] {
  return [gives('replicate'), overAll, isAt(atMs)];
}

/** By which grant, but for some, the holder of a key may: of several, the one that is first (`byWeight`). Else the refusal of one that got as far as any. */
export function replicatingLeaf(
  known: Known & { grants(): readonly Grant[] },
  holder: Uint8Array,
  atMs: number,
  except: readonly Uint8Array[] = [],
): Answer {
  const held = known.grants().filter(({ id, body }) => equalBytes(body.audience, holder) && !except.some((each) => equalBytes(each, id)));
  let best: Answer = { kind: 'refused', refusal: refusal('grant_unknown', 'its key holds no grant that is known here') };
  for (const { id } of held) {
    const answer = mayReplicate(known, id, holder, atMs);
    if (isBetter(answer, best)) best = answer;
  }
  return best;
}

const order: readonly Refusal['code'][] = ['grant_unknown', 'grant_revoked', 'right_denied', 'replicate_narrow', 'grant_time'];

function isBetter(answer: Answer, than: Answer): boolean {
  if (answer.kind === 'allowed') return than.kind === 'refused' || byWeight(answer.chain, than.chain) < 0;
  return than.kind === 'refused' && order.indexOf(answer.refusal.code) >= order.indexOf(than.refusal.code);
}

/** Those with the fewest links first, and of these the latest: what a delegate gives, and may end, comes behind what those above it gave. */
export function byWeight(a: Chain, b: Chain): number {
  return a.length - b.length || beginOf(b) - beginOf(a);
}

function beginOf(chain: Chain): number {
  return chain.at(-1)?.body.notBeforeMs ?? 0;
}
