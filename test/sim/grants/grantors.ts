import { anyOf } from '../../grant/world.ts';
import { epochMs } from '../kernel/clock.ts';
import { type Stream } from '../kernel/streams.ts';
import { type World } from '../world.ts';
import { areas, type AreaName } from './areas.ts';
import { type GrantedMesh } from './granted.ts';
import { lineOf, type GivenGrant } from './law.ts';
import { allRights, clusterName, foreverMs, type Office, type Terms } from './office.ts';

const gapMsMean = 900;
const documentsMax = 5;
/** Grants that a run makes; a longer one goes on with revocations. */
const grantsMax = 80;

/** Who holds grants besides clusters. */
const writers = ['ann', 'ben', 'cid', 'dot', 'eve'] as const;

const dataAreas: readonly AreaName[] = ['flat', 'deep', 'left', 'firsts'];

interface Acting {
  readonly office: Office;
  readonly random: Stream;
  readonly nowMs: number;
  readonly regions: number;
}

type Act = (acting: Acting) => ReturnType<typeof anyOf> | undefined;

/** Gives, revokes and rotates until the signal. What is made is brought to somebody's directory, now or later. */
export async function grantors(world: World, granted: GrantedMesh, signal: AbortSignal): Promise<void> {
  const { kernel, counts, ledger, regions } = world;
  const random = kernel.streams.of('grantors');
  const mayFork = random.chance(0.3);
  for (;;) {
    await kernel.sleep(random.around(gapMsMean), '');
    if (signal.aborted) return;
    const name = pickAct(random, mayFork);
    const nowMs = epochMs + kernel.nowMs + world.besidesMs;
    const made = acts[name]({ office: granted.office, random, nowMs, regions: regions.length });
    if (made === undefined) continue;
    kernel.note(`authority: ${name}`);
    counts.add(`authority: ${name}`);
    ledger.ended();
    granted.bring(made);
  }
}

const weights = {
  'grant to a writer': 4,
  'grant to a cluster': 5,
  'sub-grant': 8,
  'grant that expires': 3,
  'revocation by the holder': 1.5,
  'revocation from above': 2.5,
  'revocation by the root': 1,
  'rotation of the root': 0.4,
  'fork of the root': 1,
  'wider grant': 1,
  'grant of a stranger': 0.7,
  'revocation of a stranger': 0.7,
} as const;
type ActName = keyof typeof weights;

const acts: Readonly<Record<ActName, Act>> = {
  'grant to a writer': (acting) => rootGrant(acting, acting.random.pick(writers), termsOf(acting.random, [...dataAreas, 'everything'])),
  'grant to a cluster': (acting) =>
    rootGrant(acting, clusterOf(acting), { ...termsOf(acting.random, ['flat']), rights: allRights, depth: 2 }),
  'sub-grant': (acting) => subGrant(acting, (terms) => terms),
  'grant that expires': (acting) => {
    const { random, nowMs } = acting;
    const window = { fromMs: Math.floor(nowMs - 5_000), toMs: Math.floor(nowMs + random.between(2_000, 30_000)) };
    if (random.chance(0.5))
      return subGrant(acting, (terms) => ({
        ...terms,
        fromMs: Math.max(window.fromMs, terms.fromMs),
        toMs: Math.min(window.toMs, terms.toMs),
      }));
    const holder = random.chance(0.5) ? random.pick(writers) : clusterOf(acting);
    return rootGrant(acting, holder, { ...termsOf(random, dataAreas), ...window });
  },
  'revocation by the holder': (acting) => revoked(acting, (grant) => grant.holder),
  'revocation from above': (acting) => revoked(acting, (grant) => acting.random.pick(lineOf(grant)).holder),
  'revocation by the root': ({ office, random }) => {
    const target = someEnding(office, random);
    return target === undefined ? undefined : office.revokedByRoot(target);
  },
  'rotation of the root': ({ office, random }) =>
    office.documents === documentsMax ? undefined : office.rotated((grant) => carries(office, random, grant)),
  'fork of the root': ({ office, random }) =>
    office.documents === documentsMax ? undefined : office.forked((grant) => carries(office, random, grant)),
  'wider grant': (acting) => {
    const { office, random } = acting;
    const parent = someParent(office, random);
    if (parent === undefined || parent.areas.includes('everything')) return undefined;
    const terms = { ...narrowed(parent, random), areas: ['everything'] as const };
    return anyOf(office.given(parent, random.pick(writers), terms, { giver: parent.holder, isRight: false }).record);
  },
  'grant of a stranger': (acting) => {
    const { office, random } = acting;
    const parent = someParent(office, random);
    if (parent === undefined) return undefined;
    return anyOf(office.given(parent, random.pick(writers), narrowed(parent, random), { giver: 'mallory', isRight: false }).record);
  },
  'revocation of a stranger': (acting) => revoked(acting, () => 'mallory'),
};

