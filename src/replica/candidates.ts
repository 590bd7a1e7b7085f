import { mergeHead, type Entry, type Head } from '../core/entry.ts';
import { limits } from '../core/limits.ts';
import { compareStamps, type Stamp } from '../core/stamp.ts';
import { compareWrites, type GrantId } from '../core/write.ts';
import { isGone } from './floor.ts';

/** What is known of the grants that candidates rest on; in an open mesh there is nothing to know. */
export interface Chains {
  /** See `Covers`. */
  covers(over: GrantId, under: GrantId): boolean;
  hasEnded(leaf: GrantId): boolean;
}

export type Taking = { readonly kind: 'applied'; readonly entry: Entry } | { readonly kind: 'duplicate' | 'dominated' };

/**
 * Takes one write among the candidates of its key. Where they are more than a key keeps, those whose chain has ended give way first, and then
 * the least: it is `dominated` where that is itself.
 */
export function takeCandidate(entry: Entry | undefined, head: Head, chains: Chains | undefined): Taking {
  const merged = mergeHead(entry, head, chains === undefined ? undefined : (over, under) => chains.covers(over, under));
  if (merged.kind !== 'applied') return { kind: merged.kind };
  if (merged.entry.length <= limits.candidatesKeptMax) return merged;
  const kept = standing(merged.entry, chains).slice(0, limits.candidatesKeptMax);
  return kept.includes(head) ? { kind: 'applied', entry: kept } : { kind: 'dominated' };
}

/** Without what will never be seen again. */
function standing(entry: Entry, chains: Chains | undefined): Entry {
  return chains === undefined ? entry : entry.filter(({ leaf }) => !chains.hasEnded(leaf));
}

/**
 * Without what a greater candidate below the floor hides: every member has that one, so nobody needs the lesser for telling what is there. Chains are
 * not looked at: what only an ended one hides is told once that is swept.
 */
export function unhidden(entry: Entry, floor: Stamp): Entry {
  const deciding = entry.findIndex((head) => isBelow(head, floor));
  return deciding < 0 || deciding === entry.length - 1 ? entry : entry.slice(0, deciding + 1);
}

/** What the floor leaves of the candidates of a key: of those below it the greatest that stands, and that only where it does not read as absent. */
export function settled(entry: Entry, floor: Stamp, chains: Chains | undefined): Entry {
  const left = unhidden(standing(entry, chains), floor);
  const least = left.at(-1);
  return least !== undefined && isGone(least, floor) ? left.slice(0, -1) : left;
}

/** Whether a write below the floor would go at once, for one that is greater, below the floor too, and stands. */
export function isSettledAgainst(
  entry: Entry | undefined,
  head: Pick<Head, 'version' | 'id'>,
  floor: Stamp,
  chains: Chains | undefined,
): boolean {
  return standing(entry ?? [], chains).some((other) => isBelow(other, floor) && compareWrites(other, head) > 0);
}

function isBelow({ version }: Head, floor: Stamp): boolean {
  return compareStamps(version, floor) < 0;
}
