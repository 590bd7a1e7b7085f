import { toHex } from '../core/bytes.ts';
import { endsAtLast, type Chain } from './chain.ts';
import { isZero, type Grant } from './grant.ts';
import { type Known } from './known.ts';

/** What a key holds, in the order in which it came. Grows, and is another once something has ended. */
export interface Held {
  /** The chains that stand, to each of its grants. */
  readonly chains: readonly Chain[];
  /** The grants whose chains do not. */
  readonly ended: readonly Grant[];
}

/** Tells what a key holds. */
export interface Holdings {
  heldBy(holder: Uint8Array): Held;
}

interface Source extends Known {
  /** In the order in which they came; none goes. */
  grants(): readonly Grant[];
  /** How many records are known that may have ended a grant. */
  readonly endings: number;
}

/**
 * Grants by who holds them, with their chains: a delegate may give some thousands to a key that is not its own, and whoever opens a session makes that region look at them.
 * Each is looked at once when it comes, and once more for each record that may have ended it, and links that several share once for all.
 */
export class HeldGrants implements Holdings {
  readonly #known: Source;
  readonly #byHolder = new Map<string, Grant[]>();
  #indexed = 0;
  /** A grant has one parent, for good. */
  readonly #chains = new Map<Grant, Chain>();
  readonly #stands = new Map<Grant, boolean>();
  readonly #held = new Map<string, { looked: number; readonly chains: Chain[]; readonly ended: Grant[] }>();
  #endings = 0;

  constructor(known: Source) {
    this.#known = known;
  }

  heldBy(holder: Uint8Array): Held {
    this.#catchUp();
    const name = toHex(holder);
    const grants = this.#byHolder.get(name);
    if (grants === undefined) return { chains: [], ended: [] };
    const held = this.#held.get(name) ?? { looked: 0, chains: [], ended: [] };
    this.#held.set(name, held);
    for (const grant of grants.slice(held.looked)) {
      if (this.#doesStand(grant)) held.chains.push(this.#chainTo(grant));
      else held.ended.push(grant);
    }
    held.looked = grants.length;
    return held;
  }

  #catchUp(): void {
    const { endings } = this.#known;
    if (endings !== this.#endings) {
      this.#endings = endings;
      this.#stands.clear();
      this.#held.clear();
    }
    const grants = this.#known.grants();
    for (const grant of grants.slice(this.#indexed)) {
      const name = toHex(grant.body.audience);
      const others = this.#byHolder.get(name);
      if (others === undefined) this.#byHolder.set(name, [grant]);
      else others.push(grant);
    }
    this.#indexed = grants.length;
  }

  #doesStand(grant: Grant): boolean {
    const before = this.#stands.get(grant);
    if (before !== undefined) return before;
    const parent = this.#parentOf(grant);
    const stands = (parent === undefined || this.#doesStand(parent)) && !endsAtLast(this.#known, this.#chainTo(grant));
    this.#stands.set(grant, stands);
    return stands;
  }

  #chainTo(grant: Grant): Chain {
    const before = this.#chains.get(grant);
    if (before !== undefined) return before;
    const parent = this.#parentOf(grant);
    const chain = parent === undefined ? [grant] : [...this.#chainTo(parent), grant];
    this.#chains.set(grant, chain);
    return chain;
  }

  /** A grant is known where its chain is. */
  #parentOf({ body: { parent } }: Grant): Grant | undefined {
    return isZero(parent) ? undefined : this.#known.grant(parent);
  }
}