function pickAct(random: Stream, mayFork: boolean): ActName {
  const names = (Object.keys(weights) as ActName[]).filter((name) => mayFork || name !== 'fork of the root'); // its own keys
  // A fork has two sides once the root was rotated.
  const weightOf = (name: ActName): number => (mayFork && name === 'rotation of the root' ? 3 : 1) * weights[name];
  let left = random.fraction() * names.reduce((sum, name) => sum + weightOf(name), 0);
  return names.find((name) => (left -= weightOf(name)) < 0) ?? 'sub-grant';
}

function clusterOf({ random, regions }: Acting): string {
  return clusterName(random.below(regions));
}

function rootGrant({ office }: Acting, holder: string, terms: Terms): ReturnType<Act> {
  return office.law.grants.size >= grantsMax ? undefined : anyOf(office.ofRoot(holder, terms).record);
}

function termsOf(random: Stream, from: readonly AreaName[]): Terms {
  const depth = random.below(4);
  const may = random.chance(0.7) ? allRights : (['read', 'write', 'delegate'] as const);
  return { areas: [random.pick(from)], rights: rightsOf(may, depth), depth, fromMs: 0, toMs: foreverMs };
}

function rightsOf(rights: Terms['rights'], depth: number): Terms['rights'] {
  return depth === 0 ? rights.filter((right) => right !== 'delegate') : rights;
}

/** Terms that lie in those of a grant. */
function narrowed(parent: GivenGrant, random: Stream): Terms {
  const depth = random.below(parent.depth);
  const around = parent.areas.flatMap((name) => areas[name].around).filter((name) => dataAreas.includes(name));
  const isNarrower = random.chance(0.2) && parent.rights.includes('delete');
  const rights = isNarrower ? parent.rights.filter((right) => right !== 'delete') : parent.rights;
  return { areas: [random.pick(around)], rights: rightsOf(rights, depth), depth, fromMs: parent.fromMs, toMs: parent.toMs };
}

/** Also one that has ended: what follows from it has, too. */
function someParent(office: Office, random: Stream): GivenGrant | undefined {
  const parents = [...office.law.grants.values()].filter((grant) => grant.depth > 0 && !office.permanent.includes(grant) && isRight(grant));
  return parents.length === 0 ? undefined : random.pick(parents);
}

function isRight(grant: GivenGrant): boolean {
  return lineOf(grant).every((link) => link.isRight);
}

function subGrant(acting: Acting, change: (terms: Terms) => Terms): ReturnType<Act> {
  const { office, random } = acting;
  const parent = someParent(office, random);
  if (parent === undefined || office.law.grants.size >= grantsMax) return undefined;
  const terms = change(narrowed(parent, random));
  const to = random.chance(0.3) ? clusterOf(acting) : random.pick(writers);
  if (terms.fromMs >= terms.toMs || to === parent.holder) return undefined;
  return anyOf(office.given(parent, to, terms, { giver: parent.holder, isRight: true }).record);
}

/** One that may end; the newest are as likely as all others. */
function someEnding(office: Office, random: Stream): GivenGrant | undefined {
  const all = [...office.law.grants.values()].filter((grant) => !office.permanent.includes(grant) && isRight(grant));
  return all.length === 0 ? undefined : random.pick(random.chance(0.5) ? all.slice(-6) : all);
}

function revoked({ office, random }: Acting, by: (grant: GivenGrant) => string): ReturnType<Act> {
  const target = someEnding(office, random);
  return target === undefined ? undefined : office.revoked(target, by(target));
}

function carries({ law }: Office, random: Stream, grant: GivenGrant): boolean {
  return law.verdict(grant) === 'stands' && random.chance(0.85);
}
