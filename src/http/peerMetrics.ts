import { Gauge, type Registry } from 'prom-client';
import { type Log } from '../core/ports.ts';
import { type PeerStatus } from './ports.ts';

const gauges: readonly { readonly name: string; readonly help: string; readonly of: (peer: PeerStatus) => number }[] = [
  { name: 'connected', help: '1 while its feed is followed by this instance and it answers', of: ({ connected }) => Number(connected) },
  {
    name: 'lag_seconds',
    help: 'From being accepted anywhere to being here: of the last write that it brought',
    of: ({ lagMs }) => lagMs / 1_000,
  },
  {
    name: 'clock_skew_seconds',
    help: 'Its wall clock less ours; the network’s delay is in it',
    of: ({ clockSkewMs }) => clockSkewMs / 1_000,
  },
  { name: 'failures', help: 'Requests to its feed that failed since this instance began to follow it', of: ({ failures }) => failures },
  {
    name: 'defects',
    help: 'Writes that an exchange with it had to repair though they should have been here',
    of: ({ defects }) => defects,
  },
];

/** One value a member and gauge. `read` that fails leaves them out of that answer. */
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
          for (const peer of await read()) this.set({ peer: peer.clusterId, region: peer.regionName }, of(peer));
        } catch (error) {
          log.warn({ err: error, metric: name }, 'metric could not be read');
        }
      },
    });
  }
}
