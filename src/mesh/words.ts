import { equalBytes, toHex } from '../core/bytes.ts';
import { clusterPartOf, lowOf, type ClusterFrontier, type ClusterPart, type Frontier } from '../core/frontier.ts';
import { limits } from '../core/limits.ts';
import { compareStamps, makeStamp, stampZero, type Stamp } from '../core/stamp.ts';
import { instanceOf } from '../crypto/mesh.ts';
import { epochNone } from './epoch.ts';
import { type OwnCluster } from './ports.ts';
import { type MemberWord, type Statement } from './statement.ts';

/** So long a member's own word stands against what others say of it, and no longer than this part of a day: it may have another incarnation meanwhile, and what we have of it grows old. */
const ownWordMsMax = 60_000;
const ownWordDayPart = 100;

interface Heard {
  readonly word: MemberWord;
  /** When the member itself said anything last, unless others were heard of it since. */
  readonly ownMs: number | undefined;
  /** When others were last heard of it; undefined: only the member itself is. */
  readonly othersMs: number | undefined;
}

/**
 * What members said of themselves, or others of them who were not heard for a minute: the greatest that was heard. Kept in memory; it is heard again. Of
 * clusters that are no members nothing is kept or told, so that nobody can fill it with names.
 */
export class Words {
  readonly #own: OwnCluster;
  readonly #ownWordMs: number;
  readonly #heard = new Map<string, Heard>();

  /** `dayMs`: the mesh's day. */
  constructor(own: OwnCluster, dayMs: number) {
    this.#own = own;
    this.#ownWordMs = Math.min(ownWordMsMax, dayMs / ownWordDayPart);
  }

  /** What one says of itself and of others. `isMember` is asked of a cluster id in hex; `nowMs`: by the monotonic clock; `epoch`: ours. */
  hear(
    from: Uint8Array,
    { members }: Statement,
    isMember: (clusterId: string) => boolean,
    nowMs: number,
    epoch: Uint8Array = epochNone,
  ): void {
    for (const word of members) {
      const name = toHex(word.clusterId);
      if (name === toHex(this.#own.clusterId) || !isMember(name)) continue;
      const before = this.#heard.get(name);
      const isOwn = equalBytes(word.clusterId, from);
      if (!isOwn && before?.ownMs !== undefined && nowMs - before.ownMs < this.#ownWordMs) continue;
      const byOthers = { word: merged(before?.word, word, epoch), ownMs: undefined, othersMs: nowMs };
      this.#heard.set(name, isOwn ? saidItself(before, word, nowMs, epoch) : byOthers);
    }
  }

  /** Forgets those that are no members any more. */
  keep(isMember: (clusterId: string) => boolean): void {
    for (const name of this.#heard.keys()) if (!isMember(name)) this.#heard.delete(name);
  }

  /** By the cluster id in hex. Undefined where nothing was heard of it yet. */
  of(clusterId: string): MemberWord | undefined {
    return this.#heard.get(clusterId)?.word;
  }

  /** Ours and what was heard. */
  all(own: Pick<MemberWord, 'low' | 'epoch' | 'isLevel'>): MemberWord[] {
    const { clusterId, incarnation } = this.#own;
    return [{ clusterId, incarnation, ...own }, ...[...this.#heard.values()].map(({ word }) => word)].slice(0, limits.membersMax);
  }

  /** Up to where we have everything of these members, cluster ids in hex, and of those that were `removed`; undefined while something of one of them was never heard. */
  lowOf(frontier: Frontier, members: Iterable<string>, removed: readonly OwnCluster[] = []): Stamp | undefined {
    const parts = [this.#own, ...removed].map(partOf);
    for (const member of members) {
      const word = this.of(member);
      if (word === undefined) return undefined;
      parts.push(partOf(word));
    }
    return lowOf(frontier, parts);
  }

  /** Up to where we have everything of a member, in hex, or of ourselves; undefined where of one of its slots, or of it, nothing is known yet. */
  closedOf(frontier: Frontier, member: string): Stamp | undefined {
    const cluster = member === toHex(this.#own.clusterId) ? this.#own : this.of(member);
    const low = cluster === undefined ? stampZero : lowOf(frontier, [partOf(cluster)]);
    return compareStamps(low, stampZero) === 0 ? undefined : low;
  }

  /** As `lowOf`, of what we have anything of, of other members that were heard of: how old what we have is. Zero: we have nothing. */
  ageOf(frontier: Frontier, members: Iterable<string>): Stamp {
    const heard = [...members].flatMap((member) => this.of(member) ?? []);
    const reached = heard.flatMap((each) => closedBy(each, frontier));
    const [least] = reached.sort(compareStamps);
    return least ?? stampZero;
  }
}

/** What each slot of a cluster has closed, and what those have that were never used, from the least on; without what closed nothing. */
export function closedBy(cluster: OwnCluster, frontier: Frontier): Stamp[] {
  return closedIn(frontier.get(partOf(cluster)));
}

/** As `closedBy`, of one cluster. */
export function closedIn(cluster: ClusterFrontier | undefined): Stamp[] {
  const all = cluster === undefined ? [] : [cluster.base, ...cluster.slots.values()];
  return all.filter((stamp) => compareStamps(stamp, stampZero) > 0).sort(compareStamps);
}

/** What others said counts beside it for no longer than a word of its own could be late. */
function saidItself(before: Heard | undefined, word: MemberWord, nowMs: number, epoch: Uint8Array): Heard {
  const isOutlived = before?.othersMs !== undefined && nowMs - before.othersMs >= ownWordMsMax;
  if (isOutlived) return { word, ownMs: nowMs, othersMs: undefined };
  return { word: merged(before?.word, word, epoch), ownMs: nowMs, othersMs: before?.othersMs };
}

/** The greater by incarnation, then by low. That a member was at our epoch, or level there, stays true, whatever comes late. */
function merged(before: MemberWord | undefined, word: MemberWord, epoch: Uint8Array): MemberWord {
  if (before === undefined) return word;
  const greater = isNewer(word, before) ? word : before;
  if (word.incarnation !== before.incarnation) return greater;
  const reach = reachAt(before, epoch) > reachAt(word, epoch) ? before : word;
  return { ...greater, epoch: reach.epoch, isLevel: reach.isLevel };
}

/** 0 for a member that is not known to be at the epoch, 1 for one that is, 2 for one that has all that every member had then. */
export function reachAt(word: MemberWord | undefined, epoch: Uint8Array): 0 | 1 | 2 {
  if (word === undefined || !equalBytes(word.epoch, epoch)) return 0;
  return word.isLevel ? 2 : 1;
}

function isNewer(word: MemberWord, before: MemberWord): boolean {
  if (word.incarnation !== before.incarnation) return word.incarnation > before.incarnation;
  return compareStamps(word.low, before.low) > 0;
}

/** A store that was renewed more often than this while it met nobody is not looked at further back. */
const earlierMax = 100;

/** The latest incarnations of a cluster before its present one. */
export function earlierPartsOf({ clusterId, incarnation }: OwnCluster): ClusterPart[] {
  const earlier = Array.from({ length: Math.min(earlierMax, incarnation - 1) }, (_, i) => incarnation - 1 - i);
  return earlier.map((each) => partOf({ clusterId, incarnation: each }));
}

/** Whose slots are those of a cluster. */
export function partOf({ clusterId, incarnation }: OwnCluster): ClusterPart {
  return clusterPartOf(makeStamp(0, 0, instanceOf(clusterId, incarnation, 0)));
}
