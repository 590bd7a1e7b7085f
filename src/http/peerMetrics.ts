import { Gauge, type Registry } from 'prom-client';
import { type Log } from '../core/ports.ts';
import { type PeerStatus } from './ports.ts';

const gauges: readonly { readonly name: string; readonly help: string; readonly of: (peer: PeerStatus) => number | null }[] = [
  { name: 'connected', help: '1 while its feed is followed by this instance and it answers', of: ({ connected }) => Number(connected) },
  {
    name: 'lag_seconds',
    help: '0 while all that it had is here and it answers in time, else since when that was so; left out where it never was, or it is not followed here',
    of: ({ lagMs }) => inSeconds(lagMs),
  },
  {
    name: 'clock_skew_seconds',
    help: 'Its wall clock less ours; the network’s delay is in it; left out where it never answered here',
    of: ({ clockSkewMs }) => inSeconds(clockSkewMs),
  },
  { name: 'failures', help: 'Requests to its feed that failed since this instance began to follow it', of: ({ failures }) => failures },
  {
    name: 'defects',
    help: 'Writes that an exchange with it had to repair though they should have been here',
    of: ({ defects }) => defects,
  },
];

function inSeconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1_000;
}

/** One value a member and gauge; none where that is not known. `read` that fails leaves them out of that answer. */
export function registerPeerGauges(registry: Registry, read: () => Promise<readonly PeerStatus[]>, log: Log): void {
  for (const { name, help, of } of gauges) {
    new Gauge({
      name: `gkvmesh_peer_${name}`,
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
