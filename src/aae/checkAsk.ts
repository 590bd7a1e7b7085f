import { GkvError } from '../core/errors.ts';
import { type KeyRange } from '../core/key.ts';
import { isInScope, isWithin, scopeText, type Scope } from '../core/scope.ts';
import { type ReceivedWrite } from '../replica/proposal.ts';
import { type Ask } from './message.ts';

/** What a peer asks for and brings lies within what both sides may hold: nothing is told of anything else, not how much it is. Error: `scope_mismatch`. */
export function checkAsk(ask: Ask, writes: readonly ReceivedWrite[], common: Scope): void {
  const spans = ask.spans.map(({ start, parts }) => ({ start, end: parts.at(-1)?.end ?? null }));
  const ranges: readonly KeyRange[] = [
    ask.scope,
    ...spans,
    ...ask.wants.map(({ range }) => range),
    ...(ask.fetch === undefined ? [] : [ask.fetch]),
  ];
  if (ranges.every((range) => isWithin(range, common)) && writes.every(({ write }) => isInScope(write.key, common))) return;
  throw new GkvError('scope_mismatch', `an exchange over more than both may hold, which is ${scopeText(common).join(' ')}`);
}
