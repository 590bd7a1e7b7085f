import { GkvError, type ErrorCode } from '../core/errors.ts';
import { type Scope } from '../core/scope.ts';

/** How it goes with one upstream; what status and metrics tell. Times are of the wall clock, in ms. */
export interface PeerHealth {
  connected: boolean;
  /** When it last answered; 0: not yet. */
  contactMs: number;
  /** When everything that it had was here last; 0: not yet. */
  levelMs: number;
  /** The last page that was taken in ended its feed. */
  isLevel: boolean;
  /** Rows of its feed behind the last page that was taken in, as it counted them last, up to 1,000; undefined: not known. */
  behind: number | undefined;
  /** By the monotonic clock: when it was last known that everything that it had is here; undefined: not yet. */
  levelAtMs: number | undefined;
  /** By the monotonic clock: its answer to the question under way is late from then on. */
  lateAtMs: number;
  /** Its wall clock less ours, at its last answer; the network's delay is in it. */
  skewMs: number;
  /** Which keys it holds, as it proved at its last answer; undefined: everything, or it was not heard of. */
  scope: Scope | undefined;
  pages: number;
  writes: number;
  applied: number;
  bytesIn: number;
  bytesOut: number;
  failures: number;
  lastError: { readonly code: ErrorCode; readonly message: string } | undefined;
  /** Writes that an exchange had to repair though our frontier covered them: a defect. */
  defects: number;
  exchanges: number;
  lastExchange:
    | { readonly atMs: number; readonly result: 'converged' | 'partial' | ErrorCode; readonly received: number; readonly sent: number }
    | undefined;
}

export function newHealth(): PeerHealth {
  return {
    connected: false,
    contactMs: 0,
    levelMs: 0,
    isLevel: false,
    behind: undefined,
    levelAtMs: undefined,
    lateAtMs: 0,
    skewMs: 0,
    scope: undefined,
    pages: 0,
    writes: 0,
    applied: 0,
    bytesIn: 0,
    bytesOut: 0,
    failures: 0,
    lastError: undefined,
    defects: 0,
    exchanges: 0,
    lastExchange: undefined,
  };
}

/**
 * How far we may be behind it, in ms: 0 while all that it had is here and it answers in time, else since when that was last known to be so. Undefined: it
 * never was. `nowMs`: by the monotonic clock.
 */
export function lagOf({ connected, isLevel, levelAtMs, lateAtMs }: PeerHealth, nowMs: number): number | undefined {
  if (levelAtMs === undefined) return undefined;
  return connected && isLevel && nowMs < lateAtMs ? 0 : Math.max(1, Math.round(nowMs - levelAtMs));
}

/** How many writes of its feed we have still to go through: 0 while `lagOf` is, and 1,000 are so many or more. Undefined: not known. `nowMs`: by the monotonic clock. */
export function lagWritesOf(health: PeerHealth, nowMs: number): number | undefined {
  return health.behind === 0 && lagOf(health, nowMs) !== 0 ? undefined : health.behind;
}

/** Behind a page that was taken in: none at the end, else what it tells, or one before it of the same way to the end did. */
export function noteBehind(health: PeerHealth, { end, behind }: { readonly end: unknown; readonly behind?: number | undefined }): void {
  if (end !== undefined) health.behind = 0;
  else health.behind = behind ?? (health.behind === 0 ? undefined : health.behind);
}

export function noteFailure(health: PeerHealth, error: unknown): void {
  health.connected = false;
  health.isLevel = false;
  health.failures += 1;
  health.lastError = { code: codeOf(error), message: error instanceof Error ? error.message : String(error) };
}

export function codeOf(error: unknown): ErrorCode {
  return error instanceof GkvError ? error.code : 'internal';
}
