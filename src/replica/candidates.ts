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
  /** Names of the grants of its chain, from the root's to the leaf. They never change. */
  linksOf(leaf: GrantId): readonly string[];
}

/** How many candidates a key keeps. */
export interface CandidateBounds {
  readonly all: number;
  /** Whose chains have a link in common, by its place in them; each less than the one before: who gives a grant on leaves room for what the others write. */
  readonly byLink: readonly number[];
}

/** A grant of the root's has a quarter, and each link that follows 4 fewer. */
const candidateBounds: CandidateBounds = { all: limits.candidatesKeptMax, byLink: [32, 28, 24, 20, 16, 12, 8, 4] };

export type Taking = { readonly kind: 'applied'; readonly entry: Entry } | { readonly kind: 'duplicate' | 'dominated' };

/**
 * Takes one write among the candidates of its key. Where they are more than a key keeps, those whose chain has ended give way first, and then
 * the least that share what there are too many of: it is `dominated` where that is itself.
 */
export function takeCandidate(entry: Entry | undefined, head: Head, chains: Chains | undefined, bounds = candidateBounds): Taking {
  const merged = mergeHead(entry, head, chains === undefined ? undefined : (over, under) => chains.covers(over, under));
  if (merged.kind !== 'applied') return { kind: merged.kind };
  if (chains === undefined || fitting(merged.entry, chains, bounds).length === merged.entry.length) return merged;
  const kept = fitting(standing(merged.entry, chains), chains, bounds);
  return kept.includes(head) ? { kind: 'applied', entry: kept } : { kind: 'dominated' };
}

/** The greatest first, each that finds room under every link of its chain. */
function fitting(entry: Entry, chains: Chains, { all, byLink }: CandidateBounds): Entry {
  if (entry.length <= (byLink.at(-1) ?? 0)) return entry;
  const kept: Head[] = [];
  const counts = new Map<string, number>();
  for (const head of entry) {
    const links = chains.linksOf(head.leaf);
    if (kept.length === all || links.some((link, place) => (counts.get(link) ?? 0) >= (byLink[place] ?? all))) continue;
    for (const link of links) counts.set(link, (counts.get(link) ?? 0) + 1);
    kept.push(head);
  }
  return kept;
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
