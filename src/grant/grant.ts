import { compareBytes, equalBytes, writeU64, type ByteReader } from '../core/bytes.ts';
import { type ByteWriter } from '../core/byteWriter.ts';
import { digestBytes } from '../core/write.ts';
import { grantLimits } from './limits.ts';
import { Pattern } from './pattern.ts';
import { keyBytes, readFormat, type Layout, type Signed } from './record.ts';
import { hasRight, rightsKnown, type Rights } from './rights.ts';
import { nonceBytes } from './root.ts';

/** What the issuer lets the audience do: rights over keys, for a time, and how far they may be given on. */
export interface GrantBody {
  /** Id of the grant that the issuer holds; zero for one that the root gives. */
  readonly parent: Uint8Array;
  /** Version of the root document whose keys sign it; 0 where it has a parent. */
  readonly rootVersion: number;
  /** Key of who gives it, the parent's audience; zero for the root. */
  readonly issuer: Uint8Array;
  /** Key of who holds it. */
  readonly audience: Uint8Array;
  readonly rights: Rights;
  /** How many links may follow. At least 1 with the right to delegate, else 0. */
  readonly depth: number;
  /** ms since the epoch: a write's version must not be before. */
  readonly notBeforeMs: number;
  /** ms since the epoch: a write's version must be before. */
  readonly expiresMs: number;
  /** 16 random bytes. */
  readonly nonce: Uint8Array;
  /** 1 to 8, rising. */
  readonly patterns: readonly Pattern[];
}

export type Grant = Signed<GrantBody>;

/**
 * format u8=1 | parent 32 | root version u32 | issuer 32 | audience 32 | rights u8 | depth u8 | not before u64 ms | expires u64 ms |
 * nonce 16 | count u8 1..8 | patterns: length u16, bytes, rising.
 */
export const grantLayout: Layout<GrantBody> = {
  what: 'grant',
  idLabel: 'gkvmesh/grant/v1\0',
  signLabel: 'gkvmesh/grant/sign/v1\0',
  idScope: 'mesh',
  writeBody,
  readBody,
  faultOfSigners: ({ issuer }, keys) => (isZero(issuer) ? undefined : faultOfSigner(issuer, keys)),
};

export function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/** Whoever has one key signs once. */
export function faultOfSigner(signer: Uint8Array, [first, ...rest]: readonly Uint8Array[]): string | undefined {
  return first !== undefined && equalBytes(first, signer) && rest.length === 0 ? undefined : 'signatures that are not one, of who it says';
}

function writeBody(writer: ByteWriter, body: GrantBody): void {
  writer.u8(1);
  writer.bytes(body.parent);
  writer.u32(body.rootVersion);
  writer.bytes(body.issuer);
  writer.bytes(body.audience);
  writer.u8(body.rights);
  writer.u8(body.depth);
  const times = Buffer.alloc(16);
  writeU64(times, body.expiresMs, writeU64(times, body.notBeforeMs, 0));
  writer.bytes(times);
  writer.bytes(body.nonce);
  writer.u8(body.patterns.length);
  for (const { bytes } of body.patterns) {
    writer.u16(bytes.length);
    writer.bytes(bytes);
  }
}

function readBody(reader: ByteReader): GrantBody {
  readFormat(reader);
  const body: GrantBody = {
    parent: reader.bytes(digestBytes),
    rootVersion: reader.u32(),
    issuer: reader.bytes(keyBytes),
    audience: reader.bytes(keyBytes),
    rights: reader.u8(),
    depth: reader.u8(),
    notBeforeMs: reader.u64(),
    expiresMs: reader.u64(),
    nonce: reader.bytes(nonceBytes),
    patterns: readPatterns(reader),
  };
  const fault = faultOf(body);
  if (fault !== undefined) throw reader.fail(fault);
  return body;
}

function readPatterns(reader: ByteReader): Pattern[] {
  const count = reader.u8();
  if (count < 1 || count > grantLimits.patternsMax) throw reader.fail(`${count} patterns, must have 1 to ${grantLimits.patternsMax}`);
  return Array.from({ length: count }, () => Pattern.parse(reader.bytes(reader.u16())));
}

/** Why the body is none, for whoever makes one too; undefined where it is. */
function faultOf(body: GrantBody): string | undefined {
  const { rights, depth, issuer, audience, patterns } = body;
  const isRoot = isZero(body.parent);
  if (isRoot !== isZero(issuer)) return isRoot ? 'an issuer where there is no parent: the root gives it' : 'no issuer';
  if (isRoot !== body.rootVersion > 0) return `root version ${body.rootVersion} ${isRoot ? 'without' : 'with'} a parent`;
  if (equalBytes(issuer, audience)) return 'its issuer as its audience';
  if (rights === 0 || rights > rightsKnown) return `rights ${rights}, must have 1 to ${rightsKnown}`;
  if (depth >= grantLimits.chainLinksMax) return `depth ${depth}, at most ${grantLimits.chainLinksMax - 1}`;
  if (hasRight(rights, 'delegate') !== depth > 0) return `depth ${depth} ${depth > 0 ? 'without' : 'with'} the right to delegate`;
  if (body.notBeforeMs >= body.expiresMs) return 'an end that is not after its beginning';
  if (patterns.some(({ bytes }, i) => i > 0 && compareBytes(patterns[i - 1]?.bytes ?? bytes, bytes) >= 0)) {
    return 'patterns that do not rise';
  }
  if (hasRight(rights, 'replicate') && patterns.some(({ literalPrefix }) => literalPrefix === undefined)) {
    return 'a pattern for replication that is not literal segments and ** behind them';
  }
  return undefined;
}
