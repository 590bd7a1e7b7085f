import { equalBytes, toHex, toLatin1 } from '../core/bytes.ts';
import { assert, GkvError } from '../core/errors.ts';
import { type Entry } from '../core/entry.ts';
import { type Key } from '../core/key.ts';
import { isEverything, isInScope, scopeText, type Scope } from '../core/scope.ts';
import { physicalMsOf } from '../core/stamp.ts';
import { parseGrantId, type GrantId, type Write, type WriteId } from '../core/write.ts';
import { type Signatures, type SigningKey } from '../crypto/ed25519.ts';
import { answered, checked, checksOf, standing } from '../grant/authorise.ts';
import { type Chain } from '../grant/chain.ts';
import { type Grant } from '../grant/grant.ts';
import { type Held } from '../grant/holdings.ts';
import { type Ledger } from '../grant/ledger.ts';
import { isFinal, refusal, type Refusal } from '../grant/known.ts';
import { grantLimits } from '../grant/limits.ts';
import { hasRight, type Right } from '../grant/rights.ts';
import { shapeOf, signWrites } from '../grant/signatureBlock.ts';
import { WriteSignatures } from '../grant/writeSignatures.ts';
import { type Snapshot } from '../store/store.ts';
import { type Proof, type ReceivedWrite } from './proposal.ts';

/** Bodies of writes that are made here, before they are signed. */
type Unsigned = Pick<Write, 'key' | 'tombstone' | 'version'>;

type Unproven = Pick<ReceivedWrite, 'write' | 'id'>;

/** The grants from the root's to a leaf, and why they do not stand; undefined: they do. */
export interface LeafChain {
  readonly links: readonly Grant[];
  readonly refusal: Refusal | undefined;
}

/** Of what our key holds, the chains that may allow a write, and the last grant that might have, had it not ended. */
interface Asked {
  readonly asked: readonly Chain[];
  readonly end: Grant | undefined;
}

interface Own extends Held {
  readonly number: number;
  readonly byRight: Map<Right, Asked>;
}

/** What a granted store asks of every write, and what it signs its own with. */
export class Guard {
  readonly #ledger: Ledger;
  readonly #signer: SigningKey | undefined;
  readonly #signatures: WriteSignatures;
  /** What the store is for; undefined: everything. */
  #scope: Scope | undefined;
  /** What our key holds, as of the ledger's number; the chains that are nearer to the root first. */
  #own: Own = { number: -1, byRight: new Map(), chains: [], ended: [] };

  /**
   * The chains that stand, by leaf, and undefined for those that do not, as of the ledger's number: reads ask of every candidate that they see, and so does who takes
   * writes in. No refusals: what they name are views of whole frames.
   */
  #standing: { readonly number: number; readonly byLeaf: Map<string, Chain | undefined> } = { number: -1, byLeaf: new Map() };

  /** Without a `signer` nothing can be written here, only taken in. */
  constructor(ledger: Ledger, signatures: Signatures, signer: SigningKey | undefined) {
    this.#ledger = ledger;
    this.#signer = signer;
    this.#signatures = new WriteSignatures(ledger.known.meshId, signatures);
  }

  /** From now on nothing is made or taken in here but keys of the scope. */
  confine(scope: Scope): void {
    this.#scope = isEverything(scope) ? undefined : scope;
  }

  /** Who must have signed what rests on a grant; undefined: the grant is not known here. */
  signerOf(leaf: GrantId): Uint8Array | undefined {
    return this.#ledger.known.grant(leaf)?.body.audience;
  }

  /** Within the transaction that what is judged afterwards is committed by. */
  catchUp(snapshot: Snapshot): Promise<void> {
    return this.#ledger.catchUp(snapshot);
  }

  /** Reads what others have added to the store. */
  refresh(): Promise<void> {
    return this.#ledger.refresh();
  }

  /** The last record that may have ended a grant. */
  get lastEnding(): number {
    return this.#ledger.lastEnding;
  }

  /** Beside the event loop, and before the transaction: one check serves a batch that was signed together. One proof for each, in order. */
  async prove(writes: readonly Unproven[]): Promise<Proof[]> {
    const found: (Proof | Promise<boolean>)[] = [];
    try {
      for (const write of writes) found.push(this.#look(write));
    } catch (error) {
      await Promise.allSettled(underWay(found)); // nobody else waits for those that were begun
      throw error;
    }
    const checks = [...new Set(underWay(found))];
    const held = new Map((await Promise.all(checks)).map((isHeld, i) => [checks[i], isHeld]));
    return found.map((look) => (look instanceof Promise ? proofOf(held.get(look) === true) : look));
  }

  #look({ write, id }: Unproven): Proof | Promise<boolean> {
    const leaf = this.#ledger.known.grant(write.leaf);
    if (leaf === undefined) return 'grant unknown';
    if (shapeOf(write.signature) === undefined) return 'false';
    const isHeld = this.#signatures.hold(leaf.body.audience, id, write.signature);
    return typeof isHeld === 'boolean' ? proofOf(isHeld) : isHeld;
  }

