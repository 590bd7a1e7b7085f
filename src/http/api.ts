import type Koa from 'koa';
import { limits } from '../core/limits.ts';
import { type Clock, type Log } from '../core/ports.ts';
import { type Access } from './access.ts';
import { BodyReader } from './body.ts';
import { controlRoutes } from './control.ts';
import { dataRoutes } from './data.ts';
import { type HostRule } from './gate.ts';
import { forCallers, forControl } from './guard.ts';
import { type Metrics } from './metrics.ts';
import { memberRoutes } from './members.ts';
import { opsRoutes, watchRoutes } from './ops.ts';
import {
  type Backups,
  type DataStore,
  type EntryView,
  type Health,
  type Identity,
  type MembersControl,
  type PeersView,
  type Puller,
  type RecordsView,
  type RefusalsView,
  type StatusView,
  type TreeView,
} from './ports.ts';
import { createShell, type Answer } from './shell.ts';

export interface ApiDeps {
  readonly store: DataStore;
  readonly puller: Puller;
  readonly tree: TreeView;
  readonly status: StatusView;
  readonly backups: Backups;
  readonly entries: EntryView;
  readonly refusals: RefusalsView;
  /** Undefined in an open mesh. */
  readonly records: RecordsView | undefined;
  readonly identity: Identity;
  readonly peers: PeersView;
  readonly members: MembersControl;
  readonly access: Access;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly hosts: HostRule;
  readonly clock: Clock;
  readonly log: Log;
  readonly requestIdPrefix: string;
  readonly release: string;
  readonly bodyArrivalMsMax: number;
  /** As of the shell. */
  readonly unsentBytesMax?: number;
  /** As of the body reader. */
  readonly arrivingBytesMax?: number;
  /** Ends what would go on for long: pulls. */
  readonly signal: AbortSignal;
}

const unknownPathAdvice = 'see /openapi.json';

/** The HTTP API for clients and operators. */
export function createApi(deps: ApiDeps): Koa {
  const { bodyArrivalMsMax: arrivalMsMax, arrivingBytesMax } = deps;
  const bodies = new BodyReader({ bytesMax: limits.bodyBytesMax, arrivalMsMax, arrivingBytesMax }, deps.clock, deps.signal);
  const { metrics, access } = deps;
  const observe = (answer: Answer): void => {
    metrics.request(answer);
  };
  return createShell({ ...deps, observe, unknownPathAdvice }, [
    ...forCallers(access, dataRoutes(deps.store, bodies, deps.signal, deps.health)),
    ...forControl(access, [
      ...controlRoutes({ ...deps, bodies }),
      ...memberRoutes(deps.members, bodies, deps.signal),
      ...watchRoutes(deps),
    ]),
    ...opsRoutes(deps),
  ]);
}
