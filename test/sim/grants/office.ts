import { toHex } from '../../../src/core/bytes.ts';
import { type AnyRecord } from '../../../src/grant/anyRecord.ts';
import { type Grant } from '../../../src/grant/grant.ts';
import { rightsOf, type Right } from '../../../src/grant/rights.ts';
import { type RootDocument } from '../../../src/grant/root.ts';
import { anyOf, Mesh, patternsOf } from '../../grant/world.ts';
import { type Stream } from '../kernel/streams.ts';
import { areas, type AreaName } from './areas.ts';
import { Law, type GivenGrant } from './law.ts';

/** What a grant is to say. */
export interface Terms {
  readonly areas: readonly AreaName[];
  readonly rights: readonly Right[];
  readonly depth: number;
  readonly fromMs: number;
  readonly toMs: number;
}

/** One root document, and who has its keys. */
interface Side {
  readonly document: RootDocument;
  readonly names: readonly string[];
  readonly version: number;
}

export const foreverMs = 2 ** 48;
export const allRights: readonly Right[] = ['read', 'write', 'delete', 'delegate'];

/** Who signs in a region. */
export function clusterName(region: number): string {
  return `cluster ${region}`;
}

/** Makes the records of a granted mesh, and keeps with each what it means. */
export class Office {
  readonly law = new Law();
  /** What never ends, so that a mesh keeps its members: of each region's key, over the records of members. */
  readonly permanent: readonly GivenGrant[];
  readonly #mesh: Mesh;
  readonly #threshold: number;
  readonly #sides: Side[];

  constructor(random: Stream, regions: number) {
    this.#threshold = random.chance(0.3) ? 2 : 1;
    const names = this.#keysOf('1');
    this.#mesh = new Mesh(names, this.#threshold);
    this.#sides = [{ document: this.#mesh.root, names, version: 1 }];
    this.law.roots.push({ id: toHex(this.#mesh.id), version: 1, carried: new Set() });
    const terms: Terms = { areas: ['system'], rights: allRights, depth: 1, fromMs: 0, toMs: foreverMs };
    this.permanent = Array.from({ length: regions }, (_, region) => this.ofRoot(clusterName(region), terms));
  }

  get meshId(): Uint8Array {
    return this.#mesh.id;
  }

  get root(): AnyRecord {
    return anyOf(this.#mesh.root);
  }

  get documents(): number {
    return this.#sides.length;
  }

  /** From the keys of the newest root document. */
  ofRoot(holder: string, terms: Terms): GivenGrant {
    const { names, version } = this.#newest;
    const record = this.#mesh.grant(holder, { ...bodyOf(terms), rootVersion: version }, names);
    return this.#note({ ...terms, record, parent: undefined, holder, rootVersion: version, isRight: true });
  }

  /** From who holds another, or who says so. `isRight` where the terms are no wider and the giver is the holder. */
  given(parent: GivenGrant, holder: string, terms: Terms, { giver, isRight }: { giver: string; isRight: boolean }): GivenGrant {
    const record = this.#mesh.given(parent.record, giver, holder, bodyOf(terms));
    return this.#note({ ...terms, record, parent, holder, rootVersion: parent.rootVersion, isRight });
  }

  revoked(target: GivenGrant, by: string): AnyRecord {
    const record = this.#mesh.revocation(target.record, by);
    this.law.ends.push({ id: toHex(record.id), target: target.id, by });
    return anyOf(record);
  }

  /** By the keys of the newest root document. */
  revokedByRoot(target: GivenGrant): AnyRecord {
    const { names, version } = this.#newest;
    const record = this.#mesh.revocationByRoot(target.record, version, names);
    this.law.ends.push({ id: toHex(record.id), target: target.id, by: version });
    return anyOf(record);
  }

  /** The next root document. What never ends is carried over, and so is what `isCarried` says. */
  rotated(isCarried: (grant: GivenGrant) => boolean): AnyRecord {
    return this.#follow(this.#newest, 'next', isCarried);
  }

  /** A second document beside the newest, by the keys of the one before that; undefined where there is none before. */
  forked(isCarried: (grant: GivenGrant) => boolean): AnyRecord | undefined {
    const { version } = this.#newest;
    const before = this.#sides.find((side) => side.version === version - 1);
    return before === undefined ? undefined : this.#follow(before, 'fork', isCarried);
  }

  get #newest(): Side {
    const [first, ...later] = this.#sides;
    if (first === undefined) throw new Error('a mesh has a root');
    return later.reduce((newest, side) => (side.version > newest.version ? side : newest), first);
  }

  #follow(before: Side, name: string, isCarried: (grant: GivenGrant) => boolean): AnyRecord {
    const version = before.version + 1;
    const names = this.#keysOf(`${version} ${name} ${this.#sides.length}`);
    const carried = [...this.law.grants.values()].filter((grant) => {
      return grant.parent === undefined && grant.rootVersion < version && (this.permanent.includes(grant) || isCarried(grant));
    });
    const ids = carried.map(({ record }) => record.id).sort((a, b) => Buffer.compare(a, b));
    const more = { version, previous: before.document.id, threshold: this.#threshold, carried: ids };
    const document = this.#mesh.rotated(names, [...before.names, ...names], more);
    this.#sides.push({ document, names, version });
    this.law.roots.push({ id: toHex(document.id), version, carried: new Set(carried.map(({ id }) => id)) });
    return anyOf(document);
  }

  /** Of one root document. */
  #keysOf(name: string): string[] {
    return Array.from({ length: this.#threshold }, (_, i) => `root ${name}.${i}`);
  }

  #note(grant: Omit<GivenGrant, 'id'>): GivenGrant {
    const noted = { ...grant, id: toHex(grant.record.id) };
    this.law.grants.set(noted.id, noted);
    return noted;
  }
}

function bodyOf({ areas: names, rights, depth, fromMs, toMs }: Terms): Partial<Grant['body']> {
  const patterns = patternsOf(...names.map((name) => areas[name].pattern));
  return { patterns, rights: rightsOf(rights), depth, notBeforeMs: fromMs, expiresMs: toMs };
}
