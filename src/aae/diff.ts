import { equalBytes } from '../core/bytes.ts';
import { isZeroSum, type Sum } from '../core/sum.ts';
import { type KeyRange } from '../core/key.ts';
import { type Fingerprints } from './fingerprint.ts';
import { type Parts } from './message.ts';

/** How a part that the peer described compares with ours. `oursEmpty` and `theirsEmpty`: the other side holds something. */
type Comparison = 'equal' | 'oursEmpty' | 'theirsEmpty' | 'differs';

export interface ComparedPart {
  readonly range: KeyRange;
  readonly sum: Sum;
  readonly comparison: Comparison;
}

/** Compares the parts of a span with our sums of the same ranges. Neighbours that one side lacks become one range. */
export function compareParts(span: Parts, sums: readonly Sum[], prints: Fingerprints): ComparedPart[] {
  const compared: ComparedPart[] = [];
  let start = span.start;
  for (const [i, { end, fingerprint }] of span.parts.entries()) {
    const sum = sums[i];
    if (sum === undefined) break;
    const comparison = comparePart(sum, fingerprint, prints);
    const last = compared[compared.length - 1];
    if (last !== undefined && last.comparison === comparison && (comparison === 'oursEmpty' || comparison === 'theirsEmpty')) {
      compared[compared.length - 1] = { ...last, range: { start: last.range.start, end } };
    } else {
      compared.push({ range: { start, end }, sum, comparison });
    }
    if (end === null) break;
    start = end;
  }
  return compared;
}

function comparePart(sum: Sum, fingerprint: Uint8Array, prints: Fingerprints): Comparison {
  if (equalBytes(prints.of(sum), fingerprint)) return 'equal';
  if (isZeroSum(sum)) return 'oursEmpty';
  return equalBytes(fingerprint, prints.empty) ? 'theirsEmpty' : 'differs';
}

/** True when the edges of a span rise, and its parts end where it ends. */
export function isOrdered(span: Parts): boolean {
  let before: Uint8Array | null = span.start;
  for (const { end } of span.parts) {
    if (before === null || (end !== null && Buffer.compare(before, end) > 0)) return false;
    before = end;
  }
  return span.parts.length > 0;
}

/** Splits ids that the peer listed for a range: those that we lack, in its order. */
export function lackedIds(theirs: readonly string[], ours: ReadonlySet<string>): string[] {
  return theirs.filter((id) => !ours.has(id));
}
