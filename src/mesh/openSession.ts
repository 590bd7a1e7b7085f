import { decodeAnswer, encodeRequest, nonceBytes, protocolError, type Answer } from '../aae/frame.ts';
import { type PeerLink } from '../aae/checkedPeer.ts';
import { equalBytes } from '../core/bytes.ts';
import { GkvError, hasCode } from '../core/errors.ts';
import { stampZero } from '../core/stamp.ts';
import { Agreement, agreementBytes } from '../crypto/agreement.ts';
import {
  acceptanceMessage,
  decodeAcceptance,
  decodeWho,
  encodeSessionAsk,
  openingMessage,
  type Opening,
  type SessionAsk,
} from './handshake.ts';
import { type Prover } from './prover.ts';
import { Session, sessionKeys } from './session.ts';

/**
 * The asking side of a session's beginning: asks who is there, proves our key to that process, and has its key proved. Two requests. Errors: those of the
 * link; `mesh_mismatch`; `peer_protocol`; `session_unknown` where another process answers the second than the first; those of `Prover`.
 */
export async function openSession(link: PeerLink, prover: Prover, signal: AbortSignal): Promise<Session> {
  const { own, digests, random, clock } = prover.deps;
  const { meshId } = digests;
  const { key, leaf, records } = await prover.credentials();
  const who = await askSession(link, { kind: 'who' }, prover, signal);
  const answerer = fromPeer(() => decodeWho(who.body, who.clusterId));
  const agreement = new Agreement(random.bytes(agreementBytes));
  const { clusterId, incarnation } = own;
  const opening: Opening = { asker: { clusterId, incarnation, agreement: agreement.publicKey, key, leaf }, answerer };
  const signature = prover.sign(openingMessage(meshId, opening));
  const beganMs = clock.monotonic(); // before the other side begins: it ends there no earlier
  const accepted = await askSession(link, { kind: 'open', part: opening, signature, records }, prover, signal);
  if (!equalBytes(accepted.clusterId, answerer.clusterId))
    throw new GkvError('session_unknown', 'another cluster answers than a moment ago');
  const shown = fromPeer(() => decodeAcceptance(accepted.body));
  const peer = { clusterId: answerer.clusterId, incarnation: answerer.incarnation, key: shown.part.key, leaf: shown.part.leaf };
  const message = acceptanceMessage(meshId, opening, shown.part);
  await prover.verify(peer, message, shown.signature);
  await prover.admit(peer, shown.records);
  const keys = sessionKeys(digests, agreement.with(shown.part.agreement), message);
  return new Session({ id: shown.part.sessionId, peer, agreement: agreement.publicKey, ownLeaf: leaf, keys, beganMs });
}

async function askSession(link: PeerLink, ask: SessionAsk, { deps }: Prover, signal: AbortSignal): Promise<Answer> {
  const { own, digests, random } = deps;
  const header = { clusterId: own.clusterId, nonce: random.bytes(nonceBytes), floor: stampZero };
  const request = encodeRequest(header, encodeSessionAsk(ask), digests, 'session');
  return decodeAnswer(await link.ask(request, signal), request, digests, 'session');
}

function fromPeer<T>(decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    if (hasCode(error, 'malformed')) throw protocolError(`the answer is wrong: ${error.message}`, error);
    throw error;
  }
}
