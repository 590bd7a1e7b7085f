import { stat } from 'node:fs/promises';
import { type Clock } from '../core/ports.ts';

/** Another one whenever one of the files is another or was changed; follows symbolic links. */
export async function fingerprint(paths: readonly string[]): Promise<string> {
  const prints = paths.map((path) =>
    stat(path, { bigint: true }).then(
      ({ dev, ino, size, mtimeNs, ctimeNs }) => [dev, ino, size, mtimeNs, ctimeNs].join(' '),
      (error: unknown) => String(error),
    ),
  );
  return (await Promise.all(prints)).join('\n');
}

export interface Watching {
  readonly paths: readonly string[];
  /** Their fingerprint from before they were read: a change in between is seen at the first look. */
  readonly print: string;
  readonly everyMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Looks at files again and again until the signal aborts; `look` is told whether one of them is another than at the time before. */
export async function watchFiles({ paths, print, everyMs, clock, signal }: Watching, look: (isOther: boolean) => void): Promise<void> {
  for (let before = print; ;) {
    await clock.sleep(everyMs, signal);
    if (signal.aborted) return;
    const now = await fingerprint(paths);
    look(now !== before);
    before = now;
  }
}
