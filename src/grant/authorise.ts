import { type Key } from '../core/key.ts';
import { endOf, chainTo, unknownGrant, type Chain } from './chain.ts';
import { type GrantBody } from './grant.ts';
import { refusal, type Known, type Refusal } from './known.ts';
import { segmentsOf } from './pattern.ts';
import { hasRight, namesOf, type Right } from './rights.ts';
import { timeText } from './timeText.ts';

/** Whether a right may be used on a key, at a time: for a write that of its version. */
export interface Question {
  readonly right: Right;
  readonly key: Key;
  /** ms since the epoch. */
  readonly atMs: number;
}

export type Answer = { readonly kind: 'allowed'; readonly chain: Chain } | { readonly kind: 'refused'; readonly refusal: Refusal };

/**
 * Whether the holder of a grant may. Every link must say so itself, so that a fault in what contains what widens nothing. Codes:
 * `grant_unknown`, `root_unknown`, those for which a grant is refused, `grant_revoked`, `right_denied`, `key_denied`, `grant_time`.
 */
export function authorise(known: Known, leafId: Uint8Array, question: Question): Answer {
  return answered(standing(known, leafId), question);
}

/** As `authorise`, for who knows how the chain stands. */
export function answered(answer: Answer, question: Question): Answer {
  if (answer.kind === 'refused') return answer;
  return checked(answer.chain, checksOf(question));
}

/** What every link of a chain must say, in this order. Made once for a question, whatever the chains: the key is taken apart once then. */
export function checksOf({ right, key, atMs }: Question): readonly Check[] {
  return [gives(right), matches(key), isAt(atMs)];
}

/** Whether the chain of a grant stands, for whatever it allows. Codes as of `authorise`, up to `grant_revoked`. */
export function standing(known: Known, leafId: Uint8Array): Answer {
  const leaf = known.grant(leafId);
  if (leaf === undefined) return refused(known.refused(leafId) ?? unknownGrant(leafId));
  const chain = chainTo(known, leaf);
  if ('code' in chain) return refused(chain);
  const end = endOf(known, chain);
  return end === undefined ? { kind: 'allowed', chain } : refused(end);
}

function refused(why: Refusal): Answer {
  return { kind: 'refused', refusal: why };
}

/** What every link of a chain must say. */
export interface Check {
  readonly code: Refusal['code'];
  /** Why a grant does not. */
  readonly fault: (grant: GrantBody) => string | undefined;
}

/** Each check goes over all links, from the root, before the next one does. */
export function checked(chain: Chain, checks: readonly Check[]): Answer {
  for (const { code, fault } of checks) {
    for (const [link, { id, body }] of chain.entries()) {
      const message = fault(body);
      if (message !== undefined) return refused(refusal(code, message, { link, grantId: id }));
    }
  }
  return { kind: 'allowed', chain };
}

export function gives(right: Right): Check {
  return {
    code: 'right_denied',
    fault: ({ rights }) => (hasRight(rights, right) ? undefined : `gives ${namesOf(rights).join(', ')}, not ${right}`),
  };
}

function matches(key: Key): Check {
  let segments: readonly string[] | undefined;
  return {
    code: 'key_denied',
    fault: ({ patterns }) => {
      const ofKey = (segments ??= segmentsOf(key));
      return patterns.some((pattern) => pattern.matchesSegments(ofKey)) ? undefined : 'no pattern of it matches the key';
    },
  };
}

/** ms since the epoch. Why a grant does not says nothing of that time, so that it is told once, however often it is asked. */
export function isAt(atMs: number): Check {
  return {
    code: 'grant_time',
    fault: ({ notBeforeMs, expiresMs }) => {
      if (atMs < notBeforeMs) return `is good from ${timeText(notBeforeMs)} on, and not before`;
      return atMs < expiresMs ? undefined : `ended at ${timeText(expiresMs)}`;
    },
  };
}
