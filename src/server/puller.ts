import { type DriverDeps } from '../aae/driver.ts';
import { exchangeWithin } from '../aae/scoped.ts';
import { GkvError } from '../core/errors.ts';
import { type Log } from '../core/ports.ts';
import { type Metrics } from '../http/metrics.ts';
import { type Puller } from '../http/ports.ts';
import { type Links } from '../mesh/ports.ts';

/** Runs an exchange with whom the API names, counts it and logs it. */
export function createPuller(deps: DriverDeps, links: Links, metrics: Metrics, log: Log): Puller {
  return {
    pull: async ({ host, port, range: scope, direction, onProgress, signal }) => {
      const link = links.link({ host, port }, 'exchange');
      try {
        const scopes = await link.scopes?.(signal);
        const report = await exchangeWithin(scopes, deps, link, { scope, direction, onProgress, signal });
        metrics.exchange({ kind: 'done', report });
        log.info({ peer: `${host}:${port}`, ...report }, 'pulled');
        return report;
      } catch (error) {
        metrics.exchange({ kind: 'failed', code: error instanceof GkvError ? error.code : 'internal' });
        throw error;
      }
    },
  };
}
