import Router from '@koa/router';
import Koa, { type Context } from 'koa';
import { GkvError } from '../core/errors.ts';
import { limits } from '../core/limits.ts';
import { type Clock, type Log, type Random } from '../core/ports.ts';
import { answerErrors } from './answer.ts';
import { readBody } from './body.ts';
import { pull } from './control.ts';
import { dataRoutes } from './data.ts';
import { type Metrics } from './metrics.ts';
import { openApi } from './openapi.ts';
import { checkOrigin, type Exposure } from './origin.ts';
import { type DataStore, type Health, type Identity, type Puller, type TreeView } from './ports.ts';

export interface ApiDeps {
  readonly store: DataStore;
  readonly puller: Puller;
  readonly tree: TreeView;
  readonly identity: Identity;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly exposure: Exposure;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** The API app. Answers JSON whatever content type is asked for. */
export function createApi(deps: ApiDeps): Koa {
  const app = new Koa();
  app.silent = true; // errors are answered and logged by answerErrors
  app.use(observed(deps));
  app.use(answerErrors(deps.log, deps.random));
  app.use((ctx, next) => {
    checkOrigin(ctx.req.headers, deps.exposure);
    return next();
  });
  const router = routes(deps);
  app.use(router.routes());
  app.use((ctx) => {
    refuseMethod(router, ctx);
  });
  return app;
}

function observed({ clock, metrics }: ApiDeps): Koa.Middleware {
  return async (ctx, next) => {
    const started = clock.monotonic();
    await next();
    const route: unknown = ctx['_matchedRoute'];
    metrics.request(typeof route === 'string' ? route : 'none', ctx.status, clock.monotonic() - started);
  };
}

function routes(deps: ApiDeps): Router {
  const router = new Router();
  const data = dataRoutes(deps.store);
  for (const name of ['get', 'set', 'list', 'batch'] as const) {
    const handle = data[name];
    router.post(`/data/${name}`, async (ctx) => {
      ctx.body = await handle(await readBody(ctx.req, limits.bodyBytesMax));
    });
  }
  router.post('/control/aae/pull', async (ctx) => pull(ctx, deps.puller, await readBody(ctx.req, limits.bodyBytesMax)));
  router.get('/control/tree', async (ctx) => {
    ctx.body = await deps.tree.summary();
  });
  router.get('/cluster_id', (ctx) => {
    ctx.body = deps.identity.clusterId;
  });
  router.get('/peers', (ctx) => {
    ctx.body = { peers: [] };
  });
  router.get('/livez', (ctx) => {
    answerHealth(ctx, deps.health.live());
  });
  router.get('/readyz', (ctx) => {
    answerHealth(ctx, deps.health.ready());
  });
  router.get('/metrics', async (ctx) => {
    ctx.body = await deps.metrics.text();
    ctx.type = 'text/plain; version=0.0.4; charset=utf-8';
  });
  const description = openApi();
  router.get('/openapi.json', (ctx) => {
    ctx.body = description;
  });
  return router;
}

function answerHealth(ctx: Context, good: boolean): void {
  if (!good) throw new GkvError('unavailable', 'not ready: starting or stopping');
  ctx.body = 'ok';
}

/** Nothing matched: another method of a path that there is, or no such path. */
function refuseMethod(router: Router, ctx: Context): void {
  const methods = router.match(ctx.path, ctx.method).path.flatMap((layer) => layer.methods);
  if (methods.length === 0) return;
  ctx.set('Allow', methods.join(', '));
  throw new GkvError('wrong_method', `${ctx.method} ${ctx.path} is not served; use ${methods.join(' or ')}`);
}
