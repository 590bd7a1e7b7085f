import { toHex } from '../../../src/core/bytes.ts';
import { type Head } from '../../../src/core/entry.ts';
import { compareStamps, type Stamp } from '../../../src/core/stamp.ts';
import { readFloor } from '../../../src/replica/floor.ts';
import { type Region } from '../cluster/region.ts';
import { type RegionScopes } from '../cluster/scopes.ts';
import { type GrantedMesh } from '../grants/granted.ts';
import { Violation } from '../kernel/kernel.ts';
import { isGone } from './gone.ts';
import { type GrantedHeads } from './grantedHeads.ts';
import { rankOf } from './history.ts';
import { type Ledger } from './ledger.ts';

export interface GrantedWorld {
  readonly mesh: GrantedMesh;
  readonly heads: GrantedHeads;
}

/** What is still to come, and what does not hold if it never does; undefined where nothing is. */
export function unsettled(regions: readonly Region[], { mesh, heads }: GrantedWorld): { invariant: string; what: string } | undefined {
  const { law } = mesh.office;
  const expected = law.statements();
  for (const { index } of regions) {
    const known = new Set(heads.holding(index).records.map((id) => law.statementOf(id)));
    const missing = [...expected].filter((statement) => !known.has(statement));
    const more = [...known].filter((statement) => !expected.has(statement));
    if (missing.length + more.length > 0)
      return {
        invariant: 'I2',
        what: `region ${index} does not know ${missing.join(', ')}; and knows ${more.join(', ')}, which nobody said`,
      };
  }
  for (const { index } of regions) {
    const holding = heads.holding(index);
    for (const key of holding.keys()) {
      const ended = holding.entry(key).find(({ leaf }) => {
        const grant = law.grants.get(toHex(leaf));
        return grant === undefined || law.verdict(grant) !== 'stands';
      });
      if (ended !== undefined)
        return { invariant: 'I4', what: `region ${index}, key ${key}: ${toHex(ended.version)} is held, whose grant has ended` };
    }
  }
  return undefined;
}

/** I1, I3 and I4 once all is exchanged: each key reads everywhere as the greatest write that any cluster held and that stands by all records. */
export async function checkGranted(
  regions: readonly Region[],
  granted: GrantedWorld,
  ledger: Ledger,
  scopes?: RegionScopes,
): Promise<void> {
  const fault = unsettled(regions, granted);
  if (fault !== undefined) throw new Violation(fault.invariant, fault.what);
  const floors = await Promise.all(regions.map((region) => region.openQuietly().read(readFloor)));
  const floor = floors.reduce((a, b) => (compareStamps(a, b) < 0 ? b : a));
  const keys = new Set(regions.flatMap(({ index }) => [...granted.heads.holding(index).keys()]));
  for (const key of [...keys, ...ledger.keys()]) {
    const ever = regions.flatMap(({ index }) => granted.heads.holding(index).ever(key));
    for (const region of regions) if (scopes?.holds(region.index, key) !== false) checkKey(region, key, { ever, floor, granted });
    checkAcknowledged(key, ever, granted, ledger);
  }
}

interface KeyDeps {
  /** What any cluster held, of each leaf the greatest. */
  readonly ever: readonly Head[];
  /** The greatest of all. */
  readonly floor: Stamp;
  readonly granted: GrantedWorld;
}

function checkKey({ index }: Region, key: string, { ever, floor, granted: { mesh, heads } }: KeyDeps): void {
  const { law } = mesh.office;
  const stands = ({ leaf }: Head): boolean => {
    const grant = law.grants.get(toHex(leaf));
    return grant !== undefined && law.verdict(grant) === 'stands';
  };
  const sorted = [...ever].sort((a, b) => (rankOf(a) < rankOf(b) ? 1 : -1));
  const expected = sorted.find(stands);
  const [visible] = heads.holding(index).entry(key); // all of it stands
  if (expected === undefined || (visible !== undefined && rankOf(visible) === rankOf(expected))) return;
  if (visible === undefined && isGone(expected, floor)) return;
  // What stood above it when the floor passed both has taken it along, and has ended since.
  const isBelow = compareStamps(expected.version, floor) < 0;
  if (isBelow && sorted.some((other) => rankOf(other) > rankOf(expected) && !stands(other))) return;
  throw new Violation(
    expected.tombstone ? 'I3' : 'I1',
    `region ${index}, key ${key} reads as ${visible === undefined ? 'nothing' : toHex(visible.version)}; the greatest that stands is ${toHex(expected.version)}`,
  );
}

/** I1: what was acknowledged, and has not lost its authority since, is there, or something greater is that stands. */
function checkAcknowledged(key: string, ever: readonly Head[], { mesh, heads }: GrantedWorld, ledger: Ledger): void {
  const { law } = mesh.office;
  const standing = ever.filter(({ leaf }) => {
    const grant = law.grants.get(toHex(leaf));
    return grant !== undefined && law.verdict(grant) === 'stands';
  });
  const greatest = standing.map(rankOf).reduce((a, b) => (a > b ? a : b), '');
  for (const { version, operation, lost } of ledger.of(key)) {
    if (!lost && greatest < version && !heads.wasCollected(key, version))
      throw new Violation('I1', `key ${key} was acknowledged at ${version}, operation ${operation.id}, and no cluster held as much`);
  }
}
