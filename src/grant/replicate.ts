import { equalBytes } from '../core/bytes.ts';
import { type KeyRange, prefixRange, successorKey } from '../core/key.ts';
import { areEqual, everything, intersection, isEverything, membersScope, scopeOf, scopeText, type Scope } from '../core/scope.ts';
import { checked, gives, isAt, standing, type Answer, type Check } from './authorise.ts';
import { chainTo, type Chain } from './chain.ts';
import { type Holdings } from './holdings.ts';
import { refusal, type Known, type Refusal } from './known.ts';
import { type Grant } from './grant.ts';
import { type Pattern } from './pattern.ts';

/** Which keys a chain lets its holder replicate: those that every link names, and the records of members. Each pattern of a grant to replicate has a literal prefix (T6). */
export function scopeOfChain(chain: Chain): Scope {
  const before = scopes.get(chain);
  if (before !== undefined) return before;
  const scope = scopeOfLinks(chain);
  scopes.set(chain, scope);
  return scope;
}

/** A chain that is held (`HeldGrants`) is asked of for as long as it stands. */
const scopes = new WeakMap<Chain, Scope>();

function scopeOfLinks(chain: Chain): Scope {
  const named = chain.map(({ body }) => scopeOf(body.patterns.flatMap(rangesOf))).reduce(intersection, everything);
  return isEverything(named) ? everything : scopeOf([...named, ...membersScope]);
}

/** The keys that begin with its prefix, and the one that ends before the last slash of that. */
function rangesOf({ literalPrefix: prefix }: Pattern): KeyRange[] {
  if (prefix === undefined) return [];
  const name = prefix.subarray(0, -1);
  return name.length === 0 ? [prefixRange(prefix)] : [prefixRange(prefix), { start: name, end: successorKey(name) }];
}

/**
 * Whether a cluster that has proved this key may send and be sent the keys of its scope (`scopeOfChain`), by this grant, at a time (ms since the epoch). Codes: `grant_unknown`,
 * `root_unknown`, those for which a grant is refused, `grant_revoked`, `bad_signature` where another key holds it, `right_denied`, `grant_time`.
 */
export function mayReplicate(known: Known, leafId: Uint8Array, holder: Uint8Array, atMs: number): Answer {
  const answer = standing(known, leafId);
  if (answer.kind === 'refused') return answer;
  const leaf = answer.chain.at(-1);
  if (leaf === undefined || !equalBytes(leaf.body.audience, holder)) {
    const where = { link: answer.chain.length - 1, grantId: leafId };
    return { kind: 'refused', refusal: refusal('bad_signature', 'another key holds it', where) };
  }
  return checked(answer.chain, checksAt(atMs));
}

/**
 * Why nobody may replicate by a leaf whose last links, up from it, are these, whatever they follow from. A link that holds all that is asked for below one that does not is wider than that.
 * Codes: `right_denied`, `grant_time`, `grant_wider`.
 */
export function replicateFault([leaf, ...above]: readonly Grant[], atMs: number): Refusal | undefined {
  const faultOf = (grant: Grant): Refusal | undefined => {
    const answer = checked([grant], checksAt(atMs));
    return answer.kind === 'refused' ? { ...answer.refusal, link: undefined } : undefined;
  };
  const fault = leaf && faultOf(leaf);
  if (fault !== undefined) return fault;
  const [lacking] = above.flatMap((grant) => faultOf(grant) ?? []);
  return lacking && { ...lacking, code: 'grant_wider', message: `a grant above ${lacking.message}` };
}

function checksAt(atMs: number): readonly Check[] {
  return [gives('replicate'), isAt(atMs)];
}

export interface LeafTerms {
  /** Ids of grants that are left out. */
  readonly tried?: readonly Uint8Array[];
  /** Just these keys it is to give; left out: whatever. */
  readonly scope?: Scope;
}

/** By which grant the holder of a key may: of several, the one whose turn it is. Else the refusal of one that got as far as any; `scope_mismatch` where it gives other keys than are asked for. */
export function replicatingLeaf(known: Known & Holdings, holder: Uint8Array, atMs: number, { tried = [], scope }: LeafTerms = {}): Answer {
  const isTried = (grant: Grant | undefined): boolean => tried.some((each) => grant !== undefined && equalBytes(each, grant.id));
  const { chains, ended } = known.heldBy(holder);
  const turns = new Turns(tried.map((id) => knownChain(known, id)).filter((chain) => chain !== undefined));
  const checks = checksAt(atMs);
  const end = ended.findLast((grant) => !isTried(grant));
  let best: Answer =
    end === undefined
      ? { kind: 'refused', refusal: refusal('grant_unknown', 'its key holds no grant that is known here') }
      : standing(known, end.id);
  for (const chain of chains) {
    if (isTried(chain.at(-1))) continue;
    const answer = checked(chain, checks);
    if (!isBetter(answer, best, turns)) continue; // whatever its scope
    const within = onScope(answer, scope);
    if (isBetter(within, best, turns)) best = within;
  }
  return best;
}

function onScope(answer: Answer, scope: Scope | undefined): Answer {
  if (answer.kind === 'refused' || scope === undefined) return answer;
  const given = scopeOfChain(answer.chain);
  if (areEqual(given, scope)) return answer;
  const [gives, holds] = [given, scope].map((each) => scopeText(each).join(' '));
  const why = `it is for ${gives}, and the store for ${holds}, which is fixed when a store is first started with such a grant: start again where that came later, else with an empty store`;
  return { kind: 'refused', refusal: refusal('scope_mismatch', why, { grantId: answer.chain.at(-1)?.id ?? new Uint8Array(0) }) };
}

/** The chain down to a grant, where all its links are known. */
export function knownChain(known: Known, id: Uint8Array): Chain | undefined {
  const leaf = known.grant(id);
  const chain = leaf && chainTo(known, leaf);
  return chain === undefined || 'code' in chain ? undefined : chain;
}

const order: readonly Refusal['code'][] = ['grant_unknown', 'grant_revoked', 'right_denied', 'grant_time', 'scope_mismatch'];

function isBetter(answer: Answer, than: Answer, turns: Turns): boolean {
  if (answer.kind === 'allowed') return than.kind === 'refused' || turns.compare(answer.chain, than.chain) < 0;
  return than.kind === 'refused' && order.indexOf(answer.refusal.code) >= order.indexOf(than.refusal.code);
}

/** In which order chains of one key, as one `Known` tells them, are shown: what follows from one grant takes turns with what follows from others, however much of it there is. */
export class Turns {
  readonly #shown = new Map<Grant, number>();

  constructor(shown: readonly Chain[]) {
    for (const chain of shown) this.note(chain);
  }

  note(chain: Chain): void {
    for (const link of chain) this.#shown.set(link, this.#shownOf(link) + 1);
  }

  /**
   * First those of which no link was shown as often as one of the others; then those with the fewest links, and of these the latest: what a delegate gives, and may end, comes behind
   * what those above it gave.
   */
  compare(a: Chain, b: Chain): number {
    return this.#most(a) - this.#most(b) || a.length - b.length || beginOf(b) - beginOf(a);
  }

  #most(chain: Chain): number {
    return Math.max(...chain.map((link) => this.#shownOf(link)));
  }

  #shownOf(link: Grant): number {
    return this.#shown.get(link) ?? 0;
  }
}

function beginOf(chain: Chain): number {
  return chain.at(-1)?.body.notBeforeMs ?? 0;
}
