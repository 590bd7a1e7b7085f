import { z } from 'zod';
import { GkvError } from '../core/errors.ts';
import { Channel, type Request } from './channel.ts';
import { type SignedWrite } from './signer.ts';
import { type ClientTls } from './tls.ts';

/** Time for one request, in ms; a pull may be silent for longer while it waits for its peer. */
const requestMsMax = 30_000;
const pullMsMax = 600_000;
/** Of the POSTs, those that change nothing. */
const reading: ReadonlySet<string> = new Set(['/data/get', '/data/list', '/control/backup']);

export interface ValueAnswer {
  readonly value: Buffer;
  readonly exists: boolean;
  readonly version: string | null;
}

export interface SetAnswer {
  readonly version: string;
  readonly accepted: string;
  /** False where a greater write is there, or this very one, signed, was there already. */
  readonly applied: boolean;
}

export interface RequestOptions {
  /** Ends the request, with `unavailable`. */
  readonly signal?: AbortSignal;
}

export interface ReadOptions extends RequestOptions {
  /** `accepted` of a write, in whatever region: what is read has it, or is `unavailable` where it does not come within 5 s. */
  readonly atLeast?: string;
}

export interface DeleteOptions extends RequestOptions {
  /** Only where this is the version now; null: where there is none. Error otherwise: `version_mismatch`, with the `version` in its details. */
  readonly ifVersion?: string | null;
}

export interface SetOptions extends DeleteOptions {
  /** What is set expires after so many ms. */
  readonly ttlMs?: number;
}

export interface ListQuery {
  /** All of it, or what of it lies from `start` to before `end`. */
  readonly prefix?: Uint8Array;
  readonly start?: Uint8Array;
  readonly end?: Uint8Array;
  readonly limit?: number;
  readonly reverse?: boolean;
  readonly keysOnly?: boolean;
  /** Of those that match a key the last decides; none: all keys. */
  readonly patterns?: readonly ListPattern[];
}

/** A pattern as of grants, and whether keys that match it are left out. */
export interface ListPattern {
  readonly pattern: Uint8Array;
  readonly removes: boolean;
}

export interface ListPage {
  readonly entries: readonly { readonly key: Buffer; readonly value: Buffer; readonly version: string }[];
  /** The next page's `start`, or in reverse its `end`; null: there is none. */
  readonly next: Buffer | null;
}

/** `ifVersion` and `ttlMs` as of `SetOptions`. */
export type BatchOp =
  | {
      readonly op: 'set';
      readonly key: string;
      readonly value: string;
      readonly ifVersion?: string | null;
      readonly ttlMs?: number;
    }
  | { readonly op: 'delete'; readonly key: string; readonly ifVersion?: string | null };

const valueSchema = z.object({ value: z.string(), exists: z.boolean(), version: z.string().nullable() });
const setSchema = z.object({ version: z.string(), accepted: z.string(), applied: z.boolean() });
const batchSchema = z.object({ results: z.array(setSchema) });
const listSchema = z.object({
  entries: z.array(z.object({ key: z.string(), value: z.string(), version: z.string() })),
  next: z.string().nullable(),
});
const jsonObject = z.record(z.string(), z.unknown());
/** A line of a pull. */
const lineSchema = z.looseObject({ progress: jsonObject.optional(), report: jsonObject.optional() });

export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Talks to one instance's HTTP API, over 64 connections at the most. Errors: the server's own codes; `unavailable` when it cannot be reached or does not
 * answer. Where a write may have happened all the same, the error has `outcome: 'unknown'` in its details.
 */
export class Client implements AsyncDisposable {
  readonly #channel: Channel;

  /** `url` such as http://localhost:6300 or https://db.example.org:6300; `token`: a bearer token. Error: `bad_config`. */
  constructor(url: string, tls: ClientTls = {}, token?: string) {
    this.#channel = new Channel(url, tls, token);
  }

  async get(key: Uint8Array, { signal, ...more }: ReadOptions = {}): Promise<ValueAnswer> {
    const { value, exists, version } = await this.#post('/data/get', { key: encode(key), ...more }, valueSchema, signal);
    return { value: Buffer.from(value, 'base64'), exists, version };
  }

  async set(key: Uint8Array, value: Uint8Array, { signal, ...more }: SetOptions = {}): Promise<SetAnswer> {
    return this.#post('/data/set', { key: encode(key), value: encode(value), ...more }, setSchema, signal);
  }

  async delete(key: Uint8Array, { signal, ...more }: DeleteOptions = {}): Promise<SetAnswer> {
    return this.#post('/data/set', { key: encode(key), delete: true, ...more }, setSchema, signal);
  }

  /**
   * A write that a `Signer` made. It may be sent again after an error of unknown outcome: one that is there already is answered with its first `accepted`,
   * and `applied` false, as where a greater write is there. Errors: those of its authority (403), with the link, grant and revocation responsible.
   */
  async setSigned(signed: SignedWrite, { signal }: RequestOptions = {}): Promise<SetAnswer> {
    return this.#post('/data/set', signed, setSchema, signal);
  }

