import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { toHex } from '../../src/core/bytes.ts';
import { GkvError, hasCode } from '../../src/core/errors.ts';
import { Agreement } from '../../src/crypto/agreement.ts';
import { SigningKey } from '../../src/crypto/ed25519.ts';
import { MeshDigests } from '../../src/crypto/mesh.ts';
import {
  acceptanceMessage,
  decodeAcceptance,
  decodeSessionAsk,
  decodeWho,
  encodeAcceptance,
  encodeSessionAsk,
  encodeWho,
  openingMessage,
} from '../../src/mesh/handshake.ts';
import { decodeEnvelope, Session, sessionKeys } from '../../src/mesh/session.ts';
import { clusterId, meshId, meshKey } from './samples.ts';
import { answererId, boot, records, secrets, seeds, sessionId, sessionVectors } from './sessions.ts';

const vectors = JSON.parse(readFileSync(new URL('sessions.json', import.meta.url), 'utf8')) as Record<string, string>; // checked below
const bytesOf = (name: string): Buffer => Buffer.from(vectors[name] ?? '', 'hex');
const digests = new MeshDigests({ id: meshId, key: meshKey, kind: 'granted' });

describe('vectors of proofs between peers', () => {
  it('the file is what the generator makes by hand', () => {
    assert.deepEqual(vectors, sessionVectors());
  });

  it('M33: who is there', () => {
    assert.equal(toHex(encodeSessionAsk({ kind: 'who' })), vectors['askWho']);
    assert.deepEqual(decodeSessionAsk(bytesOf('askWho'), clusterId), { kind: 'who' });
    assert.equal(toHex(encodeWho({ incarnation: 4, boot })), vectors['who']);
    assert.equal(decodeWho(bytesOf('who'), answererId).incarnation, 4);
  });

  it('M33: what is signed, and how it is asked and answered', () => {
    const ask = decodeSessionAsk(bytesOf('askOpen'), clusterId);
    assert.ok(ask.kind === 'open');
    assert.equal(toHex(openingMessage(meshId, ask.part)), vectors['opening']);
    assert.equal(toHex(SigningKey.fromSeed(seeds.asker).sign(openingMessage(meshId, ask.part))), vectors['openingSignature']);
    assert.equal(toHex(ask.signature), vectors['openingSignature']);
    assert.deepEqual(ask.records.map(toHex), records.map(toHex));
    assert.equal(toHex(encodeSessionAsk(ask)), vectors['askOpen']);
    const accepted = decodeAcceptance(bytesOf('accepted'));
    const message = acceptanceMessage(meshId, ask.part, accepted.part);
    assert.equal(toHex(message), vectors['acceptance']);
    assert.equal(toHex(SigningKey.fromSeed(seeds.answerer).sign(message)), vectors['acceptanceSignature']);
    assert.equal(toHex(encodeAcceptance(accepted)), vectors['accepted']);
  });

  it('M34: keys, a request and its answer', () => {
    const [asker, answerer] = [new Agreement(secrets.asker), new Agreement(secrets.answerer)];
    for (const agreed of [asker.with(answerer.publicKey), answerer.with(asker.publicKey)]) assert.equal(toHex(agreed), vectors['agreed']);
    const keys = sessionKeys(digests, bytesOf('agreed'), bytesOf('acceptance'));
    assert.deepEqual([toHex(keys.request), toHex(keys.answer)], [vectors['requestKey'], vectors['answerKey']]);
    const peer = { clusterId, incarnation: 3, key: seeds.asker, leaf: seeds.asker };
    const session = new Session({ id: sessionId, peer, agreement: sessionId, ownLeaf: seeds.asker, keys, beganMs: 0 });
    assert.equal(toHex(session.seal('feed', Buffer.from('frame')).bytes), vectors['request']);
    const envelope = decodeEnvelope(bytesOf('request'), digests);
    session.take('feed', envelope);
    assert.deepEqual([toHex(envelope.sessionId), envelope.counter, Buffer.from(envelope.frame).toString()], [toHex(sessionId), 1, 'frame']);
    assert.equal(toHex(session.sealAnswer('feed', 1, Buffer.from('frame'))), vectors['answer']);
    assert.equal(Buffer.from(session.openAnswer('feed', 1, bytesOf('answer'))).toString(), 'frame');
    const sealed = session.sealError('feed', 1, new GkvError('must_bootstrap', 'why'));
    assert.ok(hasCode(sealed, 'must_bootstrap'));
    assert.equal(sealed.details['seal'], vectors['errorSeal']);
    assert.equal(session.openError('feed', 1, sealed), sealed);
  });
});
