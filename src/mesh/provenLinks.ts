import { answererOf, type FrameService } from '../aae/frame.ts';
import { type PeerLink } from '../aae/checkedPeer.ts';
import { equalBytes } from '../core/bytes.ts';
import { GkvError, hasCode } from '../core/errors.ts';
import { hostPortText, type HostPort } from '../core/hostPort.ts';
import { limits } from '../core/limits.ts';
import { openSession } from './openSession.ts';
import { type Links } from './ports.ts';
import { proofCodes } from './proofCodes.ts';
import { type Prover } from './prover.ts';
import { sessionMsMax, type Session } from './session.ts';

/** Of each member, one for each of two services. */
const sessionsMax = 2 * limits.membersMax;

/** A session, or one that is being opened. */
interface Opened {
  readonly session: Promise<Session>;
  /** By the monotonic clock. */
  readonly beganMs: number;
}

/**
 * Links of a granted mesh: what is asked goes under a session, in which both sides have proved themselves, and nothing is asked, and no answer taken, without.
 * Where a peer does not know the session any more, as after a restart, another one is begun, once for a request.
 */
export class ProvenLinks implements Links {
  readonly #links: Links;
  readonly #prover: Prover;
  /** By address and service, the oldest first. */
  readonly #opened = new Map<string, Opened>();

  constructor(links: Links, prover: Prover) {
    this.#links = links;
    this.#prover = prover;
  }

  /** Errors: those of the link; `peer_unproven`; `session_unknown`, where sessions end at once; the codes of `mayReplicate`, of either side. */
  link(address: HostPort, service: FrameService): PeerLink {
    const link = this.#links.link(address, service);
    if (service === 'identity' || service === 'session') return link;
    const name = `${hostPortText(address)} ${service}`;
    const opening = this.#links.link(address, 'session');
    const ask: PeerLink['ask'] = async (frame, signal) => {
      const opened = this.#openedAt(name, opening, signal);
      try {
        return await this.#askUnder(await opened.session, link, service, frame, signal);
      } catch (error) {
        if (hasCode(error, ...proofCodes) && this.#opened.get(name) === opened) this.#opened.delete(name);
        throw error;
      }
    };
    return {
      ask: async (frame, signal) => {
        try {
          return await ask(frame, signal);
        } catch (error) {
          if (!hasCode(error, 'session_unknown')) throw error;
          return ask(frame, signal);
        }
      },
    };
  }

  async #askUnder(session: Session, link: PeerLink, service: FrameService, frame: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    const { terms } = session;
    await this.#prover.confirm(terms);
    const { bytes, counter } = session.seal(service, frame);
    const answer = session.openAnswer(service, counter, await link.ask(bytes, signal));
    const answerer = answererOf(answer);
    if (answerer === undefined || !equalBytes(answerer, terms.peer.clusterId))
      throw new GkvError('peer_unproven', 'another cluster answers than the one that the session was begun with');
    await this.#prover.confirm(terms);
    return answer;
  }

  /** Who needs one while it is being opened waits for the same. */
  #openedAt(name: string, opening: PeerLink, signal: AbortSignal): Opened {
    const nowMs = this.#prover.deps.clock.monotonic();
    const before = this.#opened.get(name);
    if (before !== undefined && nowMs - before.beganMs < sessionMsMax.asking) return before;
    const opened = { session: openSession(opening, this.#prover, signal), beganMs: nowMs };
    this.#opened.delete(name);
    this.#opened.set(name, opened);
    opened.session.catch(() => {
      if (this.#opened.get(name) === opened) this.#opened.delete(name);
    });
    const [oldest] = this.#opened.keys();
    if (this.#opened.size > sessionsMax && oldest !== undefined) this.#opened.delete(oldest);
    return opened;
  }
}
