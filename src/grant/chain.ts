import { equalBytes } from '../core/bytes.ts';
import { assert } from '../core/errors.ts';
import { isZero, type Grant, type GrantBody } from './grant.ts';
import { refusal, shortId, type Known, type Refusal } from './known.ts';
import { grantLimits } from './limits.ts';
import { type Pattern } from './pattern.ts';
import { type Signature } from './record.ts';
import { type Revocation } from './revocation.ts';
import { hasRight, namesOf } from './rights.ts';
import { type RootDocument } from './root.ts';

/** Grants from the root's to the leaf, each given by who holds the one before. */
export type Chain = readonly Grant[];

/** The chain that ends in this grant. Codes: `grant_unknown`, `root_unknown`, `chain_too_long`, and those of refused parents. */
export function chainTo(known: Known, leaf: Grant): Chain | Refusal {
  const links: Grant[] = [leaf];
  for (let first = leaf; !isZero(first.body.parent);) {
    if (links.length === grantLimits.chainLinksMax) {
      return refusal('chain_too_long', `more than ${grantLimits.chainLinksMax} grants between the root and ${shortId(leaf.id)}`, {
        grantId: leaf.id,
      });
    }
    const parent = known.grant(first.body.parent);
    if (parent === undefined) return known.refused(first.body.parent) ?? unknownGrant(first.body.parent);
    links.unshift(parent);
    first = parent;
  }
  const [root] = links;
  assert(root !== undefined, 'a chain has a link');
  if (known.rootsOf(root.body.rootVersion).length > 0) return links;
  return refusal('root_unknown', `root document ${root.body.rootVersion} is not known`, { link: 0, grantId: root.id });
}

export function unknownGrant(id: Uint8Array): Refusal {
  return refusal('grant_unknown', `grant ${shortId(id)} is not known`, { grantId: id });
}

/**
 * What is wrong with the last link as what follows from those before. Codes: `threshold`, `issuer_mismatch`, `not_delegable`,
 * `grant_wider`.
 */
export function linkFault(known: Known, chain: Chain): Refusal | undefined {
  const leaf = chain.at(-1);
  assert(leaf !== undefined, 'a chain has a link');
  const at = { link: chain.length - 1, grantId: leaf.id };
  const parent = chain.at(-2);
  if (parent === undefined) return thresholdFault(known, leaf);
  if (!equalBytes(leaf.body.issuer, parent.body.audience)) {
    return refusal('issuer_mismatch', `its issuer ${shortId(leaf.body.issuer)} does not hold grant ${shortId(parent.id)}`, at);
  }
  if (!hasRight(parent.body.rights, 'delegate')) {
    return refusal('not_delegable', `grant ${shortId(parent.id)} may not be given on`, at);
  }
  const wider = widerThan(parent.body, leaf.body);
  return wider === undefined ? undefined : refusal('grant_wider', `${wider}, wider than grant ${shortId(parent.id)}`, at);
}

function thresholdFault(known: Known, root: Grant): Refusal | undefined {
  const documents = known.rootsOf(root.body.rootVersion);
  const [document] = documents;
  if (document === undefined || documents.some((signing) => meetsThreshold(signing, root.signatures))) return undefined;
  const { threshold, keys } = document.body;
  const signers = signersOf(document, root.signatures);
  const message = `signed by ${signers} of the root keys: ${threshold} of the ${keys.length} must sign`;
  return refusal('threshold', message, { link: 0, grantId: root.id });
}

/** Whether enough of the document's keys have signed. Others do not count. */
export function meetsThreshold(document: RootDocument, signatures: readonly Signature[]): boolean {
  return signersOf(document, signatures) >= document.body.threshold;
}

function signersOf({ body }: RootDocument, signatures: readonly Signature[]): number {
  return body.keys.filter((key) => signatures.some((signature) => equalBytes(signature.key, key))).length;
}

/** In what the child goes beyond its parent. */
function widerThan(parent: GrantBody, child: GrantBody): string | undefined {
  const more = child.rights & ~parent.rights;
  if (more !== 0) return `rights ${namesOf(more).join(', ')}`;
  if (child.depth >= parent.depth) return `depth ${child.depth} under depth ${parent.depth}`;
  if (child.notBeforeMs < parent.notBeforeMs) return 'begins earlier';
  if (child.expiresMs > parent.expiresMs) return 'ends later';
  const beyond = child.patterns.find((pattern) => !parent.patterns.some((outer) => outer.contains(pattern) === 'contained'));
  return beyond === undefined ? undefined : `pattern ${shown(beyond)}`;
}

function shown({ bytes }: Pattern): string {
  return JSON.stringify(Buffer.from(bytes).toString());
}

/** The end of one of the links, `grant_revoked`: by a revocation, or for the first by a root document. Later records may bring it about, and none undoes it. */
export function endOf(known: Known, chain: Chain): Refusal | undefined {
  for (const [link, { id }] of chain.entries()) {
    const by = revocationOf(known, chain.slice(0, link + 1));
    if (by !== undefined) return refusal('grant_revoked', `revoked by ${revokerOf(by)}`, { link, grantId: id, endedBy: by.id });
  }
  const [root] = chain;
  return root === undefined ? undefined : endByRoot(known, root);
}

/** Whether the last link has ended, whatever became of those before it. */
export function endsAtLast(known: Known, chain: Chain): boolean {
  const [root] = chain;
  return revocationOf(known, chain) !== undefined || (chain.length === 1 && root !== undefined && endByRoot(known, root) !== undefined);
}

/** That ends the last link. */
function revocationOf(known: Known, chain: Chain): Revocation | undefined {
  const last = chain.at(-1);
  return last && known.revocationsOf(last.id).find((revocation) => mayRevoke(known, chain, revocation));
}

/** Grants of a version that was forked have no root that all agree on; those of versions before stand where every later document says so. */
function endByRoot(known: Known, { id, body: { rootVersion } }: Grant): Refusal | undefined {
  const ended = (message: string, { id: endedBy }: RootDocument): Refusal =>
    refusal('grant_revoked', message, { link: 0, grantId: id, endedBy });
  const [, fork] = known.rootsOf(rootVersion);
  if (fork !== undefined) return ended(`there are several root documents ${rootVersion}`, fork);
  const dropping = known.rootsAfter(rootVersion).find(({ body }) => !body.carried.some((carried) => equalBytes(carried, id)));
  return dropping === undefined ? undefined : ended(`root document ${dropping.body.version} does not carry it over`, dropping);
}

function revokerOf({ body: { signer } }: Revocation): string {
  return isZero(signer) ? 'the root' : shortId(signer);
}

/**
 * Whether the revocation's signer may end the last link: whoever holds it or one before it, whatever became of those, and the root, from
 * the version on that gave the first.
 */
export function mayRevoke(known: Known, chain: Chain, { body, signatures }: Revocation): boolean {
  if (!isZero(body.signer)) return chain.some((link) => equalBytes(link.body.audience, body.signer));
  const [root] = chain;
  if (root === undefined || body.rootVersion < root.body.rootVersion) return false;
  return known.rootsOf(body.rootVersion).some((document) => meetsThreshold(document, signatures));
}
