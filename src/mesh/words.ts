import { toHex } from '../core/bytes.ts';
import { clusterPartOf, lowOf, type ClusterPart, type Frontier } from '../core/frontier.ts';
import { limits } from '../core/limits.ts';
import { compareStamps, makeStamp, type Stamp } from '../core/stamp.ts';
import { instanceOf } from '../crypto/mesh.ts';
import { type OwnCluster } from './ports.ts';
import { type MemberWord, type Statement } from './statement.ts';

/** What members said of themselves, directly or through others: the greatest that was heard. Kept in memory; it is heard again. */
export class Words {
  readonly #own: OwnCluster;
  readonly #heard = new Map<string, MemberWord>();

  constructor(own: OwnCluster) {
    this.#own = own;
  }

  hear({ members }: Statement): void {
    for (const word of members) {
      const name = toHex(word.clusterId);
      if (name === toHex(this.#own.clusterId)) continue;
      const before = this.#heard.get(name);
      if (before === undefined ? this.#heard.size >= limits.membersMax : !isNewer(word, before)) continue;
      this.#heard.set(name, word);
    }
  }

  /** By the cluster id in hex. Undefined where nothing was heard of it yet. */
  of(clusterId: string): MemberWord | undefined {
    return this.#heard.get(clusterId);
  }

  /** Ours and what was heard. `low` is ours. */
  all(low: Stamp): MemberWord[] {
    return [{ ...this.#own, low }, ...this.#heard.values()];
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
}

function isNewer(word: MemberWord, before: MemberWord): boolean {
  if (word.incarnation !== before.incarnation) return word.incarnation > before.incarnation;
  return compareStamps(word.low, before.low) > 0;
}

function partOf({ clusterId, incarnation }: OwnCluster): ClusterPart {
  return clusterPartOf(makeStamp(0, 0, instanceOf(clusterId, incarnation, 0)));
}
