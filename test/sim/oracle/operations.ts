/** One write that a client asked for; `value` names it, and no other write has it. */
export interface AskedWrite {
  readonly key: string;
  readonly kind: 'set' | 'delete';
  readonly value: string;
  readonly expiresInMs: number | undefined;
  /** The version that must be there, null for none; undefined where anything will do. */
  readonly expected: string | null | undefined;
}

/** What a client knows of what it asked for. */
type Outcome = 'pending' | 'acknowledged' | 'refused' | 'unknown';

/** One call of a client that writes, all or nothing. */
export interface Operation {
  readonly id: number;
  /** The disk that it was acknowledged on; another once a cluster has lost its own. */
  readonly disk: string;
  readonly writes: readonly AskedWrite[];
  outcome: Outcome;
  /** Where acknowledged: a version for each write. */
  versions: readonly string[];
}

export interface AcknowledgedWrite extends AskedWrite {
  readonly version: string;
  readonly operation: Operation;
  /** It need not be anywhere any more: the last disk that it was on was lost, or its authority has ended. */
  lost: boolean;
}
