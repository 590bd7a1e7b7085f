import { type Entry, type Head } from '../../../src/core/entry.ts';
import { compareStamps, physicalMsOf, type Stamp } from '../../../src/core/stamp.ts';
import { lineOf, type GivenGrant, type Law } from '../grants/law.ts';
import { rankOf } from './history.ts';

interface GoneDeps {
  readonly law: Law;
  readonly known: { has(id: string): boolean };
  readonly floor: Stamp;
  readonly grantOf: (head: Head) => GivenGrant;
}

/**
 * By which rule a candidate may have gone; undefined: by none. Where several would do, the first. Nobody must drop one that is dominated, or
 * below the floor, as soon as he may.
 */
export function whyGone(
  head: Head,
  before: Entry,
  after: Entry,
  deps: GoneDeps,
): 'replaced' | 'ended' | 'dominated' | 'below the floor' | 'collected' | undefined {
  const { law, known, floor, grantOf } = deps;
  const stands = (other: Head): boolean => law.verdict(grantOf(other), known) === 'stands';
  const isBelow = (other: Head): boolean => compareStamps(other.version, floor) < 0;
  const greater = after.filter((other) => rankOf(other) > rankOf(head));
  if (greater.some((other) => grantOf(other) === grantOf(head))) return 'replaced';
  if (law.verdict(grantOf(head), known) === 'ended') return 'ended';
  if (greater.some((other) => covers(grantOf(other), grantOf(head)))) return 'dominated';
  const deciding = [...before, ...after]
    .filter((other) => isBelow(other) && stands(other))
    .sort((a, b) => (rankOf(a) < rankOf(b) ? 1 : -1))[0];
  if (deciding === undefined || !isBelow(head)) return undefined;
  if (rankOf(deciding) > rankOf(head)) return 'below the floor';
  const shows = after.some((other) => rankOf(other) < rankOf(head) && stands(other));
  return isGone(head, floor) && !shows ? 'collected' : undefined;
}

/**
 * Something as great was collected that stands to this day. What has come back is hidden where a greater one covers that: some clusters held the
 * greater one in its place when the floor passed, and kept what it does not cover.
 */
export function isBack(head: Head, entry: Entry, collected: readonly Head[], { law, grantOf }: GoneDeps): boolean {
  return collected.some((other) => {
    if (rankOf(other) < rankOf(head) || law.verdict(grantOf(other)) !== 'stands') return false;
    return !entry.some((each) => rankOf(each) > rankOf(other) && covers(grantOf(each), grantOf(other)));
  });
}

/** Wherever the second stands, the first does. */
function covers(over: GivenGrant, under: GivenGrant): boolean {
  const line = lineOf(under);
  return lineOf(over).every((link) => line.includes(link));
}

/** Reads as absent since before the floor. */
export function isGone({ version, tombstone, expiresAt }: Head, floor: Stamp): boolean {
  return compareStamps(version, floor) < 0 && (tombstone || (expiresAt !== 0 && expiresAt < physicalMsOf(floor)));
}
