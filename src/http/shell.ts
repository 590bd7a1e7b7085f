import { type IncomingHttpHeaders } from 'node:http';
import Koa, { type Context, type Middleware } from 'koa';
import { GkvError } from '../core/errors.ts';
import { type Clock, type Log } from '../core/ports.ts';
import { Gate, type HostRule } from './gate.ts';
import { errorAnswer } from './status.ts';

/** One path with one method. */
export interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly handle: (ctx: Context) => Promise<void> | void;
}

export interface ShellDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** Begins the ids of this process's requests. */
  readonly requestIdPrefix: string;
  readonly hosts: HostRule;
  /** Told of every answer; `route` is one of our paths, or "other". */
  readonly observe: (route: string, status: number, ms: number) => void;
}

/** A koa app around routes: request ids, the gate, errors as JSON, 404 and 405. */
export function createShell(deps: ShellDeps, routes: readonly Route[]): Koa {
  const app = new Koa({ env: 'production' });
  app.use(shell(deps, new Routes(routes)));
  app.on('error', (error: unknown) => {
    if (isDisconnect(error)) deps.log.debug({ err: error }, 'client went away');
    else deps.log.error({ err: error }, 'answering failed');
  });
  return app;
}

/** `text` is JSON already. It goes to node directly, past koa's bookkeeping of bodies and headers. */
export function answerJson(ctx: Context, text: string, status = 200): void {
  const { res } = ctx;
  ctx.respond = false;
  if (ctx.writable) {
    res.statusCode = status;
    res.setHeader('Content-Type', 'application/json; charset=utf-8');
    res.setHeader('Content-Length', Buffer.byteLength(text));
    res.end(text);
  } else res.end();
}

function shell(deps: ShellDeps, routes: Routes): Middleware {
  const gate = new Gate(deps.hosts);
  let requests = 0;
  return async (ctx) => {
    const started = deps.clock.monotonic();
    requests += 1;
    const requestId = ownId(ctx.req.headers) ?? `${deps.requestIdPrefix}-${requests.toString(36)}`;
    ctx.res.setHeader('X-Request-Id', requestId);
    let path = '';
    try {
      path = pathOf(ctx);
      gate.check(ctx.req.headers);
      await routes.handle(ctx, path);
    } catch (error) {
      answerError(ctx, deps.log, error, { requestId, path });
    }
    deps.observe(routes.nameOf(path), ctx.res.statusCode, deps.clock.monotonic() - started);
  };
}

/** Paths are told apart to the letter. HEAD is served by GET's handler; node leaves the body out. */
class Routes {
  readonly #byPath = new Map<string, Map<string, Route>>();

  constructor(routes: readonly Route[]) {
    for (const route of routes) {
      const methods = this.#byPath.get(route.path) ?? new Map<string, Route>();
      for (const method of route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]) methods.set(method, route);
      this.#byPath.set(route.path, methods);
    }
  }

  /** The path, or "other". */
  nameOf(path: string): string {
    return this.#byPath.has(path) ? path : 'other';
  }

  /** Errors: `unknown_path`, `wrong_method`. */
  handle(ctx: Context, path: string): Promise<void> | void {
    const methods = this.#byPath.get(path);
    if (methods === undefined)
      throw new GkvError('unknown_path', `path ${JSON.stringify(path.slice(0, 100))} is not known; see /openapi.json`);
    const { method } = ctx.req;
    const route = methods.get(method ?? '');
    if (route !== undefined) return route.handle(ctx);
    const allow = [...methods.keys()].join(', ');
    ctx.set('Allow', allow);
    throw new GkvError('wrong_method', `${ctx.method.slice(0, 20)} ${path}: this path takes ${allow}`);
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

function answerError(ctx: Context, log: Log, error: unknown, request: { requestId: string; path: string }): void {
  const { status, body } = errorAnswer(error, request.requestId);
  const fields = { requestId: request.requestId, status, method: ctx.method, path: request.path.slice(0, 200), err: error };
  if (status === 500) log.error(fields, 'request failed');
  else if (status === 503 || status === 507) log.warn(fields, 'request could not be served');
  else log.debug(fields, 'request refused');
  if (status === 408) ctx.set('Connection', 'close');
  answerJson(ctx, body, status);
}

function isDisconnect(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ECONNRESET' || code === 'EPIPE' || code === 'ECONNABORTED' || code === 'ERR_STREAM_PREMATURE_CLOSE';
}
