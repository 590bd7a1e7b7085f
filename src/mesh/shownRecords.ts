import { toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { encodeAny, knownAs, type AnyRecord } from '../grant/anyRecord.ts';
import { type Chain } from '../grant/chain.ts';
import { type Grant } from '../grant/grant.ts';
import { type Ledger } from '../grant/ledger.ts';
import { Turns } from '../grant/replicate.ts';
import { shownRecordsMax } from './handshake.ts';
import { decodeSent } from './records.ts';

/** Of grants; what is left of `shownRecordsMax` is for root documents. */
const shownLinksMax = 16;
/** Together; a root document with all that it may have fits beside the links. */
const shownBytesMax = 262_144;
/** That are checked of what one peer shows. */
const signaturesMax = 64;

/**
 * What the holder of a key shows of its authority, encoded: the chain by which it may replicate, those of what else it holds, in their turns (`Turns`), as far as they fit, and
 * the latest root documents. So whoever it sends to can judge what it writes, too.
 */
export function shownRecords(known: Ledger['known'], chain: Chain, holder: Uint8Array): Uint8Array[] {
  const links = linksOf(known, chain, holder).map((record) => encodeAny({ kind: 'grant', record }));
  let bytes = links.reduce((total, { length }) => total + length, 0);
  const roots: Uint8Array[] = [];
  const documents = [...known.rootsAfter(0)].sort((a, b) => b.body.version - a.body.version);
  for (const record of documents.slice(0, shownRecordsMax - links.length)) {
    const encoded = encodeAny({ kind: 'root', record });
    bytes += encoded.length;
    if (bytes > shownBytesMax) break;
    roots.unshift(encoded);
  }
  return [...roots, ...links];
}

/** Each behind the one that it follows from. */
function linksOf(known: Ledger['known'], chain: Chain, holder: Uint8Array): Grant[] {
  const links = new Set(chain);
  let others: readonly Chain[] = known.heldBy(holder).chains;
  const turns = new Turns([chain]);
  const missing = (each: Chain): number => each.filter((link) => !links.has(link)).length;
  for (;;) {
    others = others.filter((each) => missing(each) > 0 && links.size + missing(each) <= shownLinksMax);
    const [first, ...rest] = others;
    if (first === undefined) return [...links];
    const next = rest.reduce((best, each) => (turns.compare(each, best) < 0 ? each : best), first);
    for (const link of next) links.add(link);
    turns.note(next);
  }
}

/** Of what a peer shows: root documents, the grants that are to show its leaf, up from it, and what is more than the verdict on it takes. */
export interface Divided {
  readonly roots: readonly AnyRecord[];
  readonly links: readonly AnyGrant[];
  readonly more: readonly AnyRecord[];
}

type AnyGrant = Extract<AnyRecord, { kind: 'grant' }>;

export function divided(shown: readonly AnyRecord[], leaf: Uint8Array): Divided {
  const grants = new Map(shown.flatMap((any) => (any.kind === 'grant' ? [[toHex(any.record.id), any] as const] : [])));
  const links = new Set<AnyRecord>();
  const up: AnyGrant[] = [];
  for (let link = grants.get(toHex(leaf)); link !== undefined && !links.has(link); link = grants.get(toHex(link.record.body.parent))) {
    links.add(link);
    up.push(link);
  }
  const roots = shown.filter(({ kind }) => kind === 'root');
  return { roots, links: up, more: shown.filter((any) => any.kind !== 'root' && !links.has(any)) };
}

/** What is not known of what a peer shows. Errors: `peer_protocol` for what is no record; `too_large` where more signatures are to be checked than are. */
export function unknownOf(known: Ledger['known'], records: readonly Uint8Array[]): AnyRecord[] {
  const unknown = records.map((bytes) => decodeSent(bytes, known.meshId)).filter((any) => knownAs(known, any) === undefined);
  const signatures = unknown.reduce((total, { record }) => total + record.signatures.length, 0);
  if (signatures <= signaturesMax) return unknown;
  throw new GkvError(
    'too_large',
    `${signatures} signatures to check, at most ${signaturesMax} are: put the records into the mesh directory`,
  );
}
