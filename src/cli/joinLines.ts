import { print } from './io.ts';

export interface JoinProgress {
  readonly writes: number;
  readonly bytes: number;
  readonly ms: number;
}

const betweenMs = 1_000;

/** Tells how far a join is: a line a second, and one at the end. */
export class JoinLines {
  #last: JoinProgress = { writes: 0, bytes: 0, ms: 0 };
  #shownMs = 0;

  update(progress: JoinProgress): void {
    this.#last = progress;
    if (progress.ms - this.#shownMs < betweenMs) return;
    this.#shownMs = progress.ms;
    print(`  ${told(progress)}`);
  }

  finish(): void {
    print(`gkvmesh joined: ${told(this.#last)} in ${(this.#last.ms / 1_000).toFixed(1)} s`);
  }
}

function told({ writes, bytes, ms }: JoinProgress): string {
  const rate = Math.round(writes / Math.max(0.001, ms / 1_000));
  return `${writes} writes, ${(bytes / 1_000_000).toFixed(1)} MB, ${rate} writes/s`;
}
