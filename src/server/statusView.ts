import { toHex } from '../core/bytes.ts';
import { countOf, bytesOf } from '../core/sum.ts';
import { hostPortText } from '../core/hostPort.ts';
import { rootSum } from '../aae/tree.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type GkvError } from '../core/errors.ts';
import { type Clock } from '../core/ports.ts';
import { everything, scopeText, type Scope } from '../core/scope.ts';
import { physicalMsOf, stampToHex } from '../core/stamp.ts';
import { uuidText } from '../core/uuid.ts';
import { type ScrubGauges } from '../http/metrics.ts';
import {
  type Identity,
  type MeshStatus,
  type OriginStatus,
  type ParkedByReason,
  type PeerStatus,
  type PeerView,
  type ScrubStatus,
  type StatusReport,
  type StatusView,
} from '../http/ports.ts';
import { lagOf, lagWritesOf } from '../mesh/health.ts';
import { type Mesh } from '../mesh/mesh.ts';
import { type MemberView, type MeshView, type OriginView } from '../mesh/view.ts';
import { type PeerRecord } from '../mesh/peers.ts';
import { type Leases } from '../replica/lease.ts';
import { type ParkedCount } from '../replica/park.ts';
import { type Replica } from '../replica/replica.ts';
import { allTables } from '../store/keyspace.ts';
import { type Store } from '../store/store.ts';
import { floorHolders } from './floorHolders.ts';
import { type OpenStore } from './openStore.ts';
import { release } from './release.ts';
import { type Scrubbing } from './scrubbing.ts';

export interface StatusDeps {
  readonly opened: OpenStore;
  readonly identity: Identity;
  readonly scope: Scope;
  readonly digests: MeshDigests;
  readonly replica: Replica;
  readonly mesh: Mesh;
  readonly scrubbing: Pick<Scrubbing, 'last' | 'fault'>;
  /** Of a store that others share; undefined: nobody does. */
  readonly leases: Pick<Leases, 'names'> | undefined;
  readonly clock: Clock;
  readonly unready: () => string | undefined;
}

/** Answers also while the store does not. */
export function statusView({ opened, identity, scope, digests, replica, mesh, scrubbing, leases, clock, unready }: StatusDeps): StatusView {
  const known = <T>(read: () => Promise<T>): Promise<T | undefined> =>
    opened.available() ? read().catch(() => undefined) : Promise.resolve(undefined);
  const status = async (): Promise<StatusReport> => {
    const health = await opened.health();
    const why = unready();
    const [size, content, parked, view] = await Promise.all([
      known(() => sizeOf(opened.store)),
      known(() => contentOf(opened.store, digests)),
      known(() => replica.parkedCount()),
      known(() => mesh.view()),
    ]);
    return {
      ...identity,
      release,
      ready: why === undefined,
      unready: why ?? null,
      slot: replica.slot,
      leases: leases?.names() ?? [],
      clockAheadMs: replica.hlc.aheadMs(),
      store: { kind: opened.kind, ...health, sizeBytes: size ?? null, scrub: scrubStatus(scrubbing.last), fault: textOf(scrubbing.fault) },
      entries: content?.entries ?? null,
      bytes: content?.bytes ?? null,
      parkedWrites: parked?.writes ?? null,
      parkedByReason: parked === undefined ? null : parkedByReason(parked),
      mesh: view === undefined ? null : meshStatus(view, identity, scope, clock),
    };
  };
  return { status };
}

function scrubStatus(last: Scrubbing['last']): ScrubStatus | null {
  if (last === undefined) return null;
  const { endedMs, keys, repaired, damagedCount } = last;
  return { endedMs, keys, repaired, damaged: damagedCount };
}

/** `nowMs`: by the wall clock. */
export function scrubGauges({ last, damagedCount }: Scrubbing, nowMs: number): ScrubGauges {
  return { ageMs: last && Math.max(0, nowMs - last.endedMs), keys: last?.keys, repaired: last?.repaired, damaged: damagedCount };
}

