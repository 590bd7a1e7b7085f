import { scrub, type ScrubReport } from '../aae/scrub.ts';
import { asBuffer } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { type Clock, type Log, type Random } from '../core/ports.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type Job } from '../replica/jobs.ts';
import { type Store } from '../store/store.ts';

/** Before the first one, give or take a quarter: soon, for what a process that never lives long does not look at is damaged in silence. */
const firstPauseMs = 240_000;
/** Between two. */
const pauseMs = 3_600_000;
const jobName = 'scrub';

export interface ScrubbingDeps {
  readonly digests: MeshDigests;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Leases of this process; undefined: nobody shares its store. */
  readonly leases: { held(name: string): unknown } | undefined;
}

/** Has the store scrubbed again and again, and knows what that found. Kept in memory: a process knows what it found itself. */
export class Scrubbing {
  readonly job: Job;
  readonly #deps: ScrubbingDeps;
  #isDone = false;
  #last: (ScrubReport & { readonly endedMs: number }) | undefined;
  #underWay: ScrubReport | undefined;

  constructor(deps: ScrubbingDeps) {
    this.#deps = deps;
    this.job = {
      name: jobName,
      pauseMs: () => (this.#isDone ? pauseMs : firstPauseMs * (0.75 + deps.random.fraction() / 2)),
      runsOn: 'one',
      work: (store, signal) => this.#run(store, signal),
    };
  }

  /** What the last one that went through the whole store found, and when it ended, by the wall clock. Undefined: none yet, or another instance does it. */
  get last(): (ScrubReport & { readonly endedMs: number }) | undefined {
    return this.#isOurs ? this.#last : undefined;
  }

  /** How many keys hold something else than what was written, by the last one, or the one under way where that has found more. Undefined as of `last`. */
  get damagedCount(): number | undefined {
    return this.#worst?.damagedCount;
  }

  /** Why somebody must look: `corrupt`. */
  get fault(): GkvError | undefined {
    const { damagedCount = 0, damaged: [first] = [] } = this.#worst ?? {};
    if (first === undefined) return undefined;
    const keys = damagedCount === 1 ? '1 key holds' : `${damagedCount} keys hold`;
    return new GkvError(
      'corrupt',
      `${keys} something else than what was written, the first ${asBuffer(first).toString('base64url')} (base64url); the log names them. ` +
        'Look at the disk, then write these keys again with what another region has, or fill this region anew from an empty store',
    );
  }

  get #isOurs(): boolean {
    const { leases } = this.#deps;
    return leases === undefined || leases.held(`job/${jobName}`) !== undefined;
  }

  get #worst(): ScrubReport | undefined {
    if (!this.#isOurs) return undefined;
    const underWay = this.#underWay?.damagedCount ?? 0;
    return underWay > (this.#last?.damagedCount ?? 0) ? this.#underWay : this.#last;
  }

  async #run(store: Store, signal: AbortSignal): Promise<void> {
    const { digests, log, clock } = this.#deps;
    const report = await scrub(store, digests, log, signal, (soFar) => {
      this.#underWay = soFar;
    });
    if (signal.aborted) return; // it may not have seen everything
    this.#isDone = true;
    this.#last = { ...report, endedMs: clock.now() };
    this.#underWay = undefined;
  }
}
