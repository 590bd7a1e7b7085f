import { toHex } from '../core/bytes.ts';
import { GkvError, type ErrorCode } from '../core/errors.ts';
import { parseKey, type Key } from '../core/key.ts';
import { type Clock } from '../core/ports.ts';
import { type Guard } from './guard.ts';
import { keysOfSubmission, type Submission } from './proposal.ts';
import { type Outcome } from './results.ts';

/** By which way a write came: from a caller of ours, whom we would have signed for; signed by its client; from another cluster. */
export type Via = 'api' | 'signed' | 'peer';

/** A write that was not taken in, and why. Ids in hex. */
export interface RefusedWrite {
  readonly key: Key;
  readonly via: Via;
  /** The cluster that sent it; null where it was a client. */
  readonly peer: string | null;
  readonly code: ErrorCode;
  readonly message: string;
  readonly link: number | null;
  readonly grant: string | null;
  readonly endedBy: string | null;
}

/** Whom refusals are told, once nothing can change them. */
export interface RefusalObserver {
  refused(writes: readonly RefusedWrite[]): void;
}

/** What a commit refused of a submission. What `ifVersion` did not find is no such refusal, and neither is what only waits. */
export function refusedOf(submission: Submission, outcome: Outcome | undefined, guard: Guard | undefined): RefusedWrite[] {
  if (submission.kind === 'closing' || outcome === undefined) return [];
  if (submission.kind !== 'received')
    return refusedByError(outcome, keysOfSubmission(submission), submission.kind === 'local' ? 'api' : 'signed');
  if (outcome instanceof GkvError) return []; // none of its writes was looked at
  const refused: RefusedWrite[] = [];
  for (const [i, { status }] of outcome.entries()) {
    const received = submission.writes[i];
    if (received === undefined || (status !== 'forged' && status !== 'below_floor' && status !== 'denied')) continue;
    const where = { key: received.write.key, via: 'peer', peer: submission.peer, link: null, grant: toHex(received.write.leaf) } as const;
    if (status === 'forged')
      refused.push({ ...where, code: 'bad_signature', message: 'its signature is none of who holds the grant', endedBy: null });
    if (status === 'below_floor')
      refused.push({ ...where, code: 'below_floor', message: 'it is below the floor and was forgotten', endedBy: null });
    const refusal = status === 'denied' ? guard?.refusalOf(received, submission.proofs?.[i] ?? 'grant unknown') : undefined;
    if (refusal === undefined) continue;
    const { code, message, link, grantId, endedBy } = refusal;
    refused.push({ ...where, code, message, link: link ?? null, grant: hexOf(grantId), endedBy: hexOf(endedBy) });
  }
  return refused;
}

/** What an error says of the operation that it names. */
export function refusedByError(error: unknown, keys: readonly Key[], via: Via): RefusedWrite[] {
  if (!(error instanceof GkvError) || error.code === 'version_mismatch') return [];
  const { index, link, grant, endedBy } = error.details;
  const key = typeof index === 'number' ? keys[index] : undefined;
  if (key === undefined) return [];
  const text = (detail: unknown): string | null => (typeof detail === 'string' ? detail : null);
  return [
    {
      ...{ key, via, peer: null, code: error.code, message: error.message },
      ...{ link: typeof link === 'number' ? link : null, grant: text(grant), endedBy: text(endedBy) },
    },
  ];
}

/** Refusals that are remembered. */
const rememberedMax = 100;

/** The last refusals of this process, for operators; no values. */
export class LastRefusals implements RefusalObserver {
  readonly #clock: Clock;
  #last: (RefusedWrite & { readonly atMs: number })[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  refused(writes: readonly RefusedWrite[]): void {
    const atMs = this.#clock.now();
    const noted = writes.slice(-rememberedMax).map((write) => ({ ...write, key: parseKey(Uint8Array.from(write.key)), atMs })); // not a view of a whole frame
    this.#last = [...this.#last, ...noted].slice(-rememberedMax);
  }

  /** The latest first. `atMs`: since the epoch. */
  latest(): readonly (RefusedWrite & { readonly atMs: number })[] {
    return [...this.#last].reverse();
  }
}

function hexOf(id: Uint8Array | undefined): string | null {
  return id === undefined ? null : toHex(id);
}
