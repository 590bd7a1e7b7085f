import { clusterPartOf, covers } from '../../../src/core/frontier.ts';
import { stampFromHex } from '../../../src/core/stamp.ts';
import { readOrigin } from '../../../src/mesh/originRow.ts';
import { judge } from '../../../src/mesh/rollback.ts';
import { partOf } from '../../../src/mesh/words.ts';
import { readFrontier } from '../../../src/replica/frontier.ts';
import { lineageOf, openingIdBytes } from '../../../src/replica/lineage.ts';
import { readIdentity } from '../../../src/server/identity.ts';
import { type Snapshot, type Store } from '../../../src/store/store.ts';
import { type Region } from '../cluster/region.ts';
import { type AcknowledgedWrite } from './operations.ts';

/** A store that was restored from a copy. */
interface Fork {
  readonly region: Region;
  readonly copyDisk: string;
  readonly originalDisks: readonly string[];
  /** As it was restored. */
  readonly copy: Store;
  /** What these held when they were lost. */
  readonly originals: readonly Store[];
  /** What the other clusters held when it was restored. */
  readonly others: readonly Store[];
  /** Another cluster lost its disk before the copy was renewed, and with it what it had heard of the original. */
  othersForgot: boolean;
}

/**
 * Whose claims M21 says are not to be relied on. What a copy closes before it is renewed covers what its original took in later, for those who cannot tell it from that; and what it
 * takes in itself under a stamp that the original had closed everybody takes for covered. Exchanges find both: in the end nothing of it is excused.
 */
export class Forks {
  readonly #lost = new Map<number, { readonly disk: string; readonly store: Store }[]>();
  readonly #forks: Fork[] = [];

  /** `before`: the disk that was lost; the region has the one that took its place, and nothing runs on it yet. */
  diskReplaced(region: Region, before: { readonly disk: string; readonly store: Store }, others: readonly Region[]): void {
    const lost = [...(this.#lost.get(region.index) ?? []), before];
    this.#lost.set(region.index, lost);
    for (const fork of this.#forks) {
      if (fork.region !== region && fork.region.isCopy && fork.region.disk === fork.copyDisk) fork.othersForgot = true;
    }
    if (!region.isCopy) return;
    this.#forks.push({
      region,
      copyDisk: region.disk,
      copy: region.openClone(),
      originalDisks: lost.map(({ disk }) => disk),
      originals: lost.map(({ store }) => store),
      others: others.filter((other) => other !== region).map((other) => other.openClone()),
      othersForgot: false,
    });
  }

  /** Whether a cluster may take this write for covered that it has not. */
  async excuse({ version, operation }: AcknowledgedWrite): Promise<boolean> {
    for (const fork of this.#forks) {
      const isOfCopy = operation.disk === fork.copyDisk;
      if (!isOfCopy && !fork.originalDisks.includes(operation.disk)) continue;
      if (await fork.copy.read((copy) => (isOfCopy ? isClosedBefore(fork, copy, version) : isBelieved(fork, copy, version)))) return true;
    }
    return false;
  }
}

/** Made by the copy, as who it was when it was made, under a stamp that the original had closed. */
async function isClosedBefore({ originals }: Fork, copy: Snapshot, version: string): Promise<boolean> {
  if (!(await isOf(copy, version))) return false;
  const covered = await Promise.all(originals.map((original) => original.read((snapshot) => hasCovered(snapshot, version))));
  return covered.includes(true);
}

/** Made by the original after the copy, which others cannot tell from it. */
async function isBelieved({ others, othersForgot }: Fork, copy: Snapshot, version: string): Promise<boolean> {
  if (!(await isOf(copy, version)) || (await hasCovered(copy, version))) return false;
  if (othersForgot) return true;
  const told = await Promise.all(others.map((other) => other.read((snapshot) => tells(snapshot, copy))));
  return told.includes(false);
}

async function isOf(copy: Snapshot, version: string): Promise<boolean> {
  const stored = await readIdentity(copy);
  return stored !== undefined && partOf(stored.identity) === clusterPartOf(stampFromHex(version));
}

async function hasCovered(snapshot: Snapshot, version: string): Promise<boolean> {
  const stored = await readIdentity(snapshot);
  return stored !== undefined && covers(await readFrontier(snapshot, partOf(stored.identity)), stampFromHex(version));
}

/** Whether a cluster, by what its store keeps of what it heard, takes a copy that is started for what it is. */
export async function tells(other: Snapshot, copy: Snapshot): Promise<boolean> {
  const [stored, { progress, openings }] = await Promise.all([readIdentity(copy), lineageOf(copy)]);
  const heard = stored && (await readOrigin(other, stored.identity.clusterId));
  if (stored === undefined || heard === undefined) return false;
  const started = { progress, openings: [...openings, { id: new Uint8Array(openingIdBytes), began: progress }] };
  return judge(heard, { incarnation: stored.identity.incarnation, lineage: started }) !== 'newer';
}
