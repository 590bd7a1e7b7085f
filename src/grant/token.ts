import { isUtf8 } from 'node:buffer';
import { timingSafeEqual } from 'node:crypto';
import * as z from 'zod';
import { toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { type Random } from '../core/ports.ts';
import { sha256 } from '../crypto/digest.ts';
import { grantLimits } from './limits.ts';
import { Pattern } from './pattern.ts';

/** The first three are about keys; `control` is everything that is not data. */
export const tokenRights = ['read', 'write', 'delete', 'control'] as const;

export type TokenRight = (typeof tokenRights)[number];

/** What an operator's server knows of a bearer token: never the secret. */
export interface Token {
  /** 16 hex digits. */
  readonly id: string;
  /** SHA-256 of the secret. */
  readonly digest: Uint8Array;
  /** For operators; "" where there is none. */
  readonly name: string;
  readonly rights: ReadonlySet<TokenRight>;
  /** The keys that the rights on keys are about. */
  readonly patterns: readonly Pattern[];
}

const idBytes = 8;
const secretBytes = 32;
const patternsAre = `1 to ${grantLimits.patternsMax} patterns, or none where there is no right but control`;

const line = z
  .strictObject({
    id: z.string().regex(/^[0-9a-f]{16}$/, '16 lower-case hex digits are right'),
    sha256: z.string().regex(/^[0-9a-f]{64}$/, '64 lower-case hex digits are right'),
    name: z.string().regex(/^[\w .@-]{0,64}$/, 'at most 64 letters, digits, spaces and any of . _ @ - are right'),
    rights: z.array(z.enum(tokenRights)).min(1, 'one right at least'),
    patterns: z.array(z.string()).max(grantLimits.patternsMax, patternsAre),
  })
  .refine(({ rights, patterns }) => patterns.length > 0 || rights.every((right) => right === 'control'), patternsAre);

/** A new one, and its text, which is told once. Error: `bad_config` for what no token can be. */
export function makeToken(
  fields: Pick<Token, 'name' | 'rights' | 'patterns'>,
  random: Pick<Random, 'bytes'>,
): { readonly token: Token; readonly text: string } {
  const id = toHex(random.bytes(idBytes));
  const secret = random.bytes(secretBytes);
  try {
    const token = parseLine(tokenLine({ ...fields, id, digest: sha256(secret) }));
    return { token, text: `gkv_${id}_${Buffer.from(secret).toString('base64url')}` };
  } catch (cause) {
    throw new GkvError('bad_config', `this is no token: ${whyNot(cause)}`, { cause });
  }
}

/** One line of a token file: JSON, without an end of line. */
export function tokenLine({ id, digest, name, rights, patterns }: Token): string {
  const texts = patterns.map(({ bytes }) => Buffer.from(bytes).toString());
  return JSON.stringify({ id, sha256: toHex(digest), name, rights: [...rights], patterns: texts });
}

/** All lines of a token file, in UTF-8; empty ones are none. Error: `bad_config`, with the line's number. */
export function parseTokens(file: Buffer): Token[] {
  if (!isUtf8(file)) throw new GkvError('bad_config', `line ${lineOfNoUtf8(file)} is no token: it is no UTF-8`);
  const lines = file
    .toString()
    .split('\n')
    .map((each, index) => ({ each: each.trim(), number: index + 1 }));
  const tokens = lines
    .filter(({ each }) => each !== '')
    .map(({ each, number }) => {
      try {
        return parseLine(each);
      } catch (cause) {
        throw new GkvError('bad_config', `line ${number} is no token: ${whyNot(cause)}`, { cause });
      }
    });
  if (tokens.length > grantLimits.tokensMax)
    throw new GkvError('bad_config', `${tokens.length} tokens: at most ${grantLimits.tokensMax} are allowed`);
  const ids = new Set<string>();
  for (const { id } of tokens) {
    if (ids.has(id)) throw new GkvError('bad_config', `token ${id} is there twice`);
    ids.add(id);
  }
  return tokens;
}

function lineOfNoUtf8(file: Buffer): number {
  const lines = file.toString('latin1').split('\n');
  return lines.findIndex((each) => !isUtf8(Buffer.from(each, 'latin1'))) + 1;
}

function parseLine(text: string): Token {
  const { id, sha256: digest, name, rights, patterns } = line.parse(JSON.parse(text));
  const parsed = patterns.map((pattern) => Pattern.parse(Buffer.from(pattern)));
  return { id, digest: Buffer.from(digest, 'hex'), name, rights: new Set(rights), patterns: parsed };
}

function whyNot(error: unknown): string {
  if (error instanceof z.ZodError) return error.issues.map(({ path, message }) => `${path.join('.')} ${message}`.trim()).join('; ');
  return error instanceof Error ? error.message : String(error);
}

/** The last letter of the secret stands for 4 bits, and the 2 that are spare are zero: a secret has one spelling. */
const textShape = /^gkv_([0-9a-f]{16})_([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])$/;
const absent = Buffer.alloc(secretBytes);

/** The tokens of a server, found by their texts. */
export class TokenTable {
  readonly #tokens: ReadonlyMap<string, Token>;

  constructor(tokens: readonly Token[]) {
    this.#tokens = new Map(tokens.map((token) => [token.id, token]));
  }

  get size(): number {
    return this.#tokens.size;
  }

  /** Undefined where the text is that of no token. Takes as long whether the id is known or not. */
  find(text: string): Token | undefined {
    const [, id = '', secret = ''] = textShape.exec(text) ?? [];
    const token = this.#tokens.get(id);
    const isRight = timingSafeEqual(sha256(Buffer.from(secret, 'base64url')), token?.digest ?? absent);
    return isRight ? token : undefined;
  }
}
