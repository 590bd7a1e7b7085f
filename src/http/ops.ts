import { type Context } from 'koa';
import { GkvError } from '../core/errors.ts';
import { type Metrics } from './metrics.ts';
import { openApi } from './openapi.ts';
import { type Health, type Identity, type PeersView } from './ports.ts';
import { answerJson, type Route } from './shell.ts';

export interface OpsDeps {
  readonly identity: Identity;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly peers: PeersView;
  /** Of this program, for /openapi.json. */
  readonly release: string;
}

/** What anybody may ask, who need not say who he is: load balancers, and clients that look for the way. */
export function opsRoutes({ identity, health, release }: OpsDeps): Route[] {
  const description = JSON.stringify(openApi(release));
  const live = (ctx: Context): void => {
    if (!health.live()) throw new GkvError('unavailable', 'this instance cannot go on and must be started again');
    answerJson(ctx, '{"live":true}');
  };
  const ready = (ctx: Context): void => {
    const why = health.unready();
    if (why !== undefined) throw new GkvError('unavailable', `this instance is not ready: ${why}`);
    answerJson(ctx, '{"ready":true}');
  };
  const clusterId = (ctx: Context): void => {
    ctx.set('Content-Type', 'text/plain; charset=utf-8');
    ctx.body = identity.clusterId;
  };
  const meshId = (ctx: Context): void => {
    ctx.set('Content-Type', 'text/plain; charset=utf-8');
    ctx.body = identity.meshId;
  };
  return [
    { method: 'GET', path: '/cluster_id', handle: clusterId },
    { method: 'GET', path: '/mesh_id', handle: meshId },
    { method: 'GET', path: '/livez', handle: live },
    { method: 'GET', path: '/readyz', handle: ready },
    {
      method: 'GET',
      path: '/openapi.json',
      handle: (ctx) => {
        answerJson(ctx, description);
      },
    },
  ];
}

/** What operators and their machines look at. */
export function watchRoutes({ metrics, peers }: OpsDeps): Route[] {
  const scrape = async (ctx: Context): Promise<void> => {
    const text = await metrics.text();
    ctx.set('Content-Type', metrics.contentType);
    ctx.body = text;
  };
  const list = (ctx: Context): void => {
    answerJson(ctx, JSON.stringify({ peers: peers.peers() }));
  };
  return [
    { method: 'GET', path: '/peers', handle: list },
    { method: 'GET', path: '/metrics', handle: scrape },
  ];
}
