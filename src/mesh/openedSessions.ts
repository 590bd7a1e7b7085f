import { sessionMsMax, type Session } from './session.ts';

/** One for each process that answers at an address: instances of one cluster, to which connections lead as they happen to. */
const keptMax = 4;
/** So often in a row a session may be unknown where it is tried, before it is given up. */
const missesMax = 3;

interface Kept {
  readonly session: Session;
  misses: number;
}

/** What the asking side has opened at one address for one service, that which served last first. */
export class OpenedSessions {
  #kept: Kept[] = [];
  #opening: Promise<Session> | undefined;

  /** One that was not tried yet. `nowMs`: by the monotonic clock. */
  next(tried: ReadonlySet<Session>, nowMs: number): Session | undefined {
    this.#kept = this.#kept.filter(({ session }) => nowMs - session.terms.beganMs < sessionMsMax.asking);
    return this.#kept.find(({ session }) => !tried.has(session))?.session;
  }

  /** Who needs one while it is being opened waits for the same. Errors: those of `begin`. */
  open(begin: () => Promise<Session>): Promise<Session> {
    this.#opening ??= this.#open(begin);
    return this.#opening;
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

  async #open(begin: () => Promise<Session>): Promise<Session> {
    try {
      const session = await begin();
      this.#kept = [{ session, misses: 0 }, ...this.#kept].slice(0, keptMax);
      return session;
    } finally {
      this.#opening = undefined;
    }
  }
}
