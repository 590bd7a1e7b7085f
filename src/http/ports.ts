import { type PullReport } from '../aae/driver.ts';
import { type BackupResume } from '../backup/source.ts';
import { type Head } from '../core/entry.ts';
import { type GkvError } from '../core/errors.ts';
import { type AnyRecord } from '../grant/anyRecord.ts';
import { type HostPort } from '../core/hostPort.ts';
import { type Key, type KeyRange } from '../core/key.ts';
import { type WriteOp, type WriteOutcome } from '../replica/proposal.ts';
import { type GrantId } from '../core/write.ts';
import { type LeafChain } from '../replica/guard.ts';
import { type RefusedWrite } from '../replica/refused.ts';
import { type SignedStatement } from '../replica/signed.ts';
import { type Stamp } from '../core/stamp.ts';
import { type ListQuery, type ListResult, type ReadResult } from '../replica/read.ts';

/** The data of this cluster, as the API needs it; the replica is one. */
export interface DataStore {
  /** False when what was accepted under the stamp is not here after `msMax`. */
  waitFor(accepted: Stamp, msMax: number, signal: AbortSignal): Promise<boolean>;
  get(key: Key): Promise<ReadResult>;
  list(query: ListQuery): Promise<ListResult>;
  /** All or nothing. Errors: `version_mismatch` with details {version: hex or null, index}. */
  write(ops: readonly WriteOp[]): Promise<readonly WriteOutcome[]>;
  /** Whether clients may sign their writes: in a granted mesh. */
  readonly takesSigned: boolean;
  /** All or nothing. Errors: `mesh_mismatch` in an open mesh; `malformed`, `version_future`, `version_stale`, `below_floor` and those of grants, with details {index}. */
  writeSigned(statements: readonly SignedStatement[]): Promise<readonly WriteOutcome[]>;
}

export interface PullRequest {
  readonly host: string;
  readonly port: number;
  readonly range: KeyRange;
  readonly direction: 'both' | 'pull';
  readonly onProgress: (report: PullReport) => void;
  readonly signal: AbortSignal;
}

/** Brings a range of this cluster level with a peer. */
export interface Puller {
  pull(request: PullRequest): Promise<PullReport>;
}

export interface TreeSummary {
  /** 96 hex digits; equal sums mean equal contents. */
  readonly sum: string;
  readonly count: number;
  readonly bytes: number;
  readonly levels: number;
  /** Branches at the highest level; the one below has about 32 times as many. */
  readonly topBranches: number;
}

export interface TreeView {
  root(): Promise<TreeSummary>;
}

/** Backups of this cluster, as streams of records. */
export interface Backups {
  /** Ends when it is returned, and fails when the signal aborts. */
  open(resume: BackupResume | undefined, signal: AbortSignal): AsyncGenerator<Buffer>;
}

/** What an operator sees at a glance. What the store cannot tell while it does not answer is null. */
export interface StatusReport extends Identity {
  readonly release: string;
  readonly ready: boolean;
  /** Why it is not; null where it is. */
  readonly unready: string | null;
  /** The slot of its cluster that the instance commits under. */
  readonly slot: number;
  /** Those that this instance holds, in order: `slot/N`, and `job/NAME` of what one instance does; none on a store of its own. */
  readonly leases: readonly string[];
  readonly clockAheadMs: number;
  readonly store: {
    readonly kind: 'lmdb' | 'fdb';
    readonly available: boolean;
    readonly healthy: boolean;
    /** What is wrong, and what to do; empty when healthy. */
    readonly message: string;
    /** What it takes, on disk where it is embedded, else roughly; null: not known now. */
    readonly sizeBytes: number | null;
    /** Null: none has ended since this instance started, or another one does it. */
    readonly scrub: ScrubStatus | null;
    /** What is damaged in it, and what to do; null: nothing that this instance knows of. */
    readonly fault: string | null;
  };
  readonly entries: number | null;
  readonly bytes: number | null;
  /** Of peers, that wait, whatever for. */
  readonly parkedWrites: number | null;
  readonly parkedByReason: ParkedByReason | null;
  readonly mesh: MeshStatus | null;
}

/** What writes of peers wait for; null: some have waited since before that was counted. */
export interface ParkedByReason {
  /** They are too far ahead of our clock. */
  readonly clockAhead: number | null;
  /** A grant that they rest on is not known yet. */
  readonly grantUnknown: number | null;
}

/** What the last scrub found that went through the whole store. */
export interface ScrubStatus {
  /** By the wall clock, ms. */
  readonly endedMs: number;
  readonly keys: number;
  /** Branches of the tree that were wrong, and were put right. */
  readonly repaired: number;
  /** Keys that hold something else than what was written. */
  readonly damaged: number;
}

export interface StatusView {
  status(): Promise<StatusReport>;
}

