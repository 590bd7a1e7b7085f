import { covers } from '../../../src/core/frontier.ts';
import { stampFromHex } from '../../../src/core/stamp.ts';
import { partOf } from '../../../src/mesh/words.ts';
import { readFrontier } from '../../../src/replica/frontier.ts';
import { type Region } from '../cluster/region.ts';
import { type RegionScopes } from '../cluster/scopes.ts';
import { Violation } from '../kernel/kernel.ts';
import { type CommitOracle } from './commits.ts';
import { Forks } from './forks.ts';
import { type Ledger } from './ledger.ts';
import { type AcknowledgedWrite } from './operations.ts';

/** Acknowledged writes that one disk has not been seen to hold: what was here once, or a greater one of its key, stays in its history. */
interface Awaited {
  readonly disk: string;
  looked: number;
  writes: AcknowledgedWrite[];
}

/**
 * I7: what a cluster's frontier covers is here, or a greater write of its key is. A client's write is accepted under its version. What was
 * collected is in the history all the same, and who joins from where it was collected gets it from nobody. A restored copy claims what its original had, until it is renewed: it is enough that nobody believes it who can tell.
 */
export class FrontierOracle {
  readonly forks = new Forks();
  readonly #ledger: Ledger;
  readonly #commits: CommitOracle;
  readonly #scopes: RegionScopes | undefined;
  readonly #awaited = new Map<number, Awaited>();

  constructor(ledger: Ledger, commits: CommitOracle, scopes?: RegionScopes) {
    this.#scopes = scopes;
    this.#ledger = ledger;
    this.#commits = commits;
  }

  async check(region: Region): Promise<void> {
    if (region.own === undefined || region.isCopy) return;
    const own = partOf(region.own);
    const { disk } = region;
    const frontier = await region.openQuietly().read((snapshot) => readFrontier(snapshot, own));
    if (region.disk !== disk) return;
    for (const write of this.#awaitedOn(region)) {
      const { key, version, operation } = write;
      if (!covers(frontier, stampFromHex(version)) || this.#commits.heads.wasCollected(key, version)) continue;
      if (await this.forks.excuse(write)) continue;
      throw new Violation(
        'I7',
        `region ${region.index}: the frontier covers ${version} of key ${key}, operation ${operation.id}; held is ${this.#commits.heads.history(region.index).greatest(key)?.version ?? 'nothing'}`,
      );
    }
  }

  #awaitedOn({ index, disk }: Region): readonly AcknowledgedWrite[] {
    const { heads } = this.#commits;
    const { allAcknowledged } = this.#ledger;
    const before = this.#awaited.get(index);
    const awaited = before?.disk === disk ? before : { disk, looked: 0, writes: [] };
    this.#awaited.set(index, awaited);
    awaited.writes = [...awaited.writes, ...allAcknowledged.slice(awaited.looked)].filter(
      ({ key, version, lost }) => !lost && this.#scopes?.holds(index, key) !== false && !heads.hasHeld(index, key, version),
    );
    awaited.looked = allAcknowledged.length;
    return awaited.writes;
  }
}
