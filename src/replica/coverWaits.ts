import { fromLatin1, toLatin1 } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { covers, type Frontier } from '../core/frontier.ts';
import { type Clock } from '../core/ports.ts';
import { type Stamp } from '../core/stamp.ts';
import { beginWait } from '../core/wait.ts';
import { type Store } from '../store/store.ts';
import { frontierRowOf } from './frontier.ts';

export interface CoverDeps {
  readonly store: Pick<Store, 'watch'>;
  readonly clock: Clock;
  /** What is here as of now. */
  readonly frontier: () => Promise<Frontier>;
}

interface Waiter {
  readonly accepted: Stamp;
  /** By the monotonic clock. */
  readonly dueMs: number;
  readonly signal: AbortSignal;
  settle(isCovered: boolean): void;
  fail(error: Error): void;
}

/** Those who wait for stamps of one slot. */
interface Group {
  readonly waiters: Set<Waiter>;
  /** Looks now. */
  look: () => void;
}

/** Looked at again after so long, whatever the watch says: what is covered by a base moves another row. */
const lookAgainMs = 500;

/** Reads that wait until what was accepted under a stamp is here: one look at the frontier serves all who wait for one slot. */
export class CoverWaits {
  readonly #deps: CoverDeps;
  /** By the row of the slot. */
  readonly #groups = new Map<string, Group>();

  constructor(deps: CoverDeps) {
    this.#deps = deps;
  }

  /** False when it is not here after `msMax`, or once the signal aborts. */
  wait(accepted: Stamp, msMax: number, signal: AbortSignal): Promise<boolean> {
    const name = toLatin1(frontierRowOf(accepted));
    const dueMs = this.#deps.clock.monotonic() + msMax;
    return new Promise((resolve, reject) => {
      const own = beginWait(signal);
      const look = (): void => this.#groups.get(name)?.look();
      const leave = (): void => {
        own.signal.removeEventListener('abort', look);
        own.end();
      };
      const settle = (isCovered: boolean): void => {
        leave();
        resolve(isCovered);
      };
      const fail = (error: Error): void => {
        leave();
        reject(error);
      };
      own.signal.addEventListener('abort', look);
      this.#add(name, { accepted, dueMs, signal, settle, fail });
    });
  }

  #add(name: string, waiter: Waiter): void {
    const group = this.#groups.get(name);
    if (group === undefined) void this.#serve(name, new Set([waiter]));
    else {
      group.waiters.add(waiter);
      group.look();
    }
  }

  /** Until nobody waits any more. */
  async #serve(name: string, waiters: Set<Waiter>): Promise<void> {
    const group = { waiters, look: () => undefined };
    this.#groups.set(name, group);
    try {
      while (waiters.size > 0) await this.#turn(fromLatin1(name), group);
    } catch (error) {
      for (const waiter of waiters) waiter.fail(asError(error));
    } finally {
      this.#groups.delete(name);
    }
  }

  /** One look, and then, where somebody still waits, until there may be more to see. */
  async #turn(row: Uint8Array, group: Group): Promise<void> {
    const { store, clock, frontier } = this.#deps;
    const pause = new AbortController();
    group.look = () => {
      pause.abort(ended);
    };
    try {
      const changed = store.watch(row, pause.signal); // from before the look, so that nothing is missed
      changed.catch(() => undefined); // a store that closes is told of by the look
      const leastMs = settleSome(group.waiters, await frontier(), clock.monotonic());
      if (group.waiters.size > 0) await Promise.race([changed, clock.sleep(leastMs, pause.signal)]);
    } finally {
      pause.abort(ended);
    }
  }
}

const ended = 'ended'; // left out, each abort would make an exception with a stack

/** Those who are done. Returns when to look again, in ms from now. */
function settleSome(waiters: Set<Waiter>, frontier: Frontier, nowMs: number): number {
  let leastMs = lookAgainMs;
  for (const waiter of waiters) {
    const isCovered = covers(frontier, waiter.accepted);
    const leftMs = waiter.dueMs - nowMs;
    if (isCovered || leftMs <= 0 || waiter.signal.aborted) {
      waiters.delete(waiter);
      waiter.settle(isCovered);
    } else leastMs = Math.min(leastMs, leftMs);
  }
  return leastMs;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new GkvError('internal', `a look at the frontier threw ${String(error)}`);
}