export function peerView({ clusterId, address, regionName }: PeerRecord): PeerView {
  return { clusterId: uuidText(clusterId), address: hostPortText(address), regionName };
}

/** Of each what waits for it. */
export function parkedByReason({ writes, unproven }: ParkedCount): ParkedByReason {
  if (unproven === undefined) return { clockAhead: null, grantUnknown: null };
  return { clockAhead: writes - unproven, grantUnknown: unproven };
}

/** Those of all origins; `nowMs`: by the wall clock. */
export function originStatuses(
  { origins }: Pick<MeshView, 'origins'>,
  { region }: Pick<Identity, 'region'>,
  nowMs: number,
): OriginStatus[] {
  const [own, ...others] = origins.map((origin) => originStatus(origin, nowMs));
  return own === undefined ? [] : [{ ...own, regionName: region }, ...others];
}

function originStatus({ clusterId, regionName, closed }: OriginView, nowMs: number): OriginStatus {
  const ageMs = closed === undefined ? null : Math.max(0, nowMs - physicalMsOf(closed));
  return { clusterId: uuidText(clusterId), regionName, closed: closed === undefined ? null : stampToHex(closed), ageMs };
}

function meshStatus(view: MeshView, { region }: Pick<Identity, 'region'>, scope: Scope, clock: Clock): MeshStatus {
  const { members, removed, joining, epoch, low, floor, fault } = view;
  return {
    peers: members.map((member) => peerStatus(member, clock.monotonic())),
    origins: originStatuses(view, { region }, clock.now()),
    scope: scopeText(scope),
    joining: joining.map(peerView),
    removed: removed.map(({ clusterId, settled }) => ({ clusterId: uuidText(clusterId), settled })),
    epoch: toHex(epoch),
    low: stampToHex(low),
    floor: stampToHex(floor),
    floorHeldBackBy: floorHolders(view, clock.now()),
    fault: textOf(fault),
  };
}

/** `nowMs`: by the monotonic clock. */
export function peerStatus({ record, low, isAtEpoch, health, fault }: MemberView, nowMs: number): PeerStatus {
  const at = (ms: number | undefined): number | null => (ms === undefined || ms === 0 ? null : ms);
  return {
    ...peerView(record),
    followed: health !== undefined,
    connected: health?.connected ?? false,
    lastContactMs: at(health?.contactMs),
    lastLevelMs: at(health?.levelMs),
    lagMs: health === undefined ? null : (lagOf(health, nowMs) ?? null),
    lagWrites: health === undefined ? null : (lagWritesOf(health, nowMs) ?? null),
    clockSkewMs: health === undefined || health.contactMs === 0 ? null : health.skewMs,
    low: low === undefined ? null : stampToHex(low),
    scope: health === undefined || health.contactMs === 0 ? null : scopeText(health.scope ?? everything),
    writes: health?.writes ?? 0,
    failures: health?.failures ?? 0,
    lastError: health?.lastError === undefined ? null : `${health.lastError.code}: ${health.lastError.message}`,
    lastExchange: health?.lastExchange ?? null,
    defects: health?.defects ?? 0,
    atEpoch: isAtEpoch,
    fault: textOf(fault),
  };
}

function textOf(fault: GkvError | undefined): string | null {
  return fault === undefined ? null : `${fault.code}: ${fault.message}`;
}

/** What a store takes, in bytes: on disk, or where others have their data on it too, roughly what ours takes. */
export async function sizeOf(store: Store): Promise<number> {
  const onDisk = store.diskBytes();
  return onDisk > 0 ? onDisk : store.approximateBytes(allTables);
}

/** Candidate writes held, and the bytes of their keys and values. */
export async function contentOf(store: Store, digests: MeshDigests): Promise<{ entries: number; bytes: number }> {
  const sum = await store.read((snapshot) => rootSum(snapshot, digests));
  return { entries: countOf(sum), bytes: bytesOf(sum) };
}
