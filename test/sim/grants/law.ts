import { type Grant } from '../../../src/grant/grant.ts';
import { type Right } from '../../../src/grant/rights.ts';
import { areas, type AreaName } from './areas.ts';

/** A grant as it was made. Ids are in hex. */
export interface GivenGrant {
  readonly id: string;
  readonly record: Grant;
  /** Undefined where the root gives it. */
  readonly parent: GivenGrant | undefined;
  /** Who holds it, by name. */
  readonly holder: string;
  /** Of the root document that gave the first of its line. */
  readonly rootVersion: number;
  readonly areas: readonly AreaName[];
  readonly rights: readonly Right[];
  readonly depth: number;
  readonly fromMs: number;
  readonly toMs: number;
  /** Given by who may, and no wider than what he holds: what is not is taken in nowhere. */
  readonly isRight: boolean;
}

/** A revocation. */
interface GivenEnd {
  readonly id: string;
  readonly target: string;
  /** A name, or the root by the document of this version. */
  readonly by: string | number;
}

interface GivenRoot {
  readonly id: string;
  readonly version: number;
  readonly carried: ReadonlySet<string>;
}

/** Ids of records that somebody knows. */
interface Known {
  has(id: string): boolean;
}

const everything: Known = { has: () => true };

/** What one write asks for; `ms` is of its version. */
export interface Wanted {
  readonly key: string;
  readonly tombstone: boolean;
  readonly ms: number;
}

const lines = new WeakMap<GivenGrant, readonly GivenGrant[]>();

/** From the root's grant to this one. A grant never changes, so its line is put together once. */
export function lineOf(grant: GivenGrant): readonly GivenGrant[] {
  const known = lines.get(grant);
  if (known !== undefined) return known;
  const line = grant.parent === undefined ? [grant] : [...lineOf(grant.parent), grant];
  lines.set(grant, line);
  return line;
}

/** All records that were ever made, and what stands by them, told from how they were made and without the code that judges them. */
export class Law {
  readonly grants = new Map<string, GivenGrant>();
  readonly ends: GivenEnd[] = [];
  readonly roots: GivenRoot[] = [];

  /** What every cluster must know in the end: root documents and grants by their ids, and of each grant that was revoked that it was. */
  statements(): ReadonlySet<string> {
    const right = [...this.grants.values()].filter((grant) => lineOf(grant).every(({ isRight }) => isRight));
    const ends = this.ends.filter((end) => this.#mayEnd(end));
    return new Set([...right, ...this.roots, ...ends].map(({ id }) => this.statementOf(id)));
  }

  /** One revocation of a grant says as much as another. */
  statementOf(id: string): string {
    const end = this.ends.find((each) => each.id === id);
    return end === undefined ? id : `the end of ${end.target}`;
  }

  /** By what is known: nothing is known of it, it has ended for good, or it stands. */
  verdict(grant: GivenGrant, known: Known = everything): 'unknown' | 'ended' | 'stands' {
    const line = lineOf(grant);
    if (line.some(({ id, isRight }) => !isRight || !known.has(id))) return 'unknown';
    const roots = this.roots.filter(({ id }) => known.has(id));
    const own = roots.filter(({ version }) => version === grant.rootVersion).length;
    if (own === 0) return 'unknown';
    const isCarried = roots.every(({ version, carried }) => version <= grant.rootVersion || carried.has(line[0]?.id ?? ''));
    if (own > 1 || !isCarried) return 'ended';
    const isEnded = this.ends.some((end) => known.has(end.id) && line.some(({ id }) => id === end.target) && this.#mayEnd(end));
    return isEnded ? 'ended' : 'stands';
  }

  /** What every link says, whether it stands or not. */
  allows(grant: GivenGrant, { key, tombstone, ms }: Wanted): boolean {
    return lineOf(grant).every((link) => {
      const isInArea = link.areas.some((name) => areas[name].has(key));
      return isInArea && link.rights.includes(tombstone ? 'delete' : 'write') && ms >= link.fromMs && ms < link.toMs;
    });
  }

  /** Who holds the grant or one before it may end it, and the root from the version on that gave the first. */
  #mayEnd({ target, by }: GivenEnd): boolean {
    const grant = this.grants.get(target);
    if (grant === undefined || lineOf(grant).some(({ isRight }) => !isRight)) return false;
    return typeof by === 'number' ? by >= grant.rootVersion : lineOf(grant).some(({ holder }) => holder === by);
  }
}
