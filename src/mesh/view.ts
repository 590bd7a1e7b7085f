import { toHex } from '../core/bytes.ts';
import { type GkvError } from '../core/errors.ts';
import { type Stamp } from '../core/stamp.ts';
import { type Removal } from '../replica/ended.ts';
import { type PeerHealth } from './health.ts';
import { type PeerRecord } from './peers.ts';
import { type OwnCluster } from './ports.ts';
import { type Roster } from './roster.ts';
import { type Talk } from './talk.ts';
import { reachAt } from './words.ts';

/** A member as the data and its own words describe it. */
export interface MemberView {
  readonly record: PeerRecord;
  /** Up to where it has everything; undefined: nothing was heard of it yet. */
  readonly low: Stamp | undefined;
  /** Undefined where this instance does not follow it: another one does, or nobody. */
  readonly health: PeerHealth | undefined;
  /** It said that it knows of the same members as we do. */
  readonly isAtEpoch: boolean;
  /** Why it is not in good standing. */
  readonly fault: GkvError | undefined;
}

/** What of a cluster's own writes is here. */
export interface OriginView {
  readonly clusterId: Uint8Array;
  readonly regionName: string;
  /** Up to where all of them are; undefined: of a slot of it nothing is known yet. */
  readonly closed: Stamp | undefined;
}

export interface MeshView {
  /** Of ourselves, first, and of all members. */
  readonly origins: readonly OriginView[];
  readonly members: readonly MemberView[];
  /** Members whose records cannot be read: they hold the floor back all the same. */
  readonly unreadable: readonly { readonly clusterId: Uint8Array; readonly low: Stamp | undefined }[];
  readonly removed: readonly Removal[];
  /** Being filled: until they are members, or removed, the floor stands. */
  readonly joining: readonly PeerRecord[];
  /** Names who is a member and who was removed; 8 bytes. */
  readonly epoch: Uint8Array;
  readonly low: Stamp;
  readonly floor: Stamp;
  /** Why this cluster takes no part in the mesh until somebody does something: `must_bootstrap`, or `rollback_detected` by a peer. */
  readonly fault: GkvError | undefined;
}

/** What an instance knows of the mesh. `healthOf`: of a member, in hex, that this instance follows. */
export async function meshView(
  own: OwnCluster,
  roster: Roster,
  talk: Talk,
  healthOf: (name: string) => PeerHealth | undefined,
): Promise<MeshView> {
  const { words, standing } = talk;
  const { low, floor, frontier } = await talk.lowAndFloor();
  const members = roster.others().map((record) => {
    const name = toHex(record.clusterId);
    const word = words.of(name);
    const isAtEpoch = reachAt(word, roster.epoch) > 0;
    return { record, low: word?.low, isAtEpoch, health: healthOf(name), fault: standing.fault(name) };
  });
  const unreadable = roster.unreadable().map((name) => {
    return { clusterId: Buffer.from(name, 'hex'), low: words.of(name)?.low };
  });
  const regionNames = new Map(roster.records().map(({ clusterId, regionName }) => [toHex(clusterId), regionName]));
  const names = [toHex(own.clusterId), ...(roster.otherNames() ?? [])];
  const origins = names.map((name): OriginView => {
    return { clusterId: Buffer.from(name, 'hex'), regionName: regionNames.get(name) ?? '', closed: words.closedOf(frontier, name) };
  });
  const removed = roster.removed();
  const joining = roster.joining();
  return { members, origins, unreadable, removed, joining, epoch: roster.epoch, low, floor, fault: talk.fault() };
}
