/** Clusters of two instances each. */
import { statusAnswer } from '../../src/http/schema.ts';
import { type RunningServer } from '../e2e/server.ts';
import { until } from '../support.ts';

export type Pair = readonly [RunningServer, RunningServer];

/** Waits until all have the same root. */
export async function level(servers: readonly RunningServer[]): Promise<void> {
  await until(async () => new Set(await Promise.all(servers.map(async (server) => (await server.tree()).sum))).size === 1);
}

/** What exchanges had to repair that a frontier had covered. */
export async function defects(servers: readonly RunningServer[]): Promise<number> {
  const statuses = await Promise.all(servers.map(async (server) => statusAnswer.parse((await server.get('/control/status')).json)));
  return statuses.flatMap(({ mesh }) => mesh?.peers ?? []).reduce((total, peer) => total + peer.defects, 0);
}
