import { type IncomingHttpHeaders } from 'node:http';
import { GkvError } from '../core/errors.ts';
import { inRange, prefixRange, rangeContains, type Key, type KeyRange } from '../core/key.ts';
import { type Token, type TokenRight, type TokenTable } from '../grant/token.ts';

/** Who calls, and what of it is allowed. Errors: `right_denied`, and for keys `key_denied`. */
export interface Caller {
  mayUse(right: Exclude<TokenRight, 'control'>, key: Key): void;
  /** Lists are of ranges of which every key may be read. */
  mayList(range: KeyRange): void;
  mayControl(): void;
}

export interface Access {
  /** Error: `unauthenticated`. */
  callerOf(headers: IncomingHttpHeaders): Caller;
}

/** Who belongs to the mesh: whoever writes here controls it. */
const systemKeys = prefixRange(Buffer.from('@system/'));
const nothing = (): void => undefined;
const anyone: Caller = { mayUse: nothing, mayList: nothing, mayControl: nothing };

/** Whoever reaches the port may do everything. */
export const openAccess: Access = { callerOf: () => anyone };

/** Whoever shows a bearer token (RFC 6750) may do what it allows. `tokens` is asked each time: they change while it serves. */
export class TokenAccess implements Access {
  readonly #tokens: () => TokenTable;

  constructor(tokens: () => TokenTable) {
    this.#tokens = tokens;
  }

  callerOf({ authorization }: IncomingHttpHeaders): Caller {
    if (authorization === undefined) throw new GkvError('unauthenticated', 'a token is needed: Authorization: Bearer gkv_…');
    const [, text = ''] = /^bearer +(\S+) *$/i.exec(authorization) ?? [];
    const token = this.#tokens().find(text);
    if (token === undefined) throw new GkvError('unauthenticated', 'the token is none of this server’s: it was revoked, or is another’s');
    return new TokenCaller(token);
  }
}

class TokenCaller implements Caller {
  readonly #token: Token;

  constructor(token: Token) {
    this.#token = token;
  }

  mayUse(right: TokenRight, key: Key): void {
    this.#mayDo(right);
    if (right !== 'read' && inRange(key, systemKeys)) this.#mayDo('control');
    if (!this.#token.patterns.some((pattern) => pattern.matches(key))) throw this.#keyDenied(right, 'this key');
  }

  mayList(range: KeyRange): void {
    this.#mayDo('read');
    const readable = this.#token.patterns.flatMap(({ literalPrefix }) => (literalPrefix === undefined ? [] : [prefixRange(literalPrefix)]));
    if (!readable.some((whole) => rangeContains(whole, range))) throw this.#keyDenied('list', 'all keys of this range');
  }

  mayControl(): void {
    this.#mayDo('control');
  }

  #mayDo(right: TokenRight): void {
    if (this.#token.rights.has(right)) return;
    throw new GkvError('right_denied', `token ${this.#token.id} has the rights ${[...this.#token.rights].join(', ')}, and not ${right}`);
  }

  #keyDenied(what: string, which: string): GkvError {
    const patterns = this.#token.patterns.map(({ bytes }) => Buffer.from(bytes).toString());
    return new GkvError('key_denied', `token ${this.#token.id} may not ${what} ${which}: its patterns are ${patterns.join(', ')}`);
  }
}
