import { type Context } from 'koa';
import { GkvError } from '../core/errors.ts';

export const goneMessage = 'the client went away';

/** Aborts when the connection ends, and also when the client closes its half: who goes away in silence is seen by that alone. */
export function clientGone(ctx: Context): AbortSignal {
  const gone = new AbortController();
  const abort = (): void => {
    gone.abort(new GkvError('unavailable', goneMessage));
  };
  const { socket } = ctx.req;
  socket.once('end', abort);
  ctx.res.once('close', () => {
    socket.off('end', abort);
    abort();
  });
  return gone.signal;
}
