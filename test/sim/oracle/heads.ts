import { stampToHex } from '../../../src/core/stamp.ts';
import { type Committed } from '../cluster/database.ts';
import { type Region } from '../cluster/region.ts';
import { Violation } from '../kernel/kernel.ts';
import { type RegionHistory } from './history.ts';
import { type SlotOracle } from './slots.ts';

/** What the slot of a commit had closed before, and has now; undefined where it mints nothing. */
export type Minted = ReturnType<SlotOracle['observe']>;

/** Looks at what clusters hold for keys, commit by commit. */
export interface HeadOracle {
  observe(region: Region, committed: Committed, minted: Minted): void;
  /** What a cluster's keys read as, one after the other. */
  history(region: number): RegionHistory;
  /** A write of the key as great as this was taken away somewhere: by then every member had it, and who comes later gets it from nobody. */
  wasCollected(key: string, rank: string): boolean;
  /** A cluster, on the disk that it has now, held the write of this version once, or one that stands for it. */
  hasHeld(region: number, key: string, version: string): boolean;
  /** Begins a read; what it gives back is called with each version that the read told. */
  reading(region: number): (key: string, version: string) => void;
  /** The disk of a cluster was replaced: what it holds now is all that it ever held. */
  diskReplaced(region: Region): void;
}

/** I8: a write that no cluster held before is made under the slot that this very commit closes. */
export function checkMinted(name: string, version: string, minted: Minted): void {
  const problem =
    minted === undefined
      ? 'was made outside of any slot'
      : version <= stampToHex(minted.before)
        ? `is at or below ${stampToHex(minted.before)}, which its slot had closed`
        : version > stampToHex(minted.closed)
          ? `is above ${stampToHex(minted.closed)}, which its commit closed`
          : undefined;
  if (problem !== undefined) throw new Violation('I8', `${name}: version ${version} ${problem}`);
}

export function where(region: Region, key: string): string {
  return `region ${region.index}, key ${key}`;
}
