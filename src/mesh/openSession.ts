import { decodeAnswer, encodeRequest, fromPeer, nonceBytes, type Answer } from '../aae/frame.ts';
import { type PeerLink } from '../aae/checkedPeer.ts';
import { equalBytes } from '../core/bytes.ts';
import { GkvError, hasCode } from '../core/errors.ts';
import { scopesOf } from '../core/scope.ts';
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

/** Of our grants; of each an opening. */
const leavesTriedMax = 4;

type Shows = Awaited<ReturnType<Prover['credentials']>>;

/**
 * The asking side of a session's beginning: asks who is there, proves our key to that process, and has its key proved. Two requests, and one for each grant of ours that has ended there. Errors: those of the
 * link; `mesh_mismatch`; `peer_protocol`; `wrong_peer` where we answer ourselves; `session_unknown` where another process answers the second than the first; those of `Prover`.
 */
export async function openSession(link: PeerLink, prover: Prover, signal: AbortSignal): Promise<Session> {
  const { digests } = prover.deps;
  const first = await prover.credentials();
  const who = await askSession(link, { kind: 'who' }, prover, signal);
  const answerer = fromPeer(() => decodeWho(who.body, who.clusterId));
  if (equalBytes(answerer.clusterId, prover.deps.own.clusterId))
    throw new GkvError('wrong_peer', 'this cluster itself answers there: the address is one of ours, where another cluster should be');
  const { opening, agreement, beganMs, accepted } = await present(first, answerer, link, prover, signal);
  if (!equalBytes(accepted.clusterId, answerer.clusterId))
    throw new GkvError('session_unknown', 'another cluster answers than a moment ago');
  const shown = fromPeer(() => decodeAcceptance(accepted.body));
  const peer = { clusterId: answerer.clusterId, incarnation: answerer.incarnation, key: shown.part.key, leaf: shown.part.leaf };
  const message = acceptanceMessage(digests.meshId, opening, shown.part);
  await prover.verify(peer, message, shown.signature);
  const { leaf, scope } = await prover.admit(peer, shown.records);
  const keys = sessionKeys(digests, agreement.with(shown.part.agreement), message);
  const terms = { id: shown.part.sessionId, agreement: agreement.publicKey, ownLeaf: opening.asker.leaf, keys, beganMs };
  return new Session({ ...terms, scopes: scopesOf(prover.scope, scope), peer: { ...peer, leaf } });
}

/** An opening that the other side did not refuse. */
interface Presented {
  readonly opening: Opening;
  readonly agreement: Agreement;
  /** By the monotonic clock, before the other side begins: it ends there no earlier. */
  readonly beganMs: number;
  readonly accepted: Answer;
}

/** By another of our grants where the one before has ended, as the other side knows. */
async function present(
  first: Shows,
  answerer: Opening['answerer'],
  link: PeerLink,
  prover: Prover,
  signal: AbortSignal,
): Promise<Presented> {
  const tried: Uint8Array[] = [];
  for (let shows = first; ;) {
    try {
      return await presentBy(shows, answerer, link, prover, signal);
    } catch (error) {
      tried.push(shows.leaf);
      if (!hasCode(error, 'grant_revoked') || tried.length === leavesTriedMax) throw error;
      shows = await prover.credentials(tried).catch(() => {
        throw error; // there is no other
      });
    }
  }
}

async function presentBy(
  { key, leaf, records }: Shows,
  answerer: Opening['answerer'],
  link: PeerLink,
  prover: Prover,
  signal: AbortSignal,
): Promise<Presented> {
  const { own, digests, random, clock } = prover.deps;
  const agreement = new Agreement(random.bytes(agreementBytes));
  const { clusterId, incarnation } = own;
  const opening: Opening = { asker: { clusterId, incarnation, agreement: agreement.publicKey, key, leaf }, answerer };
  const signature = prover.sign(openingMessage(digests.meshId, opening));
  const beganMs = clock.monotonic();
  const accepted = await askSession(link, { kind: 'open', part: opening, signature, records }, prover, signal);
  return { opening, agreement, beganMs, accepted };
}

async function askSession(link: PeerLink, ask: SessionAsk, { deps }: Prover, signal: AbortSignal): Promise<Answer> {
  const { own, digests, random } = deps;
  const header = { clusterId: own.clusterId, nonce: random.bytes(nonceBytes), floor: stampZero };
  const request = encodeRequest(header, encodeSessionAsk(ask), digests, 'session');
  return decodeAnswer(await link.ask(request, signal), request, digests, 'session');
}
