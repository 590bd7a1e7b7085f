import { equalBytes, toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { refusal, shortId, type Refusal } from './known.ts';
import { meetsThreshold } from './chain.ts';
import { type RootDocument } from './root.ts';

/** Root documents that one mesh may know; each needs the keys of the one before, so nobody else can add to them. */
const rootsMax = 1_024;

/** The root documents that stand: from the first, whose id is the mesh id, each by the keys of the one before and its own. */
export class Roots {
  readonly #meshId: Uint8Array;
  readonly #byId = new Map<string, RootDocument>();

  constructor(meshId: Uint8Array) {
    this.#meshId = meshId;
  }

  copyTo(other: Roots): void {
    for (const [name, document] of this.#byId) other.#byId.set(name, document);
  }

  of(version: number): readonly RootDocument[] {
    return [...this.#byId.values()].filter(({ body }) => body.version === version);
  }

  after(version: number): readonly RootDocument[] {
    return [...this.#byId.values()].filter(({ body }) => body.version > version);
  }

  /** Its signatures hold. Codes: `root_unknown` where the one before is not known, `threshold`; error: `too_large`. */
  add(document: RootDocument): Refusal | undefined {
    const { id, body } = document;
    const before = this.#before(document);
    if (before === undefined) {
      const message = `root document ${body.version} follows ${shortId(body.previous)}, which is not known`;
      return refusal('root_unknown', body.version === 1 ? `${shortId(id)} is the root of another mesh` : message);
    }
    const lacking = [...before, document].find((signing) => !meetsThreshold(signing, document.signatures));
    if (lacking !== undefined) {
      return refusal('threshold', `root document ${body.version} lacks signatures of keys of version ${lacking.body.version}`);
    }
    if (this.#byId.has(toHex(id))) return undefined;
    if (this.#byId.size === rootsMax) throw new GkvError('too_large', `more than ${rootsMax} root documents of one mesh`);
    this.#byId.set(toHex(id), document);
    return undefined;
  }

  /** Those whose keys must have signed beside its own; undefined where they are not known. */
  #before({ id, body }: RootDocument): readonly RootDocument[] | undefined {
    if (body.version === 1) return equalBytes(id, this.#meshId) ? [] : undefined;
    const before = this.#byId.get(toHex(body.previous));
    return before?.body.version === body.version - 1 ? [before] : undefined;
  }
}
