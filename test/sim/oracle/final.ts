import assert from 'node:assert/strict';
import { decodeEntry, type Entry, type Head } from '../../../src/core/entry.ts';
import { compareStamps, type Stamp } from '../../../src/core/stamp.ts';
import { isGone, readFloor } from '../../../src/replica/floor.ts';
import { keyWithin, tableKeys, tableRange, tables } from '../../../src/store/keyspace.ts';
import { storeLimits } from '../../../src/store/store.ts';
import { toHex } from '../../../src/core/bytes.ts';
import { parseKey } from '../../../src/core/key.ts';
import { isInScope, outside } from '../../../src/core/scope.ts';
import { type MeshDigests } from '../../../src/crypto/mesh.ts';
import { rootSum } from '../../../src/aae/tree.ts';
import { assertTree } from '../../aae/oracle.ts';
import { expectedRows, rowsOf } from '../../replica/rows.ts';
import { type JobSettings } from '../cluster/jobs.ts';
import { type Region } from '../cluster/region.ts';
import { type RegionScopes } from '../cluster/scopes.ts';
import { Violation } from '../kernel/kernel.ts';
import { type CommitOracle } from './commits.ts';
import { checkGranted, type GrantedWorld } from './grantedFinal.ts';
import { type HeadOracle } from './heads.ts';
import { type Seen } from './history.ts';
import { type Ledger } from './ledger.ts';

/** I5: the tree of a cluster is the tree rebuilt from its heads. */
export async function checkTree(region: Region, digests: MeshDigests): Promise<void> {
  try {
    await assertTree(region.openQuietly(), digests);
  } catch (error) {
    throw new Violation('I5', `region ${region.index}: the tree is not the rebuilt tree`, { cause: error });
  }
}

/** T22: a cluster that holds some keys alone holds no others, ever. */
export async function checkHeld(region: Region, scopes: RegionScopes): Promise<void> {
  const ranges = outside(scopes.of(region.index)).map((range) => tableKeys(tables.head, range));
  const rows = await region.openQuietly().read((snapshot) => Promise.all(ranges.map((range) => snapshot.range(range, { limit: 1 }))));
  const [other] = rows.flat();
  if (other !== undefined) throw new Violation('T22', `region ${region.index} holds ${toHex(other.key)}, which is not in its scope`);
}

/** R11: exactly one row of feed, value, tombstones and expiries for each write that is there. */
async function checkDerived(region: Region, { feedPartitions }: JobSettings): Promise<void> {
  const store = region.openQuietly();
  try {
    assert.deepEqual(await rowsOf(store, 'derived'), await expectedRows(store, feedPartitions));
  } catch (error) {
    throw new Violation('R11', `region ${region.index}: derived rows do not fit the heads`, { cause: error });
  }
}

/** What each cluster holds, but for what the greatest floor of them removes: some have taken that away already. */
async function contents(regions: readonly Region[]): Promise<Map<string, string>[]> {
  const stores = regions.map((region) => region.openQuietly());
  const floors = await Promise.all(stores.map((store) => store.read(readFloor)));
  const floor = floors.reduce((a, b) => (compareStamps(a, b) < 0 ? b : a));
  return Promise.all(
    stores.map(async (store) => {
      const content = await rowsOf(store, 'content');
      for (const { key, value } of await store.read((snapshot) =>
        snapshot.range(tableRange(tables.head), { limit: storeLimits.rowsMax }),
      )) {
        const entry = decodeEntry(value);
        const stay = entry.map((head) => staysAbove(head, entry, floor));
        if (!stay.includes(true)) content.delete(toHex(key));
        else if (stay.includes(false)) {
          const heads = JSON.parse(content.get(toHex(key)) ?? '[]') as unknown[]; // as `rowsOf` made it
          content.set(toHex(key), JSON.stringify(heads.filter((_, i) => stay[i])));
        }
      }
      return content;
    }),
  );
}

/** Of the candidates below the floor the greatest, where that is there to read. All of them stand. */
function staysAbove(head: Head, entry: Entry, floor: Stamp): boolean {
  const isBelow = ({ version }: Head): boolean => compareStamps(version, floor) < 0;
  return !isBelow(head) || (head === entry.find(isBelow) && !isGone(head, floor));
}