  /** Why a write may not be taken in, by what is known now; undefined: it may. */
  refusalOf({ write }: Pick<ReceivedWrite, 'write'>, proof: Proof): Refusal | undefined {
    if (this.#scope !== undefined && !isInScope(write.key, this.#scope)) return outOfScope(this.#scope);
    const chain = this.#standingChain(write.leaf);
    const answer = answered(chain === undefined ? standing(this.#ledger.known, write.leaf) : { kind: 'allowed', chain }, questionOf(write));
    if (answer.kind === 'refused') return answer.refusal;
    const where = { link: answer.chain.length - 1, grantId: write.leaf };
    switch (proof) {
      case 'held':
        return undefined;
      case 'false':
        return refusal('bad_signature', 'its signature is none of who holds the grant', where);
      case 'grant unknown':
        return refusal('grant_unknown', 'its signature was looked at before the grant was known', where);
    }
  }

  /**
   * The grant under which our own key may make this write. Of several refusals, one by the last check that any came to; where some of our grants give the
   * right, of these.
   */
  leafFor(write: Unsigned): { readonly kind: 'leaf'; readonly leaf: GrantId } | { readonly kind: 'refused'; readonly refusal: Refusal } {
    if (this.#scope !== undefined && !isInScope(write.key, this.#scope)) return { kind: 'refused', refusal: outOfScope(this.#scope) };
    const question = questionOf(write);
    const { asked, end } = this.#askedFor(question.right);
    let last = this.#whyEnded(end) ?? refusal('grant_unknown', 'this cluster’s key holds no grant that is known here');
    const asks = checksOf(question);
    for (const chain of asked) {
      const answer = checked(chain, asks);
      if (answer.kind === 'allowed') return { kind: 'leaf', leaf: parseGrantId(leafOf(chain).id) };
      if (checks.indexOf(answer.refusal.code) >= checks.indexOf(last.code)) last = answer.refusal;
    }
    return { kind: 'refused', refusal: last };
  }

  /** Once for all writes, and not all: a delegate may have given our key some thousands. */
  #askedFor(right: Right): Asked {
    const { chains, ended, byRight } = this.#ownHeld();
    const before = byRight.get(right);
    if (before !== undefined) return before;
    const givesIt = ({ body }: Grant): boolean => hasRight(body.rights, right);
    const giving = chains.filter((chain) => givesIt(leafOf(chain)));
    const isGiven = giving.length > 0 || ended.some(givesIt);
    const { asked, end } = isGiven ? { asked: giving, end: ended.findLast(givesIt) } : { asked: chains, end: ended.at(-1) };
    const found = { asked: asked.slice(0, grantLimits.ownAskedMax), end };
    byRight.set(right, found);
    return found;
  }

  #whyEnded(grant: Grant | undefined): Refusal | undefined {
    const answer = grant && standing(this.#ledger.known, grant.id);
    return answer?.kind === 'refused' ? answer.refusal : undefined;
  }

  /** Signature blocks of writes that were made here, in as few batches as there can be. */
  sign(ids: readonly WriteId[]): Uint8Array[] {
    const blocks: Uint8Array[] = [];
    for (let at = 0; at < ids.length; at += batchMax) {
      assert(this.#signer !== undefined, 'what cannot be signed is not made');
      blocks.push(...signWrites(this.#ledger.known.meshId, ids.slice(at, at + batchMax), this.#signer));
    }
    return blocks;
  }

  /** What our own key holds, in the order in which it is asked. */
  #ownHeld(): Own {
    const { number, known } = this.#ledger;
    const own = this.#signer?.publicKey;
    if (this.#own.number !== number && own !== undefined) {
      const { chains, ended } = known.heldBy(own);
      this.#own = { number, byRight: new Map(), chains: inTurn(chains), ended };
    }
    return this.#own;
  }

  /** From a grant to the root's, so far as they are known. */
  *#upwards(leaf: Uint8Array): Generator<Grant> {
    for (let at = this.#ledger.known.grant(leaf); at !== undefined; at = this.#ledger.known.grant(at.body.parent)) yield at;
  }

  /** Whether all links of the one chain are links of the other: a grant has one parent, for good, so that the leaf of the one is among them. */
  covers(over: GrantId, under: GrantId): boolean {
    if (equalBytes(over, under)) return true;
    for (const { id } of this.#upwards(under)) if (equalBytes(id, over)) return true;
    return false;
  }

  linksOf(leaf: GrantId): string[] {
    return [...this.#upwards(leaf)].map(({ id }) => toLatin1(id)).reverse();
  }

  /** What a grant rests on, as far as it is known, and why that does not stand. */
  chainOf(leaf: GrantId): LeafChain {
    const { known } = this.#ledger;
    const answer = standing(known, leaf);
    if (answer.kind === 'allowed') return { links: answer.chain, refusal: undefined };
    const links: Grant[] = [];
    for (let at = known.grant(leaf); at !== undefined; at = known.grant(at.body.parent)) links.unshift(at);
    return { links, refusal: answer.refusal };
  }

  /** Whether the chain of a grant does not stand, and never will again. One that is not known yet may. */
  hasEnded(leaf: GrantId): boolean {
    if (this.stands(leaf)) return false;
    const answer = standing(this.#ledger.known, leaf);
    return answer.kind === 'refused' && isFinal(answer.refusal);
  }

  /** Whether the chain of a grant stands: what was written under another is not seen. */
  stands(leaf: GrantId): boolean {
    return this.#standingChain(leaf) !== undefined;
  }

  #standingChain(leaf: GrantId): Chain | undefined {
    const { number, known } = this.#ledger;
    if (this.#standing.number !== number || this.#standing.byLeaf.size >= grantLimits.recordsMax)
      this.#standing = { number, byLeaf: new Map() };
    const { byLeaf } = this.#standing;
    const name = toLatin1(leaf);
    const before = byLeaf.get(name);
    if (before !== undefined || byLeaf.has(name)) return before;
    const answer = standing(known, leaf);
    const chain = answer.kind === 'allowed' ? answer.chain : undefined;
    byLeaf.set(name, chain);
    return chain;
  }
}

/**
 * The nearer to the root first: what a delegate gives us, and may take away again, is of use only where nobody above gave as much. Of those that are as near, what rests on each of the
 * root's grants in turn, the oldest first: who gives us thousands stands in nobody else's way.
 */
function inTurn(chains: readonly Chain[]): Chain[] {
  const given = new Map<Grant | undefined, number>();
  const turns = new Map<Chain, number>();
  for (const chain of chains) {
    const turn = given.get(chain[0]) ?? 0;
    turns.set(chain, turn);
    given.set(chain[0], turn + 1);
  }
  const turnOf = (chain: Chain): number => turns.get(chain) ?? 0;
  return chains.toSorted((a, b) => a.length - b.length || turnOf(a) - turnOf(b));
}

function leafOf(chain: Chain): Grant {
  const leaf = chain.at(-1);
  assert(leaf !== undefined, 'a chain has a link');
  return leaf;
}

function underWay(found: readonly (Proof | Promise<boolean>)[]): Promise<boolean>[] {
  return found.filter((look) => look instanceof Promise);
}

function proofOf(isHeld: boolean): Proof {
  return isHeld ? 'held' : 'false';
}

function outOfScope(scope: Scope): Refusal {
  return refusal('key_denied', `this cluster is for ${scopeText(scope).join(' ')} alone: write it in a region that holds the key`);
}

/** Without what lost its authority and was not taken away yet. */
export function standingOf(entry: Entry | undefined, guard: Guard | undefined): Entry | undefined {
  return guard === undefined ? entry : entry?.filter(({ leaf }) => guard.stands(leaf));
}

/** Writes under one signature. */
const batchMax = 1 << grantLimits.pathMax;

/** In this order. */
const checks: readonly Refusal['code'][] = ['grant_unknown', 'grant_revoked', 'right_denied', 'key_denied', 'grant_time'];

function questionOf({ key, tombstone, version }: Unsigned): { right: Right; key: Key; atMs: number } {
  return { right: tombstone ? 'delete' : 'write', key, atMs: physicalMsOf(version) };
}

/** What a caller is told: the check, the link, its grant, and what ended that. */
export function refusalError({ code, message, link, grantId, endedBy }: Refusal, index: number): GkvError {
  const details = {
    index,
    link: link ?? null,
    grant: grantId === undefined ? null : toHex(grantId),
    endedBy: endedBy === undefined ? null : toHex(endedBy),
  };
  const subject = details.grant === null ? '' : `grant ${details.grant}: `;
  return new GkvError(code, `operation ${index}: ${subject}${message}`, { details });
}
