import Koa from 'koa';
import Router from '@koa/router';
import { frameBytesMax } from '../aae/frame.ts';
import { type Log, type Random } from '../core/ports.ts';
import { answerErrors } from './answer.ts';
import { readBody } from './body.ts';
import { type FrameResponder } from './ports.ts';

/** The mesh port: POST /exchange, a frame in and a frame out. */
export function createMeshApp(deps: { responder: FrameResponder; log: Log; random: Random }): Koa {
  const app = new Koa();
  app.silent = true;
  app.use(answerErrors(deps.log, deps.random));
  const router = new Router();
  router.post('/exchange', async (ctx) => {
    const answer = await deps.responder.answer(await readBody(ctx.req, frameBytesMax));
    ctx.type = 'application/octet-stream';
    ctx.body = Buffer.from(answer);
  });
  app.use(router.routes());
  return app;
}
