import { equalBytes, toHex } from '../core/bytes.ts';
import { assert, GkvError } from '../core/errors.ts';
import { type Clock, type Random } from '../core/ports.ts';
import { everything, type Scope } from '../core/scope.ts';
import { uuidText } from '../core/uuid.ts';
import { type Signatures, type SigningKey } from '../crypto/ed25519.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type AnyRecord } from '../grant/anyRecord.ts';
import { type Answer } from '../grant/authorise.ts';
import { type Chain } from '../grant/chain.ts';
import { isFinal, type Refusal } from '../grant/known.ts';
import { type Ledger } from '../grant/ledger.ts';
import { knownChain, mayReplicate, replicateFault, replicatingLeaf, scopeOfChain } from '../grant/replicate.ts';
import { type Credentials, type Party } from './handshake.ts';
import { ownAdvice } from './joinAdvice.ts';
import { type MemberKeys } from './memberKeys.ts';
import { type OwnCluster } from './ports.ts';
import { type SessionTerms } from './session.ts';
import { divided, shownRecords, unknownOf } from './shownRecords.ts';

export interface ProverDeps {
  readonly own: OwnCluster;
  readonly digests: MeshDigests;
  readonly ledger: Pick<Ledger, 'known' | 'number' | 'refresh' | 'takeAll'>;
  /** Our cluster's key. */
  readonly signer: SigningKey;
  readonly signatures: Signatures;
  /** What our store is for; left out: everything. */
  readonly scope?: Scope;
  readonly memberKeys: Pick<MemberKeys, 'check'>;
  readonly clock: Pick<Clock, 'now' | 'monotonic'>;
  readonly random: Pick<Random, 'bytes'>;
}

type Holder = Omit<Credentials, 'agreement'>;
type Peer = Party & Holder;

/** By which grant a peer may, and which keys it may hold by that. */
export interface Admitted {
  readonly leaf: Uint8Array;
  readonly scope: Scope;
}

/** What a cluster of a granted mesh shows of itself, and asks of others, before anything goes between them: a key, and that it may replicate. */
export class Prover {
  readonly deps: ProverDeps;
  /** What was shown last, by which grant, and as of which number of the ledger: whoever opens a session is shown it. */
  #shown: { readonly number: number; readonly leaf: Uint8Array; readonly records: readonly Uint8Array[] } | undefined;

  constructor(deps: ProverDeps) {
    this.deps = deps;
  }

  /** Our key and a grant for what our store holds, none of those that were `tried`, and what shows that they stand. Errors: the codes of `mayReplicate`; `scope_mismatch`. */
  async credentials(tried: readonly Uint8Array[] = []): Promise<Holder & { readonly records: readonly Uint8Array[] }> {
    const { ledger, signer, clock } = this.deps;
    await ledger.refresh();
    const answer = replicatingLeaf(ledger.known, signer.publicKey, clock.now(), { tried, scope: this.scope });
    if (answer.kind === 'refused') throw this.#ours(answer.refusal);
    return { key: signer.publicKey, leaf: leafOf(answer.chain), records: this.#recordsFor(answer.chain) };
  }

  #recordsFor(chain: Chain): readonly Uint8Array[] {
    const { ledger, signer } = this.deps;
    const { number } = ledger;
    const leaf = leafOf(chain);
    const before = this.#shown;
    if (before?.number === number && equalBytes(before.leaf, leaf)) return before.records;
    const records = shownRecords(ledger.known, chain, signer.publicKey);
    this.#shown = { number, leaf, records };
    return records;
  }

  /** What our store is for. */
  get scope(): Scope {
    return this.deps.scope ?? everything;
  }

  sign(message: Uint8Array): Uint8Array {
    return this.deps.signer.sign(message);
  }

  /** Errors: `bad_public_key`, `bad_signature`. */
  async verify({ clusterId, key }: Peer, message: Uint8Array, signature: Uint8Array): Promise<void> {
    const { signatures } = this.deps;
    if (!signatures.isKey(key)) throw new GkvError('bad_public_key', `${named(clusterId)} shows ${toHex(key)}, which is no key`);
    if (!(await signatures.verify(key, message, signature)))
      throw new GkvError('bad_signature', `${named(clusterId)} does not prove that it has key ${toHex(key)}`);
  }

