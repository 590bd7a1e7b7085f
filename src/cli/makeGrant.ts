import { randomBytes } from 'node:crypto';
import { compareBytes, equalBytes } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { type SigningKey } from '../crypto/ed25519.ts';
import { parseRecordText, recordText, type AnyRecord } from '../grant/anyRecord.ts';
import { grantLayout, type Grant, type GrantBody } from '../grant/grant.ts';
import { Pattern } from '../grant/pattern.ts';
import { signStatement } from '../grant/record.ts';
import { type Rights } from '../grant/rights.ts';
import { nonceBytes } from '../grant/root.ts';
import { textBytes } from './io.ts';

const zero = new Uint8Array(32);
const dayMs = 86_400_000;
/** A grant begins a little before it is made: other clocks may be behind ours. */
const earlierMs = 60_000;

/** What somebody wants to give. */
export interface Gift {
  /** Undefined: the root gives it. */
  readonly parent: Grant | undefined;
  /** Public key, 32 bytes. */
  readonly to: Uint8Array;
  readonly rights: Rights;
  readonly depth: number;
  readonly days: number;
  readonly patterns: readonly Pattern[];
}

/** Signed, but not yet taken in by anybody. Errors: `malformed` for what no grant can be, `issuer_mismatch` where the key does not hold the parent. */
export function makeGrant(meshId: Uint8Array, rootVersion: number, gift: Gift, keys: readonly SigningKey[], nowMs: number): AnyRecord {
  const { parent, to, rights, depth, days, patterns } = gift;
  const [key] = keys;
  if (parent !== undefined && (key === undefined || !equalBytes(key.publicKey, parent.body.audience))) {
    throw new GkvError('issuer_mismatch', 'the key is not that of who holds the parent grant');
  }
  const body: GrantBody = {
    parent: parent?.id ?? zero,
    rootVersion: parent === undefined ? rootVersion : 0,
    issuer: parent?.body.audience ?? zero,
    audience: to,
    rights,
    depth,
    notBeforeMs: Math.max(parent?.body.notBeforeMs ?? 0, nowMs - earlierMs),
    expiresMs: Math.min(parent?.body.expiresMs ?? Infinity, nowMs + Math.round(days * dayMs)),
    nonce: randomBytes(nonceBytes),
    patterns: [...patterns].sort((a, b) => compareBytes(a.bytes, b.bytes)),
  };
  const record = signStatement(grantLayout, meshId, body, keys);
  return parseRecordText(recordText({ kind: 'grant', record }), meshId); // refuses what is not a grant's shape
}

/** Errors: `malformed`, `too_large`; `bad_config` for what is no UTF-8. */
export function patternsOf(texts: readonly string[]): Pattern[] {
  return [...new Set(texts)].map((text) => Pattern.parse(textBytes(text, ': let * stand for such a segment')));
}