/** A member as the data describe it. */
export interface PeerView {
  readonly clusterId: string;
  readonly address: string;
  readonly regionName: string;
}

/** How it goes with one member. Times are of the wall clock, in ms; null: not yet. */
export interface PeerStatus extends PeerView {
  /** Whether this instance follows it. Another of the cluster may. */
  readonly followed: boolean;
  readonly connected: boolean;
  readonly lastContactMs: number | null;
  /** When everything that it had was here last. */
  readonly lastLevelMs: number | null;
  /** How far we may be behind it: 0 while all that it had is here and it answers in time, else since when that was last so; null: it never was. */
  readonly lagMs: number | null;
  /** How many writes of its feed we have still to go through, those among them that we have from others; 1,000 are so many or more; null: not known. */
  readonly lagWrites: number | null;
  /** Its wall clock less ours, at its last answer. */
  readonly clockSkewMs: number | null;
  /** Up to where it has everything; null: not heard of. */
  readonly low: string | null;
  /** Which keys it holds: `**` for all; null: not heard of. */
  readonly scope: readonly string[] | null;
  readonly writes: number;
  readonly failures: number;
  readonly lastError: string | null;
  readonly lastExchange: { readonly atMs: number; readonly result: string; readonly received: number; readonly sent: number } | null;
  /** Writes that an exchange had to repair though they should have been here. */
  readonly defects: number;
  /** It said that it knows of the same members as we do. */
  readonly atEpoch: boolean;
  /** Why it is not in good standing; null: it is. */
  readonly fault: string | null;
}

/** Up to when all that a cluster took in itself is here. */
export interface OriginStatus {
  readonly clusterId: string;
  /** Empty where it has none, or its record cannot be read. */
  readonly regionName: string;
  /** Stamp in hex; null: of a slot of it nothing is known yet. */
  readonly closed: string | null;
  /** How long ago that was by our wall clock. */
  readonly ageMs: number | null;
}

/** The mesh as this cluster sees it. Stamps in hex. */
export interface MeshStatus {
  readonly peers: readonly PeerStatus[];
  /** All members, ourselves first. */
  readonly origins: readonly OriginStatus[];
  /** Which keys this cluster holds: `**` for all. */
  readonly scope: readonly string[];
  /** Up to where everything of every member is here. */
  readonly low: string;
  readonly floor: string;
  /** The cluster ids that must be heard, come level or be removed before the floor goes on; none while all is level. */
  readonly floorHeldBackBy: readonly string[];
  /** Names who is a member and who was removed; 16 hex digits. */
  readonly epoch: string;
  /** Clusters that were removed; until that is settled they hold the floor back. */
  readonly removed: readonly { readonly clusterId: string; readonly settled: boolean }[];
  /** Clusters that are being filled: until they are members, or removed, they hold the floor back. */
  readonly joining: readonly PeerView[];
  /** Why this cluster takes no part in the mesh, and what to do; null: it does. */
  readonly fault: string | null;
}

/** All that is held for one key. */
export interface EntryView {
  candidates(key: Key): Promise<readonly Head[]>;
  /** What a candidate rests on; undefined in an open mesh. */
  chainOf(leaf: GrantId): LeafChain | undefined;
}

/** The last writes that this instance has refused, the latest first. */
export interface RefusalsView {
  latest(): readonly (RefusedWrite & { readonly atMs: number })[];
}

/** What this cluster knows of the mesh's authority. */
export interface RecordsView {
  /** Behind a number, in their order, one at least where there is one. `next`: the number to go on from; undefined: there are no more. Error: `corrupt`. */
  page(after: number, recordsMax: number): Promise<{ readonly records: readonly AnyRecord[]; readonly next: number | undefined }>;
}

export interface PeersView {
  peers(): readonly PeerView[];
}

/** Who is a member of the mesh; a change is a write like any other, and reaches all regions. */
export interface MembersControl {
  /** Asks who is at the address. Errors: `peer_unreachable` and the like, `mesh_mismatch`, `malformed` where that is us, `not_advertised`. */
  add(address: HostPort, regionName: string | undefined, signal: AbortSignal): Promise<PeerView>;
  /** `clusterId`: a UUID's 16 bytes. False where there is no such member. */
  remove(clusterId: Uint8Array): Promise<boolean>;
}

/** The answering side of frames, on the mesh port. */
export interface FrameResponder {
  answer(frame: Uint8Array): Promise<Uint8Array>;
}

export interface Identity {
  /** UUID. */
  readonly clusterId: string;
  /** 64 hex digits. */
  readonly meshId: string;
  readonly region: string;
}

export interface Health {
  live(): boolean;
  /** Why it is not ready; undefined: it is. */
  unready(): string | undefined;
  /** Why nothing more is taken from clients: it would reach no other region, ever; undefined: it may be. */
  ended(): GkvError | undefined;
}
