import { Agent, buildConnector, errors } from 'undici';
import { z } from 'zod';
import { GkvError, type ErrorCode, type ErrorDetails } from '../core/errors.ts';
import { limits } from '../core/limits.ts';
import { tlsFailure } from '../core/tlsFailure.ts';
import { checkedTls, whyUnusable, type ClientTls } from './tls.ts';

const connectMsMax = 5_000;
/** At a time; what is asked beyond waits for one that is free. A port of a server takes 4,096 in all. */
const connectionsMax = 64;
/** The largest answer is a list's: its keys and values are a third longer in base64, and little stands around them. */
const answerBytesMax = 2 * limits.listBytesMax;

/** One request. */
export interface Request {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: object;
  readonly accept?: string;
  /** How long the server may be silent, in ms. */
  readonly withinMs: number;
  /** Whether the server is changed by it. */
  readonly effect: 'reads' | 'writes';
  /** Ends it, with `unavailable`. */
  readonly signal?: AbortSignal | undefined;
}

const brokenByCaller = 'the signal that was given ended the request';
const errorSchema = z.object({ error: z.looseObject({ code: z.string(), message: z.string() }) });

/**
 * Requests to one origin, and their answers. Errors of all: the server's own; `unavailable` where none comes, or none that is whole or a gkvmesh
 * server's, with `outcome: 'unknown'` in its details where the request writes and may have been sent.
 */
export class Channel implements AsyncDisposable {
  readonly #origin: string;
  readonly #agent: Agent;
  readonly #authorization: Readonly<Record<string, string>>;
  /** Failures of connections that never stood: nothing was sent. */
  readonly #unconnected = new WeakSet<Error>();

  /** Error: `bad_config`. */
  constructor(url: string, tls: ClientTls, token: string | undefined) {
    const { protocol, origin } = checkedUrl(url);
    if (token !== undefined && !/^[\w.~+/=-]{1,1024}$/.test(token))
      throw new GkvError('bad_config', 'the token is none: it is one word, such as gkv_…');
    this.#origin = origin;
    this.#authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const connect = buildConnector({ timeout: connectMsMax, ...checkedTls(protocol, tls) });
    this.#agent = new Agent({
      connections: connectionsMax,
      connect: (options, done) => {
        connect(options, (...[error, socket]) => {
          if (error === null) {
            done(null, socket);
            return;
          }
          this.#unconnected.add(error);
          done(error, null);
        });
      },
    });
  }

  async json<Schema extends z.ZodType>(request: Request, schema: Schema): Promise<z.output<Schema>> {
    return this.parse(await this.text(request), schema, request);
  }

  async text(request: Request): Promise<string> {
    return this.#textOf(await this.stream(request), request);
  }

  /** The answer to `request`, or a part of it. */
  parse<Schema extends z.ZodType>(text: string, schema: Schema, request: Request): z.output<Schema> {
    try {
      return schema.parse(JSON.parse(text));
    } catch (cause) {
      throw unavailable('the answer is not gkvmesh’s; is this the API port?', request, { cause });
    }
  }

  /** The error that a server tells. */
  errorOf(text: string, request: Request): GkvError {
    const { code, message, ...details } = this.parse(text, errorSchema, request).error;
    return new GkvError(code as ErrorCode, message, { details: details as ErrorDetails }); // the server's codes are ours
  }

  /** Resolves with the answer as it comes, however long it is; what is not read is not sent. */
  async stream(request: Request): Promise<AsyncIterable<Uint8Array>> {
    const { method, path, body, accept, withinMs, signal } = request;
    const isBegun = !this.#agent.destroyed && signal?.aborted !== true;
    try {
      const answer = await this.#agent.request({
        origin: this.#origin,
        path,
        method,
        body: body === undefined ? null : JSON.stringify(body),
        headers: { ...(accept !== undefined && { accept }), ...this.#authorization },
        headersTimeout: withinMs,
        bodyTimeout: withinMs,
        signal: signal ?? null,
      });
      const pieces = this.#piecesOf(answer.body, request);
      if (answer.statusCode === 200) return pieces;
      throw this.errorOf(await this.#textOf(pieces, request), request);
    } catch (error) {
      if (error instanceof GkvError) throw error;
      const sent = isBegun && !(error instanceof Error && this.#unconnected.has(error)) ? request : undefined;
      if (signal?.aborted === true) throw unavailable(brokenByCaller, sent, { cause: error });
      const why =
        error instanceof errors.HeadersTimeoutError ? `it did not answer within ${withinMs} ms` : whyUnusable(error, this.#origin);
      throw unavailable(`${this.#origin} cannot be used: ${why}`, sent, { cause: error });
    }
  }

  /** Lines of an answer that ends when it ends; none is longer than an answer may be. */
  async *lines(request: Request): AsyncGenerator<string> {
    const decoder = new TextDecoder();
    let begun = '';
    for await (const piece of await this.stream(request)) {
      const [rest = '', ...others] = decoder.decode(piece, { stream: true }).split('\n');
      begun += rest;
      for (const other of others) {
        yield begun;
        begun = other;
      }
      if (begun.length > answerBytesMax) throw this.#tooLong(request);
    }
    if (begun !== '') yield begun;
  }

  /** Requests under way are broken off. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  async *#piecesOf(body: AsyncIterable<Uint8Array>, request: Request): AsyncGenerator<Uint8Array> {
    try {
      yield* body;
    } catch (cause) {
      if (request.signal?.aborted === true) throw unavailable(brokenByCaller, request, { cause });
      const why = cause instanceof errors.BodyTimeoutError ? `nothing came for ${request.withinMs} ms` : tlsFailure(cause).reason;
      throw unavailable(`${this.#origin} broke its answer off: ${why}`, request, { cause });
    }
  }

  async #textOf(pieces: AsyncIterable<Uint8Array>, request: Request): Promise<string> {
    const taken: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of pieces) {
      bytes += piece.length;
      if (bytes > answerBytesMax) throw this.#tooLong(request);
      taken.push(piece);
    }
    return Buffer.concat(taken).toString();
  }

  #tooLong(request: Request): GkvError {
    return unavailable(`the answer of ${this.#origin} is longer than ${answerBytesMax} bytes: no gkvmesh server’s is`, request);
  }
}

/** `request`: one that may have been sent. */
function unavailable(message: string, request: Request | undefined, options: { cause?: unknown } = {}): GkvError {
  if (request?.effect !== 'writes') return new GkvError('unavailable', message, options);
  const told = `${message} (whether it did what was asked is unknown)`;
  return new GkvError('unavailable', told, { ...options, details: { outcome: 'unknown' } });
}

function checkedUrl(url: string): { readonly protocol: 'http:' | 'https:'; readonly origin: string } {
  if (!URL.canParse(url) || !url.includes('://'))
    throw new GkvError('bad_config', `--url: ${JSON.stringify(url)} is not a URL such as http://localhost:6300`);
  const { protocol, origin, username, password, pathname, search, hash } = new URL(url);
  if (protocol !== 'http:' && protocol !== 'https:') {
    throw new GkvError('bad_config', `--url: ${protocol} is not served, use http: or https:`);
  }
  if (username !== '' || password !== '')
    throw new GkvError('bad_config', '--url: must be without a user and password; a token is given apart');
  if (pathname !== '/' || search !== '' || hash !== '')
    throw new GkvError('bad_config', `--url: ${JSON.stringify(pathname + search + hash)} must not be there: use ${origin}`);
  return { protocol, origin };
}
