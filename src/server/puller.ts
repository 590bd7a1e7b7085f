import { Driver, type DriverDeps } from '../aae/driver.ts';
import { GkvError } from '../core/errors.ts';
import { type Log } from '../core/ports.ts';
import { type Metrics } from '../http/metrics.ts';
import { type Puller } from '../http/ports.ts';
import { type Links } from '../mesh/ports.ts';

/** Runs an exchange with whom the API names, counts it and logs it. */
export function createPuller(deps: DriverDeps, links: Links, metrics: Metrics, log: Log): Puller {
  return {
    pull: async ({ host, port, range: scope, direction, onProgress, signal }) => {
      const driver = new Driver(deps, links.link({ host, port }, 'exchange'), { scope, direction, onProgress, signal });
      try {
        const report = await driver.run();
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
