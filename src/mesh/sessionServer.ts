import { askerOf, assertAnother, decodeRequest, encodeAnswer } from '../aae/frame.ts';
import { equalBytes } from '../core/bytes.ts';
import { GkvError, hasCode } from '../core/errors.ts';
import { scopesOf } from '../core/scope.ts';
import { Agreement } from '../crypto/agreement.ts';
import {
  acceptanceMessage,
  bootBytes,
  decodeSessionAsk,
  encodeAcceptance,
  encodeWho,
  openingMessage,
  sessionIdBytes,
  type Acceptance,
  type Opening,
  type Shown,
} from './handshake.ts';
import { type FrameAnswering, type ScopedAnswering } from './ports.ts';
import { proofCodes } from './proofCodes.ts';
import { type Prover } from './prover.ts';
import { decodeEnvelope, Session, sessionKeys, type Envelope } from './session.ts';
import { SessionTable } from './sessionTable.ts';

/** Openings that are judged at a time; one more is refused with `unavailable`. */
const judgedMax = 8;
const agreementSecretBytes = 32;

/** The answering side of proofs between peers: opens sessions, and lets nothing through but what comes under one. */
export class SessionServer {
  readonly #prover: Prover;
  readonly #sessions = new SessionTable();
  readonly #boot: Uint8Array;
  #judged = 0;

  constructor(prover: Prover) {
    this.#prover = prover;
    this.#boot = prover.deps.random.bytes(bootBytes);
  }

  /**
   * Answers one frame of `/session`. Errors: those of `decodeRequest`; `malformed`; `wrong_peer` for an opening in our own name; `session_unknown` for an opening that was signed for another process;
   * `peer_unproven` for one that was there before; `unavailable` where too many are judged; those of `Prover.verify` and `Prover.admit`.
   */
  async answer(frame: Uint8Array): Promise<Uint8Array> {
    const { digests, own } = this.#prover.deps;
    const request = decodeRequest(frame, digests, 'session');
    const ask = decodeSessionAsk(request.body, request.header.clusterId);
    const { incarnation } = own;
    const body = ask.kind === 'who' ? encodeWho({ incarnation, boot: this.#boot }) : await this.#judge(ask);
    return encodeAnswer({ clusterId: own.clusterId, body }, request, digests, 'session');
  }

  /**
   * Lets through to `answering` what a peer asks under a session, with the scopes of that, and its answers to that peer, while both sides may replicate: before it is asked, and
   * again before the answer goes. Errors: `peer_unproven`, `session_unknown`, the codes of `mayReplicate`, and those of `answering`.
   */
  guarded(service: 'feed' | 'exchange', answering: ScopedAnswering): FrameAnswering {
    return {
      answer: async (bytes) => {
        const envelope = decodeEnvelope(bytes, this.#prover.deps.digests);
        const session = this.#sessionOf(envelope);
        session.take(service, envelope);
        const asker = askerOf(envelope.frame);
        if (asker === undefined || !equalBytes(asker, session.terms.peer.clusterId))
          throw new GkvError('peer_unproven', 'the frame is of another cluster than the one that began the session');
        await this.#confirm(session);
        const answer = await answering.answer(envelope.frame, session.terms.scopes).catch((error: unknown) => {
          throw session.sealError(service, envelope.counter, error);
        });
        await this.#confirm(session);
        return session.sealAnswer(service, envelope.counter, answer);
      },
    };
  }

  #sessionOf({ sessionId }: Envelope): Session {
    const session = this.#sessions.find(sessionId, this.#prover.deps.clock.monotonic());
    if (session !== undefined) return session;
    throw new GkvError('session_unknown', 'this session is not known here, or has ended: begin another one');
  }

  /** A session whose chains do not stand is over. */
  async #confirm(session: Session): Promise<void> {
    try {
      await this.#prover.confirm(session.terms);
    } catch (error) {
      if (hasCode(error, ...proofCodes)) this.#sessions.end(session);
      throw error;
    }
  }

  async #judge(shown: Shown<Opening>): Promise<Uint8Array> {
    const { own } = this.#prover.deps;
    const { clusterId, incarnation, boot } = shown.part.answerer;
    if (!equalBytes(clusterId, own.clusterId) || incarnation !== own.incarnation || !equalBytes(boot, this.#boot))
      throw new GkvError('session_unknown', 'the session was to begin with another process than this one');
    assertAnother(shown.part.asker.clusterId, own.clusterId);
    if (this.#judged >= judgedMax) throw new GkvError('unavailable', `${judgedMax} others begin sessions now: try again`);
    this.#judged += 1;
    try {
      return await this.#open(shown);
    } finally {
      this.#judged -= 1;
    }
  }

  /** The cheap checks first: one signature, then the chain, of which records are taken in only where they are lacking. */
  async #open({ part: opening, signature, records }: Shown<Opening>): Promise<Uint8Array> {
    const { digests, random, clock } = this.#prover.deps;
    const { asker } = opening;
    await this.#prover.verify(asker, openingMessage(digests.meshId, opening), signature);
    const admitted = await this.#prover.admit(asker, records);
    const peer = { ...asker, leaf: admitted.leaf };
    const scopes = scopesOf(this.#prover.scope, admitted.scope);
    const { key, leaf, records: shown } = await this.#prover.credentials();
    const agreement = new Agreement(random.bytes(agreementSecretBytes));
    const agreed = agreement.with(asker.agreement);
    const part: Acceptance = { sessionId: random.bytes(sessionIdBytes), agreement: agreement.publicKey, key, leaf };
    const message = acceptanceMessage(digests.meshId, opening, part);
    const keys = sessionKeys(digests, agreed, message);
    const terms = { id: part.sessionId, peer, agreement: asker.agreement, ownLeaf: leaf, scopes, keys, beganMs: clock.monotonic() };
    if (!this.#sessions.add(new Session(terms))) throw new GkvError('peer_unproven', 'this opening was there before');
    return encodeAcceptance({ part, signature: this.#prover.sign(message), records: shown });
  }
}