  /**
   * Takes in what a peer, whose key is proved, shows of its authority, where that is not known here: before the verdict no more than that takes. Resolves with the grant by which it may, that which it
   * names or, where that has ended, another that is known here and gives the same keys; and with those. Errors: the codes of `mayReplicate`; `peer_protocol` for what is no record; `too_large`;
   * `peer_unproven` where the cluster id is another key's.
   */
  async admit(peer: Peer, records: readonly Uint8Array[]): Promise<Admitted> {
    const { ledger, clock } = this.deps;
    await ledger.refresh();
    const before = this.#judgeKey(peer);
    if (before.kind === 'refused' && isFinal(before.refusal)) throw this.#theirs(peer, before.refusal);
    const { roots, links, more } = divided(unknownOf(ledger.known, records), peer.leaf);
    const fault = replicateFault(
      links.map(({ record }) => record),
      clock.now(),
    );
    if (fault !== undefined) throw this.#theirs(peer, fault);
    const [refused] = await this.#take([...roots, ...links]);
    const after = this.#judgeKey(peer);
    if (after.kind === 'refused')
      throw this.#theirs(peer, after.refusal.code === 'grant_unknown' && refused !== undefined ? refused.refusal : after.refusal);
    await this.#checkKey(peer);
    await this.#take(more);
    return { leaf: leafOf(after.chain), scope: scopeOfChain(after.chain) };
  }

  /** That both may replicate now, by all that is known here. Errors: the codes of `mayReplicate`; `peer_unproven` as of `admit`. */
  async confirm({ peer, ownLeaf }: SessionTerms): Promise<void> {
    const { ledger, signer, clock } = this.deps;
    await ledger.refresh();
    const theirs = this.#judge(peer);
    if (theirs.kind === 'refused') throw this.#theirs(peer, theirs.refusal);
    const ours = mayReplicate(ledger.known, ownLeaf, signer.publicKey, clock.now());
    if (ours.kind === 'refused') throw this.#ours(ours.refusal);
    await this.#checkKey(peer);
  }

  async #take(records: readonly AnyRecord[]): ReturnType<Ledger['takeAll']> {
    return records.length === 0 ? [] : this.deps.ledger.takeAll(records);
  }

  #checkKey(peer: Peer): Promise<void> {
    const { ledger, clock, memberKeys } = this.deps;
    return memberKeys.check(peer, (key) => replicatingLeaf(ledger.known, key, clock.now()).kind === 'allowed');
  }

  #judge({ leaf, key }: Holder): Answer {
    const { ledger, clock } = this.deps;
    return mayReplicate(ledger.known, leaf, key, clock.now());
  }

  #judgeKey(peer: Holder): Answer {
    const { ledger, clock } = this.deps;
    const named = this.#judge(peer);
    if (named.kind === 'allowed' || named.refusal.code !== 'grant_revoked') return named;
    const chain = knownChain(ledger.known, peer.leaf);
    if (chain === undefined) return named;
    const other = replicatingLeaf(ledger.known, peer.key, clock.now(), { tried: [peer.leaf], scope: scopeOfChain(chain) });
    return other.kind === 'allowed' ? other : named;
  }

  #theirs({ clusterId }: Party, why: Refusal): GkvError {
    return mayNot(named(clusterId), why);
  }

  #ours(why: Refusal): GkvError {
    return mayNot(`by its own word, ${named(this.deps.own.clusterId)}`, why, ownAdvice(why.code));
  }
}

function leafOf(chain: Chain): Uint8Array {
  const leaf = chain.at(-1);
  assert(leaf !== undefined, 'a chain has a link');
  return leaf.id;
}

function named(clusterId: Uint8Array): string {
  return `cluster ${uuidText(clusterId)}`;
}

function mayNot(who: string, { code, message, link, grantId, endedBy }: Refusal, advice?: string): GkvError {
  const details = {
    link: link ?? null,
    grant: grantId === undefined ? null : toHex(grantId),
    endedBy: endedBy === undefined ? null : toHex(endedBy),
  };
  const where = grantId === undefined ? '' : ` (grant ${toHex(grantId)})`;
  const what = advice === undefined ? '' : `; ${advice}`;
  return new GkvError(code, `${who} may not replicate: ${message}${where}${what}`, { details });
}
