import { type Clock } from '../core/ports.ts';
import { compareStamps, physicalMsOf, stampZero, type Stamp } from '../core/stamp.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type Readings } from '../http/metrics.ts';
import { type Mesh } from '../mesh/mesh.ts';
import { type Replica } from '../replica/replica.ts';
import { type OpenStore } from './openStore.ts';
import { type Scrubbing } from './scrubbing.ts';
import { contentOf, originStatuses, parkedByReason, peerStatus, scrubGauges, sizeOf } from './statusView.ts';
import { type TlsPorts } from './tlsPorts.ts';

export interface ReadingsDeps {
  readonly opened: OpenStore;
  readonly digests: MeshDigests;
  readonly tls: TlsPorts;
  readonly clock: Clock;
  /** The name of ours. */
  readonly region: string;
  /** What is made after the metrics, which it reports to. */
  readonly made: () => { readonly replica: Replica; readonly mesh: Mesh; readonly scrubbing: Scrubbing };
}

/** What metrics read of an instance when they are asked for. */
export function readingsOf({ opened, digests, tls, clock, region, made }: ReadingsDeps): Readings {
  return {
    entries: () => contentOf(opened.store, digests),
    parked: async () => {
      const parked = await made().replica.parkedCount();
      return { ...parked, byReason: parkedByReason(parked) };
    },
    lapsed: () => made().replica.lapsedCount(),
    clockAheadMs: () => made().replica.hlc.aheadMs(),
    storeAvailable: () => opened.available(),
    storeBytes: () => sizeOf(opened.store),
    storeFull: () => opened.isFull(),
    storeRetries: () => opened.retries(),
    scrubbed: () => scrubGauges(made().scrubbing, clock.now()),
    peers: async () => (await made().mesh.view()).members.map((member) => peerStatus(member, clock.monotonic())),
    origins: async () => originStatuses(await made().mesh.view(), { region }, clock.now()),
    tlsEndsInMs: () => tls.endsInMs(),
    kept: async () => {
      const { low, floor } = await made().mesh.view();
      return { lowAgeMs: ageOf(low, clock.now()), floorAgeMs: ageOf(floor, clock.now()) };
    },
    faults: () => made().mesh.faults(),
  };
}

/** Undefined of zero, which is what is known before everybody was heard. */
function ageOf(stamp: Stamp, nowMs: number): number | undefined {
  return compareStamps(stamp, stampZero) === 0 ? undefined : Math.max(0, nowMs - physicalMsOf(stamp));
}
