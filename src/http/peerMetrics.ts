import { Gauge, type Registry } from 'prom-client';
import { type Log } from '../core/ports.ts';
import { type OriginStatus, type PeerStatus } from './ports.ts';

interface PeerGauge<T> {
  readonly name: string;
  readonly help: string;
  readonly of: (of: T) => number | null;
}

const gauges: readonly PeerGauge<PeerStatus>[] = [
  {
    name: 'peer_connected',
    help: '1 while its feed is followed by this instance and it answers',
    of: ({ connected }) => Number(connected),
  },
  {
    name: 'peer_lag_seconds',
    help: '0 while all that it had is here and it answers in time, else since when that was so; left out where it never was, or it is not followed here',
    of: ({ lagMs }) => inSeconds(lagMs),
  },
  {
    name: 'peer_lag_writes',
    help: 'Writes of its feed that are still to be gone through, those among them that are here from others; 1000 are so many or more; left out where that is not known',
    of: ({ lagWrites }) => lagWrites,
  },
  {
    name: 'peer_clock_skew_seconds',
    help: 'Its wall clock less ours; the network’s delay is in it; left out where it never answered here',
    of: ({ clockSkewMs }) => inSeconds(clockSkewMs),
  },
  {
    name: 'peer_failures',
    help: 'Requests to its feed that failed since this instance began to follow it',
    of: ({ failures }) => failures,
  },
  {
    name: 'peer_defects',
    help: 'Writes that an exchange with it had to repair though they should have been here',
    of: ({ defects }) => defects,
  },
];

function inSeconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1_000;
}

const originGauge: PeerGauge<OriginStatus> = {
  name: 'origin_age_seconds',
  help: 'Age of that up to which all is here that it took in itself, this cluster among them; left out where that is not known yet',
  of: ({ ageMs }) => inSeconds(ageMs),
};

/** One value a member and gauge; none where that is not known. What fails is left out of that answer. */
export function registerPeerGauges(
  registry: Registry,
  peers: () => Promise<readonly PeerStatus[]>,
  origins: () => Promise<readonly OriginStatus[]>,
  log: Log,
): void {
  registerGauges(registry, gauges, peers, log);
  registerGauges(registry, [originGauge], origins, log);
}

function registerGauges<T extends Pick<PeerStatus, 'clusterId' | 'regionName'>>(
  registry: Registry,
  described: readonly PeerGauge<T>[],
  read: () => Promise<readonly T[]>,
  log: Log,
): void {
  for (const { name, help, of } of described) {
    new Gauge({
      name: `gkvmesh_${name}`,
      help,
      labelNames: ['peer', 'region'],
      registers: [registry],
      async collect() {
        this.reset();
        try {
          for (const peer of await read()) {
            const value = of(peer);
            if (value !== null) this.set({ peer: peer.clusterId, region: peer.regionName }, value);
          }
        } catch (error) {
          log.warn({ err: error, metric: name }, 'metric could not be read');
        }
      },
    });
  }
}
