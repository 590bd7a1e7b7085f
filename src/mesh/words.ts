import { toHex } from '../core/bytes.ts';
import { clusterPartOf, lowOf, type ClusterPart, type Frontier } from '../core/frontier.ts';
import { limits } from '../core/limits.ts';
import { compareStamps, makeStamp, stampZero, type Stamp } from '../core/stamp.ts';
import { instanceOf } from '../crypto/mesh.ts';
import { type OwnCluster } from './ports.ts';
import { type MemberWord, type Statement } from './statement.ts';

/**
 * What members said of themselves, directly or through others: the greatest that was heard. Kept in memory; it is heard again. Of clusters
 * that are no members nothing is kept or told, so that nobody can fill it with names.
 */
export class Words {
  readonly #own: OwnCluster;
  readonly #heard = new Map<string, MemberWord>();

  constructor(own: OwnCluster) {
    this.#own = own;
  }

  /** `isMember` is asked of a cluster id in hex. */
  hear({ members }: Statement, isMember: (clusterId: string) => boolean): void {
    for (const word of members) {
      const name = toHex(word.clusterId);
      if (name === toHex(this.#own.clusterId) || !isMember(name)) continue;
      const before = this.#heard.get(name);
      if (before === undefined || isNewer(word, before)) this.#heard.set(name, word);
    }
  }

  /** Forgets those that are no members any more. */
  keep(isMember: (clusterId: string) => boolean): void {
    for (const name of this.#heard.keys()) if (!isMember(name)) this.#heard.delete(name);
  }

  /** By the cluster id in hex. Undefined where nothing was heard of it yet. */
  of(clusterId: string): MemberWord | undefined {
    return this.#heard.get(clusterId);
  }

  /** Ours and what was heard. `low` is ours. */
  all(low: Stamp): MemberWord[] {
    return [{ ...this.#own, low }, ...this.#heard.values()].slice(0, limits.membersMax);
  }

  /** Up to where we have everything of these members, cluster ids in hex; undefined while something of one of them was never heard. */
  lowOf(frontier: Frontier, members: Iterable<string>): Stamp | undefined {
    const parts = [partOf(this.#own)];
    for (const member of members) {
      const word = this.#heard.get(member);
      if (word === undefined) return undefined;
      parts.push(partOf(word));
    }
    return lowOf(frontier, parts);
  }

  /** As `lowOf`, of what we have anything of, of the members that were heard of: how old what we have is. Zero: we have nothing. */
  ageOf(frontier: Frontier, members: Iterable<string>): Stamp {
    const heard = [...members].flatMap((member) => this.#heard.get(member) ?? []);
    const reached = [this.#own, ...heard].flatMap((each) => {
      const part = frontier.get(partOf(each));
      return part === undefined ? [] : [part.base, ...part.slots.values()];
    });
    const [least] = reached.filter((stamp) => compareStamps(stamp, stampZero) > 0).sort(compareStamps);
    return least ?? stampZero;
  }
}

function isNewer(word: MemberWord, before: MemberWord): boolean {
  if (word.incarnation !== before.incarnation) return word.incarnation > before.incarnation;
  return compareStamps(word.low, before.low) > 0;
}

function partOf({ clusterId, incarnation }: OwnCluster): ClusterPart {
  return clusterPartOf(makeStamp(0, 0, instanceOf(clusterId, incarnation, 0)));
}
