import { type PullReport } from '../aae/driver.ts';
import { type Key, type KeyRange } from '../core/key.ts';
import { type WriteOp, type WriteOutcome } from '../replica/proposal.ts';
import { type ListQuery, type ListResult, type ReadResult } from '../replica/read.ts';

/** The data of this cluster, as the API needs it; the replica is one. */
export interface DataStore {
  get(key: Key): Promise<ReadResult>;
  list(query: ListQuery): Promise<ListResult>;
  /** All or nothing. Errors: `version_mismatch` with details {version: hex or null, index}. */
  write(ops: readonly WriteOp[]): Promise<readonly WriteOutcome[]>;
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

/** What an operator sees at a glance. What the store cannot tell while it does not answer is null. */
export interface StatusReport extends Identity {
  readonly release: string;
  readonly ready: boolean;
  /** The slot of its cluster that the instance commits under. */
  readonly slot: number;
  readonly clockAheadMs: number;
  readonly store: {
    readonly kind: 'lmdb' | 'fdb';
    readonly available: boolean;
    readonly healthy: boolean;
    /** What is wrong, and what to do; empty when healthy. */
    readonly message: string;
  };
  readonly entries: number | null;
  readonly bytes: number | null;
  readonly parkedWrites: number | null;
}

export interface StatusView {
  status(): Promise<StatusReport>;
}

/** The answering side of exchanges, on the mesh port. */
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
  ready(): boolean;
}
