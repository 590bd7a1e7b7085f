import { answererOf, type FrameService } from '../aae/frame.ts';
import { type PeerLink } from '../aae/checkedPeer.ts';
import { equalBytes } from '../core/bytes.ts';
import { GkvError, hasCode } from '../core/errors.ts';
import { hostPortText, type HostPort } from '../core/hostPort.ts';
import { limits } from '../core/limits.ts';
import { areEqual, type Scopes } from '../core/scope.ts';
import { OpenedSessions } from './openedSessions.ts';
import { openSession } from './openSession.ts';
import { type Links } from './ports.ts';
import { proofCodes } from './proofCodes.ts';
import { type Prover } from './prover.ts';
import { type Session } from './session.ts';
import { stopCodes, unproven } from './stopCodes.ts';

/** Of each member, one for each of two services. */
const placesMax = 2 * limits.membersMax;
/** Sessions that one request may begin: where the first is not known any more a moment later, a process has begun anew, or another one answers. */
const openingsMax = 2;

/** What is asked, and under which scopes. */
interface Asked {
  readonly frame: Uint8Array;
  readonly under: Scopes | undefined;
}

/** Where something is asked, and of which service. */
interface Place {
  readonly service: FrameService;
  readonly link: PeerLink;
  /** Over which sessions are opened. */
  readonly opening: PeerLink;
  readonly sessions: OpenedSessions;
}

/**
 * Links of a granted mesh: what is asked goes under a session, in which both sides have proved themselves, and nothing is asked, and no answer taken, without.
 * Where a peer does not know the session any more, as after a restart, another one is begun.
 */
export class ProvenLinks implements Links {
  readonly #links: Links;
  readonly #prover: Prover;
  /** By address and service, the oldest first. */
  readonly #opened = new Map<string, OpenedSessions>();

  constructor(links: Links, prover: Prover) {
    this.#links = links;
    this.#prover = prover;
  }

  /** Errors: those of the link; `peer_unproven`; `session_unknown`, where sessions end at once; the codes of `mayReplicate`, of either side. */
  link(address: HostPort, service: FrameService): PeerLink {
    const link = this.#links.link(address, service);
    if (service === 'identity' || service === 'session') return link;
    const place = { service, link, opening: this.#opening(address) };
    const name = placeOf(address, service);
    return {
      ask: (frame, signal, under) => this.#ask({ ...place, sessions: this.#openedAt(name) }, { frame, under }, signal),
      scopes: (signal) => this.#scopes(place.opening, this.#openedAt(name), signal),
    };
  }

  /** Has who answers there prove itself; its cluster id. Errors: those of `openSession`. */
  async prove(address: HostPort, signal: AbortSignal): Promise<Uint8Array> {
    const opening = this.#opening(address);
    const sessions = this.#openedAt(placeOf(address, 'feed')); // the first that is asked there next
    const { terms } = await this.#open(opening, sessions, signal);
    return terms.peer.clusterId;
  }

  /** Those of the session that is tried first. */
  async #scopes(opening: PeerLink, sessions: OpenedSessions, signal: AbortSignal): Promise<Scopes | undefined> {
    const kept = sessions.next(new Set(), this.#prover.deps.clock.monotonic());
    const { terms } = kept ?? (await this.#open(opening, sessions, signal));
    return terms.scopes;
  }

  #open(opening: PeerLink, sessions: OpenedSessions, signal: AbortSignal): Promise<Session> {
    return sessions.open((until) => openSession(opening, this.#prover, until), signal);
  }

  async #ask(place: Place, asked: Asked, signal: AbortSignal): Promise<Uint8Array> {
    const { sessions, opening } = place;
    const tried = new Set<Session>();
    for (let openings = 0; ;) {
      try {
        const kept = sessions.next(tried, this.#prover.deps.clock.monotonic());
        if (kept === undefined) openings += 1;
        const session = kept ?? (await this.#open(opening, sessions, signal));
        tried.add(session);
        return await this.#askUnder(session, place, asked, signal);
      } catch (error) {
        if (openings === openingsMax || !hasCode(error, 'session_unknown')) throw error;
      }
    }
  }

  async #askUnder(session: Session, { service, link, sessions }: Place, { frame, under }: Asked, signal: AbortSignal): Promise<Uint8Array> {
    const { terms } = session;
    try {
      if (!areSame(terms.scopes, under)) throw new GkvError('scope_mismatch', 'the peer has proved another scope than a moment ago');
      await this.#prover.confirm(terms);
      const { bytes, counter } = session.seal(service, frame);
      const answered = await link.ask(bytes, signal).catch(async (error: unknown) => {
        if (hasCode(error, ...stopCodes)) await this.#prover.confirm(terms);
        throw session.openError(service, counter, error);
      });
      const answer = session.openAnswer(service, counter, answered);
      const answerer = answererOf(answer);
      if (answerer === undefined || !equalBytes(answerer, terms.peer.clusterId))
        throw new GkvError('peer_unproven', 'another cluster answers than the one that the session was begun with');
      await this.#prover.confirm(terms);
      sessions.served(session);
      return answer;
    } catch (error) {
      if (hasCode(error, 'session_unknown')) sessions.missed(session);
      else if (hasCode(error, ...proofCodes)) sessions.forget(session);
      throw error;
    }
  }

  #opening(address: HostPort): PeerLink {
    return unproven(this.#links.link(address, 'session'));
  }

  #openedAt(name: string): OpenedSessions {
    const before = this.#opened.get(name);
    if (before !== undefined) return before;
    const opened = new OpenedSessions();
    this.#opened.set(name, opened);
    const [oldest] = this.#opened.keys();
    if (this.#opened.size > placesMax && oldest !== undefined) this.#opened.delete(oldest);
    return opened;
  }
}

function areSame(a: Scopes | undefined, b: Scopes | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return areEqual(a.own, b.own) && areEqual(a.peer, b.peer);
}

function placeOf(address: HostPort, service: FrameService): string {
  return `${hostPortText(address)} ${service}`;
}
