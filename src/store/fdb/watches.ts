import { type Clock } from '../../core/ports.ts';
import { type Bytes } from '../store.ts';
import { type Database, holding } from './driver.ts';
import { inTime } from './health.ts';
import { type Layout } from './layout.ts';

/** After a watch that could not be made or held: its end says nothing, and its caller will make another. */
const failedPauseMs = 200;
/** A watch whose version is not known by then ends: reads wait for it. */
const versionMsMax = 3_000;

/**
 * Watches of keys. Who watches, then reads, must not read an older version than the one that the watch compares with: so reads wait for the
 * watches that are being made.
 */
export class Watches {
  readonly #database: Database;
  readonly #layout: Layout;
  readonly #clock: Clock;
  readonly #making = new Set<Promise<true | undefined>>();

  constructor(database: Database, layout: Layout, clock: Clock) {
    this.#database = database;
    this.#layout = layout;
    this.#clock = clock;
  }

  /** Undefined when no watch is being made. */
  established(): Promise<unknown> | undefined {
    return this.#making.size === 0 ? undefined : Promise.all(this.#making);
  }

  /** Resolves when the value may have changed, or the signal aborts. */
  async watch(key: Bytes, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const native = this.#database.rawCreateTransaction();
    const version: Promise<true> = holding(native, native.getReadVersion()).then(
      () => true,
      () => true,
    );
    const making = inTime(version, this.#clock, versionMsMax);
    this.#making.add(making);
    const watch = native.watch(this.#layout.row(key));
    const changed = this.#changed(holding(native, native.rawCommit()), watch.promise, signal);
    await new Promise<void>((resolve) => {
      signal.addEventListener(
        'abort',
        () => {
          resolve();
        },
        { once: true },
      );
      void changed.then(resolve);
      void making.then((isMade) => {
        this.#making.delete(making);
        if (isMade === undefined) resolve();
      });
    });
    watch.cancel();
  }

  async #changed(committed: Promise<void>, changed: Promise<boolean>, signal: AbortSignal): Promise<void> {
    try {
      await committed;
      if (await changed) return;
    } catch {
      // said by waking up, after a pause
    }
    if (!signal.aborted) await this.#clock.sleep(failedPauseMs, signal);
  }
}
