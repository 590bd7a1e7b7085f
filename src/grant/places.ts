import { toHex } from '../core/bytes.ts';
import { type AnyRecord } from './anyRecord.ts';
import { isZero, type Grant } from './grant.ts';
import { refusal, shortId, type Known, type Refusal } from './known.ts';

/** How many records a ledger keeps, and of whom. Each grant leaves a place for its revocation: one always finds room. */
export interface LedgerBounds {
  /** Of all kinds. */
  readonly rowsMax: number;
  readonly grantsMax: number;
  /** Of these, such as the root's keys did not give themselves. */
  readonly delegatedMax: number;
  /** That follow from one grant of the root's. */
  readonly followingMax: number;
  /** As before, of what is brought here first; peers may have taken in others at the same time. */
  readonly followingOursMax: number;
}

/** 32,256 grants, as many revocations, and 1,024 root documents. */
export const ledgerBounds: LedgerBounds = {
  rowsMax: 65_536,
  grantsMax: 32_256,
  delegatedMax: 24_576,
  followingMax: 8_192,
  followingOursMax: 2_048,
};

/** Who brings a record: our operator, or a peer that has it in its ledger. */
export type Source = 'ours' | 'peer';

/** What of a ledger's bounds is taken. */
export class Places {
  readonly #bounds: LedgerBounds;
  #grants = 0;
  #delegated = 0;
  /** By the root's grant, in hex, from which they follow. */
  readonly #following = new Map<string, number>();

  constructor(bounds: LedgerBounds) {
    this.#bounds = bounds;
  }

  copy(): Places {
    const copy = new Places(this.#bounds);
    copy.#grants = this.#grants;
    copy.#delegated = this.#delegated;
    for (const [name, count] of this.#following) copy.#following.set(name, count);
    return copy;
  }

  /** Notes a row. */
  take(known: Known, { kind, record }: AnyRecord): void {
    if (kind !== 'grant') return;
    this.#grants += 1;
    if (isZero(record.body.parent)) return;
    this.#delegated += 1;
    const name = toHex(rootGrantOf(known, record).id);
    this.#following.set(name, (this.#following.get(name) ?? 0) + 1);
  }

  /** Why there is no room for one more grant; undefined: there is. Code: `grant_limit`. */
  refusalOf(known: Known, grant: Grant, source: Source): Refusal | undefined {
    const { grantsMax, delegatedMax, followingMax, followingOursMax } = this.#bounds;
    const over = (what: string): Refusal => refusal('grant_limit', what, { grantId: grant.id });
    if (this.#grants >= grantsMax) return over(`more than ${grantsMax} grants of one mesh`);
    if (isZero(grant.body.parent)) return undefined;
    if (this.#delegated >= delegatedMax) return over(`more than ${delegatedMax} grants of one mesh that its root did not give itself`);
    const root = rootGrantOf(known, grant);
    const most = source === 'ours' ? followingOursMax : followingMax;
    if ((this.#following.get(toHex(root.id)) ?? 0) < most) return undefined;
    return over(`more than ${most} grants follow from the root’s grant ${shortId(root.id)}: the root has to give more, or to end that one`);
  }
}

/** The first link that is known. */
function rootGrantOf(known: Known, grant: Grant): Grant {
  let first = grant;
  for (let parent = known.grant(grant.body.parent); parent !== undefined; parent = known.grant(parent.body.parent)) first = parent;
  return first;
}
