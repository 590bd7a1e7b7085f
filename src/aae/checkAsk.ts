import { GkvError } from '../core/errors.ts';
import { compareBytes } from '../core/bytes.ts';
import { type KeyRange } from '../core/key.ts';
import { isInScope, isWithin, scopeText, type Scope } from '../core/scope.ts';
import { type ReceivedWrite } from '../replica/proposal.ts';
import { isOrdered } from './diff.ts';
import { protocolError } from './frame.ts';
import { type Ask } from './message.ts';

/** What a peer asks for and brings lies within what both sides may hold: nothing is told of anything else, not how much it is. Error: `scope_mismatch`. */
export function checkAsk(ask: Ask, writes: readonly ReceivedWrite[], common: Scope): void {
  const ranges = [ask.scope, ...rangesOf(ask)];
  if (ranges.every((range) => isWithin(range, common)) && writes.every(({ write }) => isInScope(write.key, common))) return;
  throw new GkvError('scope_mismatch', `an exchange over more than both may hold, which is ${scopeText(common).join(' ')}`);
}

/** The edges of each span rise, and all that is asked about lies in the range of the exchange. Error: `peer_protocol`. */
export function checkRanges(ask: Ask): void {
  if (!ask.spans.every(isOrdered)) throw protocolError('a span whose edges do not rise');
  if (!rangesOf(ask).every((range) => isPart(range, ask.scope))) throw protocolError('a range that is not in that of the exchange');
}

function rangesOf({ spans, wants, fetch }: Ask): KeyRange[] {
  const compared = spans.map(({ start, parts }) => ({ start, end: parts.at(-1)?.end ?? null }));
  return [...compared, ...wants.map(({ range }) => range), ...(fetch === undefined ? [] : [fetch])];
}

function isPart({ start, end }: KeyRange, whole: KeyRange): boolean {
  return compareBytes(whole.start, start) <= 0 && (whole.end === null || (end !== null && compareBytes(end, whole.end) <= 0));
}
