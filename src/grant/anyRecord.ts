import { equalBytes } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { type Authority } from './authority.ts';
import { grantLayout, type Grant } from './grant.ts';
import { isFinal, type Known, type Refusal } from './known.ts';
import { decodeRecord, encodeRecord } from './record.ts';
import { revocationLayout, type Revocation } from './revocation.ts';
import { rootLayout, type RootDocument } from './root.ts';

export type AnyRecord =
  | { readonly kind: 'root'; readonly record: RootDocument }
  | { readonly kind: 'grant'; readonly record: Grant }
  | { readonly kind: 'revocation'; readonly record: Revocation };

/** As a line of text: its kind, a colon, the record in base64. */
export function recordText(any: AnyRecord): string {
  return `${any.kind}:${Buffer.from(recordBytes(any)).toString('base64')}`;
}

/** A record with its signatures, without its kind. */
export function recordBytes(any: AnyRecord): Uint8Array {
  switch (any.kind) {
    case 'root':
      return encodeRecord(rootLayout, any.record);
    case 'grant':
      return encodeRecord(grantLayout, any.record);
    case 'revocation':
      return encodeRecord(revocationLayout, any.record);
  }
}

export const recordKinds = ['root', 'grant', 'revocation'] as const;

/** kind u8 (0 root document, 1 grant, 2 revocation) | record. */
export function encodeAny(any: AnyRecord): Uint8Array {
  return Buffer.concat([Buffer.of(recordKinds.indexOf(any.kind)), recordBytes(any)]);
}

/** Errors: `malformed` for everything that is not exactly one record, `too_large`. */
export function decodeAny(bytes: Uint8Array, meshId: Uint8Array): AnyRecord {
  if (bytes.length > recordBytesMax) {
    throw new GkvError('too_large', `a record of ${bytes.length} bytes: at most ${recordBytesMax} are allowed`);
  }
  const kind = recordKinds[bytes[0] ?? recordKinds.length];
  if (kind === undefined) throw new GkvError('malformed', `a record of kind ${bytes[0] ?? 'none'}: there are 0, 1 and 2`);
  return decodeOf(kind, bytes.subarray(1), meshId);
}

function decodeOf(kind: AnyRecord['kind'], bytes: Uint8Array, meshId: Uint8Array): AnyRecord {
  switch (kind) {
    case 'root':
      return { kind, record: decodeRecord(rootLayout, meshId, bytes) };
    case 'grant':
      return { kind, record: decodeRecord(grantLayout, meshId, bytes) };
    case 'revocation':
      return { kind, record: decodeRecord(revocationLayout, meshId, bytes) };
  }
}

/** A root document with all that it may have has fewer. */
const recordBytesMax = 49_152;

/** Longest line of a record: a root document with all that it may have. */
const textCharsMax = 65_536;

/** Errors: `malformed` for what is not the one text of a record, `too_large`. */
export function parseRecordText(text: string, meshId: Uint8Array): AnyRecord {
  if (text.length > textCharsMax)
    throw new GkvError('too_large', `a record of ${text.length} characters: at most ${textCharsMax} are allowed`);
  const [kind = '', base64 = '', ...more] = text.split(':');
  const bytes = Buffer.from(base64, 'base64');
  if (more.length > 0 || bytes.toString('base64') !== base64) throw notRecord(text);
  const known = recordKinds.find((name) => name === kind);
  if (known === undefined) throw notRecord(text);
  return decodeOf(known, bytes, meshId);
}

function notRecord(text: string): GkvError {
  return new GkvError('malformed', `${JSON.stringify(text.slice(0, 40))} is no record: root:, grant: or revocation:, and base64`);
}

export function take(authority: Authority, any: AnyRecord): Promise<Refusal | undefined> {
  switch (any.kind) {
    case 'root':
      return authority.takeRoot(any.record);
    case 'grant':
      return authority.takeGrant(any.record);
    case 'revocation':
      return authority.takeRevocation(any.record);
  }
}

/** What is known under the id of a record, with the signatures that are known of it. */
export function knownAs(authority: Pick<Known, 'rootsOf' | 'grant' | 'revocationsOf'>, { kind, record }: AnyRecord): AnyRecord | undefined {
  const isSame = ({ id }: { readonly id: Uint8Array }): boolean => equalBytes(id, record.id);
  switch (kind) {
    case 'root': {
      const root = authority.rootsOf(record.body.version).find(isSame);
      return root === undefined ? undefined : { kind, record: root };
    }
    case 'grant': {
      const grant = authority.grant(record.id);
      return grant === undefined ? undefined : { kind, record: grant };
    }
    case 'revocation': {
      const revocation = authority.revocationsOf(record.body.target).find(isSame);
      return revocation === undefined ? undefined : { kind, record: revocation };
    }
  }
}

/** Takes records in, in whatever order they are given; what waits for another comes after it. Returns those that were refused, and why. */
export async function takeAll(
  authority: Authority,
  records: readonly AnyRecord[],
): Promise<{ readonly any: AnyRecord; readonly refusal: Refusal }[]> {
  const refused: { any: AnyRecord; refusal: Refusal }[] = [];
  let waiting = records;
  for (;;) {
    const open: { any: AnyRecord; refusal: Refusal }[] = [];
    for (const any of waiting) {
      const refusal = await take(authority, any);
      if (refusal !== undefined) (isFinal(refusal) ? refused : open).push({ any, refusal });
    }
    if (open.length === 0 || open.length === waiting.length) return [...refused, ...open];
    waiting = open.map(({ any }) => any);
  }
}
