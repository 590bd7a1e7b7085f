import { equalBytes, toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { type Signatures } from '../crypto/ed25519.ts';
import { chainTo, linkFault, mayRevoke, meetsThreshold, unknownGrant } from './chain.ts';
import { grantLayout, isZero, type Grant } from './grant.ts';
import { HeldGrants, type Held, type Holdings } from './holdings.ts';
import { refusal, type Known, type Refusal, type RefusalCode } from './known.ts';
import { grantLimits } from './limits.ts';
import { revocationLayout, type Revocation } from './revocation.ts';
import { rootLayout, type RootDocument } from './root.ts';
import { Roots } from './roots.ts';
import { keysOfGrant, keysOfRevocation, keysOfRoot, recordFault } from './verify.ts';

/** Final for the body of a grant, whatever its signatures. */
const forGood: readonly RefusalCode[] = ['chain_too_long', 'issuer_mismatch', 'not_delegable', 'grant_wider'];

/**
 * What one process knows of a mesh's authority, in memory. It only grows, and what it comes to does not depend on the order: whatever is refused as
 * `grant_unknown`, `root_unknown` or `threshold` is to be brought again when more is known.
 */
export class Authority implements Known, Holdings {
  readonly meshId: Uint8Array;
  readonly #signatures: Signatures;
  readonly #roots: Roots;
  readonly #grants = new Map<string, Grant>();
  readonly #revocations = new Map<string, Revocation[]>();
  /** The latest, in the order in which they came. */
  readonly #refused = new Map<string, Refusal>();
  #records = 0;
  #endings = 0;
  /** Made when it is asked for. */
  #listed: readonly Grant[] | undefined;
  readonly #held = new HeldGrants(this);

  constructor(meshId: Uint8Array, signatures: Signatures) {
    this.meshId = meshId;
    this.#signatures = signatures;
    this.#roots = new Roots(meshId);
  }

  /** Another that knows the same, and grows by itself. */
  copy(): Authority {
    const copy = new Authority(this.meshId, this.#signatures);
    this.#roots.copyTo(copy.#roots);
    for (const [name, grant] of this.#grants) copy.#grants.set(name, grant);
    for (const [name, revocations] of this.#revocations) copy.#revocations.set(name, revocations);
    for (const [name, refusal] of this.#refused) copy.#refused.set(name, refusal);
    copy.#records = this.#records;
    copy.#endings = this.#endings;
    return copy;
  }

  /** What a copy has refused for good is refused here too. */
  rememberRefused(copy: Authority): void {
    for (const [name, why] of copy.#refused) if (!this.#refused.has(name)) this.#remember(name, why);
  }

  grant(id: Uint8Array): Grant | undefined {
    return this.#grants.get(toHex(id));
  }

  refused(id: Uint8Array): Refusal | undefined {
    return this.#refused.get(toHex(id));
  }

  rootsOf(version: number): readonly RootDocument[] {
    return this.#roots.of(version);
  }

  rootsAfter(version: number): readonly RootDocument[] {
    return this.#roots.after(version);
  }

  revocationsOf(grantId: Uint8Array): readonly Revocation[] {
    return this.#revocations.get(toHex(grantId)) ?? [];
  }

  /** In the order in which they came. */
  grants(): readonly Grant[] {
    return (this.#listed ??= [...this.#grants.values()]);
  }

  heldBy(holder: Uint8Array): Held {
    return this.#held.heldBy(holder);
  }

  /** How many records were taken in that may have ended a grant. */
  get endings(): number {
    return this.#endings;
  }

  /** Codes: `bad_public_key`, `grant_signature`, `root_unknown`, `threshold`. */
  async takeRoot(document: RootDocument): Promise<Refusal | undefined> {
    const fault = await recordFault(rootLayout, this.#scope(), document, keysOfRoot(document.body));
    const refused = fault ?? this.#roots.add(document);
    if (refused === undefined) this.#endings += 1;
    return refused;
  }

  /** Codes: `grant_unknown`, `root_unknown`, `chain_too_long`, `bad_public_key`, `grant_signature`, and those of `linkFault`, in this order. */
  async takeGrant(grant: Grant): Promise<Refusal | undefined> {
    const whole = chainTo(this, grant);
    if ('code' in whole) return this.#refuse(grant, whole);
    const fault = await recordFault(grantLayout, this.#scope(), grant, keysOfGrant(grant.body));
    if (fault !== undefined) return fault;
    if (this.grant(grant.id) !== undefined) return undefined; // the signatures that it was taken in with are enough
    const signed = this.#ofRootKeys(grant);
    const wrong = linkFault(this, [...whole.slice(0, -1), signed]);
    if (wrong !== undefined) return this.#refuse(grant, wrong);
    this.#count();
    this.#grants.set(toHex(grant.id), signed);
    this.#listed = undefined;
    return undefined;
  }

  /**
   * Codes: `grant_unknown` where the grant is, `root_unknown`, `bad_public_key`, `grant_signature`, `threshold`; `issuer_mismatch` where the
   * signer has no say over the grant.
   */
  async takeRevocation(revocation: Revocation): Promise<Refusal | undefined> {
    const { body } = revocation;
    const fault = await recordFault(revocationLayout, this.#scope(), revocation, keysOfRevocation(body));
    const refused = fault ?? this.#revocationFault(revocation);
    if (refused !== undefined) return refused;
    const before = this.revocationsOf(body.target);
    if (before.length > 0) return undefined; // one that counts is enough
    this.#count();
    this.#endings += 1;
    this.#revocations.set(toHex(body.target), [revocation]);
    return undefined;
  }

  #revocationFault(revocation: Revocation): Refusal | undefined {
    const { target, signer, rootVersion } = revocation.body;
    if (isZero(signer)) {
      const documents = this.rootsOf(rootVersion);
      if (documents.length === 0) return refusal('root_unknown', `root document ${rootVersion} is not known`);
      if (!documents.some((document) => meetsThreshold(document, revocation.signatures))) {
        return refusal('threshold', `a revocation that not enough keys of root document ${rootVersion} have signed`, { grantId: target });
      }
    }
    const grant = this.grant(target);
    if (grant === undefined) return this.refused(target) ?? unknownGrant(target);
    const chain = chainTo(this, grant);
    if ('code' in chain) return chain;
    if (mayRevoke(this, chain, revocation)) return undefined;
    return refusal('issuer_mismatch', 'its signer neither holds the grant nor gave it, or one before it', { grantId: target });
  }

  /** One of the root's without the signatures of others. */
  #ofRootKeys(grant: Grant): Grant {
    const { body, signatures } = grant;
    if (!isZero(body.parent)) return grant;
    const keys = this.rootsOf(body.rootVersion).flatMap((document) => document.body.keys);
    return { ...grant, signatures: signatures.filter((signature) => keys.some((key) => equalBytes(key, signature.key))) };
  }

  #refuse({ id }: Grant, why: Refusal): Refusal {
    if (!forGood.includes(why.code)) return why;
    this.#remember(toHex(id), why);
    return why;
  }

  #remember(name: string, why: Refusal): void {
    this.#refused.set(name, why);
    const [oldest] = this.#refused.keys();
    if (this.#refused.size > grantLimits.refusedRememberedMax && oldest !== undefined) this.#refused.delete(oldest);
  }

  #count(): void {
    if (this.#records === grantLimits.recordsMax) {
      throw new GkvError('too_large', `more than ${grantLimits.recordsMax} grants and revocations: the rest would not fit`);
    }
    this.#records += 1;
  }

  #scope(): { meshId: Uint8Array; signatures: Signatures } {
    return { meshId: this.meshId, signatures: this.#signatures };
  }
}
