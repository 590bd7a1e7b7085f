import { beginWait } from '../core/wait.ts';
import { sessionMsMax, type Session } from './session.ts';

/** One for each process that answers at an address: instances of one cluster, to which connections lead as they happen to. */
const keptMax = 4;
/** So often in a row a session may be unknown where it is tried, before it is given up. */
const missesMax = 3;

interface Kept {
  readonly session: Session;
  misses: number;
}

/** One that is being opened. */
interface Opening {
  readonly session: Promise<Session>;
  /** For when nobody waits for it any more. */
  readonly stop: AbortController;
  waiting: number;
}

/** What the asking side has opened at one address for one service, that which served last first. */
export class OpenedSessions {
  #kept: Kept[] = [];
  #opening: Opening | undefined;

  /** One that was not tried yet. `nowMs`: by the monotonic clock. */
  next(tried: ReadonlySet<Session>, nowMs: number): Session | undefined {
    this.#kept = this.#kept.filter(({ session }) => nowMs - session.terms.beganMs < sessionMsMax.asking);
    return this.#kept.find(({ session }) => !tried.has(session))?.session;
  }

  /** Who needs one while it is being opened waits for the same, each until its own signal aborts; `begin` is told when all have gone. Errors: those of `begin`; why the signal aborts. */
  async open(begin: (signal: AbortSignal) => Promise<Session>, signal: AbortSignal): Promise<Session> {
    signal.throwIfAborted();
    const opening = this.#opening ?? this.#begin(begin);
    opening.waiting += 1;
    const wait = beginWait(signal);
    const gone = new Promise<void>((resolve) => {
      wait.signal.addEventListener('abort', () => {
        resolve();
      });
    });
    try {
      await Promise.race([opening.session, gone]);
      signal.throwIfAborted();
      return await opening.session;
    } finally {
      wait.end();
      this.#leave(opening);
    }
  }

  served(served: Session): void {
    const kept = this.#kept.find(({ session }) => session === served);
    if (kept === undefined) return;
    kept.misses = 0;
    this.#kept = [kept, ...this.#kept.filter((each) => each !== kept)];
  }

  /** It was unknown where it was tried. */
  missed(missed: Session): void {
    for (const kept of this.#kept) if (kept.session === missed) kept.misses += 1;
    this.#kept = this.#kept.filter(({ misses }) => misses < missesMax);
  }

  forget(ended: Session): void {
    this.#kept = this.#kept.filter(({ session }) => session !== ended);
  }

  #begin(begin: (signal: AbortSignal) => Promise<Session>): Opening {
    const stop = new AbortController();
    const opening = { session: this.#open(begin, stop), stop, waiting: 0 };
    opening.session.catch(() => undefined); // whoever waits is told
    this.#opening = opening;
    return opening;
  }

  /** What nobody waits for is of no use to who comes next. */
  #leave(opening: Opening): void {
    opening.waiting -= 1;
    if (opening.waiting > 0) return;
    this.#end(opening.stop);
    opening.stop.abort();
  }

  async #open(begin: (signal: AbortSignal) => Promise<Session>, stop: AbortController): Promise<Session> {
    try {
      const session = await begin(stop.signal);
      this.#kept = [{ session, misses: 0 }, ...this.#kept].slice(0, keptMax);
      return session;
    } finally {
      this.#end(stop);
    }
  }

  /** Who comes from now on begins another. */
  #end(stop: AbortController): void {
    if (this.#opening?.stop === stop) this.#opening = undefined;
  }
}