  /** All or none; at most 1,000, of different keys. Errors: as of `setSigned`, with the index of the write. */
  async batchSigned(writes: readonly SignedWrite[], { signal }: RequestOptions = {}): Promise<readonly SetAnswer[]> {
    const ops = writes.map((signed) => ({ op: 'write', ...signed }));
    return (await this.#post('/data/batch', { ops }, batchSchema, signal)).results;
  }

  /** 32 bytes: of the mesh that the instance belongs to. */
  async meshId(): Promise<Uint8Array> {
    const text = await this.text('/mesh_id');
    if (!/^[0-9a-f]{64}$/.test(text)) throw new GkvError('unavailable', 'the answer is not gkvmesh’s; is this the API port?');
    return Buffer.from(text, 'hex');
  }

  async list(query: ListQuery, { signal, ...more }: ReadOptions = {}): Promise<ListPage> {
    const { prefix, start, end, patterns = [], ...rest } = query;
    const range = { ...optional('prefix', prefix), ...optional('start', start), ...optional('end', end) };
    const texts = patterns.map(({ pattern, removes }) => `${removes ? '!' : ''}${encode(pattern)}`);
    const body = { ...rest, ...range, ...more, ...(texts.length > 0 && { patterns: texts }) };
    const { entries, next } = await this.#post('/data/list', body, listSchema, signal);
    return {
      entries: entries.map(({ key, value, version }) => ({ key: decode(key), value: decode(value), version })),
      next: next === null ? null : decode(next),
    };
  }

  /** All that a query asks for, page by page; `limit`: of each page. Keys that are written meanwhile are told or not. Errors: as of `list`. */
  async *entries(query: ListQuery, options: ReadOptions = {}): AsyncGenerator<ListPage['entries'][number]> {
    for (let rest = query; ;) {
      const { entries, next } = await this.list(rest, options);
      yield* entries;
      if (next === null) return;
      rest = { ...rest, [rest.reverse === true ? 'end' : 'start']: next };
    }
  }

  /** All or none; at most 1,000, of different keys. Keys and values in base64, as they stand in files. */
  async batch(ops: readonly BatchOp[], { signal }: RequestOptions = {}): Promise<readonly SetAnswer[]> {
    return (await this.#post('/data/batch', { ops }, batchSchema, signal)).results;
  }

  /** Resolves with the report; tells of its progress. */
  async pull(body: JsonObject, onProgress: (report: JsonObject) => void, { signal }: RequestOptions = {}): Promise<JsonObject> {
    const request = { ...posted('/control/aae/pull', body), accept: 'application/x-ndjson', withinMs: pullMsMax, signal };
    // The answer is read to its end: a reader that leaves before breaks the connection under it.
    let last: z.output<typeof lineSchema> = {};
    let lastLine = '';
    for await (const line of this.#channel.lines(request)) {
      lastLine = line;
      last = this.#channel.parse(line, lineSchema, request);
      if (last.progress !== undefined) onProgress(last.progress);
    }
    if (last['error'] !== undefined) throw this.#channel.errorOf(lastLine, request);
    if (last.report !== undefined) return last.report;
    throw new GkvError('unavailable', 'the server ended the pull without a report', { details: { outcome: 'unknown' } });
  }

  /** Resolves with the answer as it comes; what is not read is not sent. */
  async stream(path: string, body: JsonObject, { signal }: RequestOptions = {}): Promise<AsyncIterable<Uint8Array>> {
    return this.#channel.stream({ ...posted(path, body), withinMs: pullMsMax, signal });
  }

  /** Any POST whose answer is an object. */
  async post(path: string, body: JsonObject, { signal }: RequestOptions = {}): Promise<JsonObject> {
    return this.#post(path, body, jsonObject, signal);
  }

  async json(path: string, { signal }: RequestOptions = {}): Promise<JsonObject> {
    return this.#channel.json({ ...asked(path), signal }, jsonObject);
  }

  async text(path: string, { signal }: RequestOptions = {}): Promise<string> {
    return this.#channel.text({ ...asked(path), signal });
  }

  /** Requests under way are broken off, with `unavailable`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#channel[Symbol.asyncDispose]();
  }

  async #post<Schema extends z.ZodType>(path: string, body: object, schema: Schema, signal?: AbortSignal): Promise<z.output<Schema>> {
    return this.#channel.json({ ...posted(path, body), signal }, schema);
  }
}

function asked(path: string): Request {
  return { method: 'GET', path, effect: 'reads', withinMs: requestMsMax };
}

function posted(path: string, body: object): Request {
  return { method: 'POST', path, body, effect: reading.has(path) ? 'reads' : 'writes', withinMs: requestMsMax };
}

function optional(name: string, bytes: Uint8Array | undefined): Record<string, string> {
  return bytes === undefined ? {} : { [name]: encode(bytes) };
}

function encode(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

function decode(text: string): Buffer {
  return Buffer.from(text, 'base64');
}
