import { type IncomingHttpHeaders } from 'node:http';
import Router from '@koa/router';
import Koa, { type Context, type Middleware } from 'koa';
import { GkvError, hasCode, type ErrorCode } from '../core/errors.ts';
import { type Clock, type Log } from '../core/ports.ts';
import { Seldom } from '../core/seldom.ts';
import { goneMessage } from './clientGone.ts';
import { Gate, type HostRule } from './gate.ts';
import { unknownField } from './parse.ts';
import { errorAnswer } from './status.ts';

/** One path with one method. */
export interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Fields that it takes in the address. Default: none. */
  readonly query?: readonly string[];
  readonly handle: (ctx: Context) => Promise<void> | void;
}

/** How a request was answered. */
export interface Answer {
  /** One of our paths, or "other". */
  readonly route: string;
  readonly status: number;
  /** Of the error; undefined: there was none. */
  readonly code: ErrorCode | undefined;
  readonly ms: number;
}

export interface ShellDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** Begins the ids of this process's requests. */
  readonly requestIdPrefix: string;
  readonly hosts: HostRule;
  readonly observe: (answer: Answer) => void;
  /** What is said to who asks for a path that there is not. */
  readonly unknownPathAdvice: string;
  /** Of large answers that nobody has taken yet, in bytes. Default: 256 MiB. */
  readonly unsentBytesMax?: number;
}

const unsentBytesMax = 268_435_456;
/** Smaller answers are not counted. */
const largeBytes = 262_144;

/** A koa app around routes: request ids, the gate, errors as JSON, 404 and 405. */
export function createShell(deps: ShellDeps, routes: readonly Route[]): Koa {
  const app = new Koa({ env: 'production' });
  const router = new Router({ strict: true, sensitive: true });
  for (const route of routes) router.register(route.path, [route.method], [knownFields(route.query), route.handle]);
  app.use(outermost(deps, routes));
  app.use(router.routes());
  app.use(refuseUnknown(routes, deps.unknownPathAdvice));
  app.on('error', (error: unknown) => {
    if (isDisconnect(error)) deps.log.debug({ err: error }, 'client went away');
    else deps.log.error({ err: error }, 'answering failed');
  });
  return app;
}

/** `text` is JSON already. */
export function answerJson(ctx: Context, text: string): void {
  ctx.set('Content-Type', 'application/json; charset=utf-8');
  ctx.body = text;
}

/** Error: `unknown_field`, of the address. */
function knownFields(known: readonly string[] = []): Middleware {
  return (ctx, next) => {
    if (ctx.querystring !== '')
      for (const field of Object.keys(ctx.query)) if (!known.includes(field)) throw unknownField(field.slice(0, 200));
    return next();
  };
}

function outermost(deps: ShellDeps, routes: readonly Route[]): Middleware {
  const gate = new Gate(deps.hosts);
  const known = new Set(routes.map((route) => route.path));
  const unsent = new Unsent(deps.unsentBytesMax ?? unsentBytesMax);
  const telling = { log: deps.log, seldom: new Seldom(deps.clock) };
  let requests = 0;
  return async (ctx, next) => {
    const started = deps.clock.monotonic();
    requests += 1;
    const requestId = ownId(ctx.req.headers) ?? `${deps.requestIdPrefix}-${requests.toString(36)}`;
    ctx.set('X-Request-Id', requestId);
    let path = '';
    let code: ErrorCode | undefined;
    try {
      path = pathOf(ctx);
      gate.check(ctx.req.headers);
      await next();
      unsent.take(ctx);
    } catch (error) {
      code = answerError(ctx, telling, error, { requestId, path });
    }
    deps.observe({ route: known.has(path) ? path : 'other', status: ctx.status, code, ms: deps.clock.monotonic() - started });
  };
}

/** Answers that are made and not taken: who asks for large ones and does not read them must not fill our memory. */
class Unsent {
  readonly #max: number;
  #bytes = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Errors: `unavailable`, with Retry-After, where there is no room for the answer. */
  take(ctx: Context): void {
    const { body } = ctx;
    const bytes = typeof body === 'string' || Buffer.isBuffer(body) ? body.length : 0;
    if (bytes < largeBytes || ctx.res.closed) return; // one that is closed already holds nothing, and will not say so again
    if (this.#bytes + bytes > this.#max) {
      ctx.set('Retry-After', '1');
      throw new GkvError('unavailable', `answers of ${this.#bytes} bytes wait to be read: try again later, or ask for less`);
    }
    this.#bytes += bytes;
    ctx.res.once('close', () => {
      this.#bytes -= bytes;
    });
  }
}

/** An id that the caller gave, where it is harmless. */
function ownId(headers: IncomingHttpHeaders): string | undefined {
  const given = headers['x-request-id'];
  return typeof given === 'string' && /^[\w.-]{1,64}$/.test(given) ? given : undefined;
}

/** Errors: `malformed` where the request's address is none; koa parses it when it is first asked for. */
function pathOf(ctx: Context): string {
  try {
    return ctx.path;
  } catch (error) {
    throw new GkvError('malformed', `${JSON.stringify(ctx.url.slice(0, 100))} is no address`, { cause: error });
  }
}

interface Telling {
  readonly log: Log;
  readonly seldom: Seldom;
}

function answerError(ctx: Context, { log, seldom }: Telling, error: unknown, request: { requestId: string; path: string }): ErrorCode {
  const { status, code, body } = errorAnswer(error, request.requestId);
  const fields = { requestId: request.requestId, status, method: ctx.method, path: request.path.slice(0, 200) };
  if (status === 500) log.error({ ...fields, err: error }, 'request failed');
  else if (isMeant(error)) {
    const times = error.message === goneMessage ? undefined : seldom.note(`${request.path} ${error.message}`);
    if (times === undefined) log.debug({ ...fields, code, reason: error.message }, 'request is not served now, as others before');
    else
      log.warn({ ...fields, times, code, reason: error.message }, 'request is not served now; that is told once a minute while it lasts');
  } else if (status === 503 || status === 507) {
    const times = seldom.note(`${code} ${String(error)}`);
    if (times === undefined) log.debug({ ...fields, err: error }, 'request could not be served, as others before');
    else log.warn({ ...fields, times, err: error }, 'request could not be served; that is told once a minute while it lasts');
  } else log.debug({ ...fields, err: error }, 'request refused');
  if (status === 408) ctx.set('Connection', 'close');
  if (status === 401) ctx.set('WWW-Authenticate', 'Bearer');
  ctx.status = status;
  answerJson(ctx, body);
  return code;
}

/** An answer that we give where nothing has failed: not ready, no member any more, too much to do. */
function isMeant(error: unknown): error is GkvError {
  return hasCode(error, 'unavailable') && error.cause === undefined && error.details['outcome'] === undefined;
}

function refuseUnknown(routes: readonly Route[], advice: string): Middleware {
  return (ctx) => {
    const methods = routes.filter((route) => route.path === ctx.path).map((route) => route.method);
    if (methods.length === 0) throw new GkvError('unknown_path', `path ${JSON.stringify(ctx.path.slice(0, 100))} is not known; ${advice}`);
    const allow = methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])).join(', ');
    ctx.set('Allow', allow);
    throw new GkvError('wrong_method', `${ctx.method.slice(0, 20)} ${ctx.path}: this path takes ${allow}`);
  };
}

function isDisconnect(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ECONNRESET' || code === 'EPIPE' || code === 'ECONNABORTED' || code === 'ERR_STREAM_PREMATURE_CLOSE';
}