/** Where two clusters differ, in a few words; undefined where all hold the same. */
export async function difference(regions: readonly Region[], scopes?: RegionScopes): Promise<string | undefined> {
  const [first, ...others] = await contents(regions);
  for (const [index, other] of others.entries()) {
    for (const name of new Set([...(first?.keys() ?? []), ...other.keys()])) {
      const key = parseKey(keyWithin(Buffer.from(name, 'hex')));
      if (scopes !== undefined && !isInScope(key, scopes.of(index + 1))) continue;
      const [a, b] = [first?.get(name), other.get(name)];
      if (a !== b)
        return `${Buffer.from(name, 'hex').toString('latin1')}: ${a ?? 'nothing'} in region 0, ${b ?? 'nothing'} in region ${index + 1}`;
    }
  }
  return undefined;
}

/** Some cluster has yet to take away what its own or another's floor removes. */
async function isCollecting(regions: readonly Region[]): Promise<boolean> {
  const [first, ...others] = await Promise.all(regions.map((region) => rowsOf(region.openQuietly(), 'content')));
  return others.some((other) => other.size !== first?.size || [...other].some(([name, heads]) => first.get(name) !== heads));
}

/** What holds when the world is whole again and everything has been exchanged: I1, I2, I3, I5, R11. */
export async function checkHealed(
  regions: readonly Region[],
  world: {
    readonly commits: CommitOracle;
    readonly ledger: Ledger;
    readonly digests: MeshDigests;
    readonly settings: JobSettings;
    readonly granted: GrantedWorld | undefined;
    readonly scopes: RegionScopes | undefined;
  },
): Promise<void> {
  const { commits, ledger, digests, settings, granted, scopes } = world;
  const differing = await difference(regions, scopes);
  if (differing !== undefined) throw new Violation('I2', differing);
  for (const region of regions) {
    await checkTree(region, digests);
    await checkDerived(region, settings);
  }
  const sums = await Promise.all(regions.map((region) => region.openQuietly().read((snapshot) => rootSum(snapshot, digests))));
  if (scopes === undefined && new Set(sums.map(toHex)).size > 1 && !(await isCollecting(regions)))
    throw new Violation('I2', `equal entries, and sums ${sums.map(toHex).join(' ')}`);
  ledger.checkTombstones();
  if (granted !== undefined) await checkGranted(regions, granted, ledger, scopes);
  else for (const region of regions) checkAcknowledgedHere(region, regions, { heads: commits.heads, ledger });
}

/** I1 and I3, from full histories: the key holds the greatest write that any cluster ever held, and that is no less than any acknowledged. */
function checkAcknowledgedHere(
  region: Region,
  regions: readonly Region[],
  { heads, ledger }: { readonly heads: HeadOracle; readonly ledger: Ledger },
): void {
  const own = heads.history(region.index);
  const keys = new Set(regions.flatMap(({ index }) => [...heads.history(index).keys()]));
  for (const key of [...keys, ...ledger.keys()]) {
    const greatest = regions.map(({ index }) => heads.history(index).greatest(key)).reduce(greaterOf, undefined);
    const here = own.of(key).at(-1);
    const name = `region ${region.index}, key ${key}`;
    // Who never held the key misses nothing once it was collected where it was held.
    const isCollected = (rank: string): boolean => (here === undefined ? heads : own).wasCollected(key, rank);
    if (greatest !== undefined && here?.rank !== greatest.rank && !isCollected(greatest.rank)) {
      const invariant = greatest.tombstone ? 'I3' : 'I1';
      throw new Violation(
        invariant,
        `${name} holds ${here?.version ?? 'nothing'}; the greatest that any cluster held is ${greatest.version}`,
      );
    }
    for (const { version, operation, lost } of ledger.of(key)) {
      if (!lost && (here?.version ?? '') < version && !isCollected(version)) {
        throw new Violation('I1', `${name} holds ${here?.version ?? 'nothing'}; operation ${operation.id} is acknowledged at ${version}`);
      }
    }
  }
}

function greaterOf(a: Seen | undefined, b: Seen | undefined): Seen | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.rank > b.rank ? a : b;
}
