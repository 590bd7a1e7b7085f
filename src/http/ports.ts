import { type PullReport } from '../aae/driver.ts';
import { type Key, type KeyRange } from '../core/key.ts';
import { type WriteOp, type WriteOutcome } from '../replica/proposal.ts';
import { type ListQuery, type ListResult, type ReadResult } from '../replica/read.ts';

/** What the API reads and writes; the replica. */
export interface DataStore {
  get(key: Key): Promise<ReadResult>;
  list(query: ListQuery): Promise<ListResult>;
  /** All or nothing. Error: `version_mismatch` with details `version` and `index`. */
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

/** Brings us level with a peer. */
export interface Puller {
  pull(request: PullRequest): Promise<PullReport>;
}

export interface TreeSummary {
  /** 96 hex digits. */
  readonly sum: string;
  readonly count: number;
  readonly bytes: number;
  readonly levels: number;
  /** Branches at the highest level. */
  readonly topBranches: number;
}

export interface TreeView {
  summary(): Promise<TreeSummary>;
}

export interface Identity {
  readonly clusterId: string;
  readonly meshId: string;
  readonly region: string;
}

export interface Health {
  live(): boolean;
  ready(): boolean;
}

/** The answering side of exchanges. */
export interface FrameResponder {
  answer(frame: Uint8Array): Promise<Uint8Array>;
}
