import { equalBytes, toHex } from '../core/bytes.ts';
import { sessionMsMax, type Session } from './session.ts';

/** Of one key: sessions under which something was asked, and those under which nothing was yet. */
const usedOfKeyMax = 64;
const unusedOfKeyMax = 16;
/** Of all keys. */
const sessionsMax = 4_096;

/**
 * The sessions that others have begun with us: so many, and no older than may be. A key that begins more ends its own oldest ones; of those under
 * which nothing was asked, none ends one under which something was, and where there are too many of all keys, such a one goes first.
 */
export class SessionTable {
  /** By the id in hex, in the order in which they began. */
  readonly #sessions = new Map<string, Session>();

  get size(): number {
    return this.#sessions.size;
  }

  /** False, and nothing changed, where a session was begun with the same agreement: somebody sends again what they have heard. */
  add(session: Session): boolean {
    const { agreement, peer } = session.terms;
    const ofKey = { used: [] as Session[], unused: [session] };
    for (const before of [...this.#sessions.values()].reverse()) {
      if (equalBytes(before.terms.agreement, agreement)) return false;
      if (equalBytes(before.terms.peer.key, peer.key)) ofKey[before.isUsed ? 'used' : 'unused'].push(before);
    }
    this.#sessions.set(toHex(session.terms.id), session);
    for (const over of [...ofKey.used.slice(usedOfKeyMax), ...ofKey.unused.slice(unusedOfKeyMax)]) this.end(over);
    if (this.#sessions.size > sessionsMax) this.#endOldest(session);
    return true;
  }

  #endOldest(but: Session): void {
    const others = [...this.#sessions.values()].filter((session) => session !== but);
    const oldest = others.find(({ isUsed }) => !isUsed) ?? others[0];
    if (oldest !== undefined) this.end(oldest);
  }

  /** `nowMs`: by the monotonic clock. */
  find(id: Uint8Array, nowMs: number): Session | undefined {
    const session = this.#sessions.get(toHex(id));
    if (session === undefined || nowMs - session.terms.beganMs < sessionMsMax.answering) return session;
    this.end(session);
    return undefined;
  }

  end({ terms }: Session): void {
    this.#sessions.delete(toHex(terms.id));
  }
}
