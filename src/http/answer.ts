import { type Context, type Middleware } from 'koa';
import { GkvError } from '../core/errors.ts';
import { type Log, type Random } from '../core/ports.ts';
import { statusOf } from './status.ts';

/** Told after each request, for metrics. */
export interface RequestObserver {
  request(route: string, status: number, ms: number): void;
}

/** The JSON of an error, for a client. What is our own bug or names our insides is not told. */
export function errorJson(error: GkvError): string {
  const { code, message, details } = error;
  return JSON.stringify({ error: { code, message: code === 'internal' ? 'internal error; see the log' : message, ...details } });
}

/** Answers whatever is thrown behind it, with a request id that the log has too. */
export function answerErrors(log: Log, random: Random): Middleware {
  return async (ctx, next) => {
    try {
      await next();
      if (ctx.status === 404 && ctx.body === undefined) throw new GkvError('unknown_path', `there is no ${ctx.method} ${ctx.path.slice(0, 200)}`);
    } catch (thrown) {
      answerError(ctx, thrown, log, random);
    }
  };
}

function answerError(ctx: Context, thrown: unknown, log: Log, random: Random): void {
  const error = thrown instanceof GkvError ? thrown : new GkvError('internal', 'unexpected error', { cause: thrown });
  const status = statusOf[error.code];
  const requestId = Buffer.from(random.bytes(8)).toString('hex');
  if (status === 500) log.error({ requestId, err: error }, 'request failed by a bug');
  else if (status >= 502) log.warn({ requestId, code: error.code, err: error }, 'request failed');
  else log.debug({ requestId, code: error.code, message: error.message }, 'request refused');
  ctx.set('X-Request-Id', requestId);
  if (status === 503) ctx.set('Retry-After', '1');
  // What is left of the body would be read for nothing.
  if (!ctx.req.complete) ctx.set('Connection', 'close');
  ctx.status = status;
  ctx.type = 'application/json';
  ctx.body = errorJson(error);
}
