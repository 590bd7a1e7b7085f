/** Vectors of proofs between peers: what is signed, what goes over the wire, and what is made of it. */
import { createPrivateKey, createPublicKey, diffieHellman, hkdfSync, sign, type KeyObject } from 'node:crypto';
import { cat, hex, hmac, sha256, text, u32, u64, u8 } from './bytes.ts';
import { clusterId, leaf, meshId, meshKey } from './samples.ts';

/** Algorithm identifiers of RFC 8410: what stands before a private and a public key. */
const ed25519 = '302e020100300506032b657004220420';
const x25519 = '302e020100300506032b656e04220420';

export const seeds = { asker: sha256(text('asker')), answerer: sha256(text('answerer')) };
export const secrets = { asker: sha256(text('asker agrees')), answerer: sha256(text('answerer agrees')) };
export const answererId = hex('ffeeddccbbaa99887766554433221100');
export const boot = hex('b0b1b2b3b4b5b6b7b8b9babbbcbdbebf');
export const sessionId = hex('50515253545556575859505b5c5d5e5f');
const otherLeaf = sha256(text('vector other leaf'));
/** Kind and record, which are not looked into here. */
export const records = [text('\x00root'), text('\x01grant')];

const privateKey = (prefix: string, secret: Buffer): KeyObject =>
  createPrivateKey({ key: cat(hex(prefix), secret), format: 'der', type: 'pkcs8' });
const publicOf = (key: KeyObject): Buffer => createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32);

export function sessionVectors(): Record<string, string> {
  const askerKey = privateKey(ed25519, seeds.asker);
  const answererKey = privateKey(ed25519, seeds.answerer);
  const askerAgrees = privateKey(x25519, secrets.asker);
  const answererAgrees = privateKey(x25519, secrets.answerer);
  /** agreement | key | leaf, of each. */
  const askerShows = cat(publicOf(askerAgrees), publicOf(askerKey), leaf);
  const answererShows = cat(publicOf(answererAgrees), publicOf(answererKey), otherLeaf);
  /** mesh id | asker: cluster id, incarnation, what it shows | answerer: cluster id, incarnation, boot. */
  const parties = cat(meshId, clusterId, u64(3), askerShows, answererId, u64(4), boot);
  const opening = cat(text('gkvmesh/session/open/v1\0'), parties);
  const acceptance = cat(text('gkvmesh/session/accept/v1\0'), parties, sessionId, answererShows);
  const openingSignature = sign(null, opening, askerKey);
  const acceptanceSignature = sign(null, acceptance, answererKey);
  const shown = cat(u8(records.length), ...records.map((record) => cat(u32(record.length), record)));
  const askOpen = cat(u8(1), u64(3), askerShows, answererId, u64(4), boot, openingSignature, shown);
  const accepted = cat(sessionId, answererShows, acceptanceSignature, shown);
  const agreed = diffieHellman({ privateKey: askerAgrees, publicKey: createPublicKey(answererAgrees) });
  const info = cat(text('gkvmesh/session/keys/v1\0'), sha256(acceptance));
  const keys = Buffer.from(hkdfSync('sha256', agreed, meshKey, info, 64));
  const [requestKey, answerKey] = [keys.subarray(0, 32), keys.subarray(32)];
  /** format | session id | counter | mac over way, head, frame | frame. */
  const head = cat(u8(1), sessionId, u64(1));
  const frame = text('frame');
  const request = cat(head, hmac(requestKey, text('POST /feed\0'), head, frame).subarray(0, 16), frame);
  /** mac over way, counter, frame | frame. */
  const answer = cat(hmac(answerKey, text('POST /feed\0'), u64(1), frame).subarray(0, 16), frame);
  /** Over way, counter, code. */
  const errorSeal = hmac(answerKey, text('POST /feed error\0'), u64(1), text('must_bootstrap')).subarray(0, 16);
  const named = {
    ...{ askWho: u8(0), who: cat(u64(4), boot), opening, openingSignature, askOpen, acceptance, acceptanceSignature, accepted },
    ...{ agreed, requestKey, answerKey, request, answer, errorSeal },
  };
  return Object.fromEntries(Object.entries(named).map(([name, bytes]) => [name, bytes.toString('hex')]));
}
