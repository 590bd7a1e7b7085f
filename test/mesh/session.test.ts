import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { decodeRequest, encodeAnswer, encodeRequest } from '../../src/aae/frame.ts';
import { GkvError, hasCode, type ErrorCode } from '../../src/core/errors.ts';
import { encodeSessionAsk } from '../../src/mesh/handshake.ts';
import { ReplayWindow } from '../../src/mesh/replayWindow.ts';
import { Session, sessionMsMax } from '../../src/mesh/session.ts';
import { SessionTable } from '../../src/mesh/sessionTable.ts';
import { grants, mesh, pair, side, Wire } from './proofs.ts';

const is =
  (...codes: readonly ErrorCode[]) =>
  (error: unknown): error is GkvError =>
    hasCode(error, ...codes);

describe('M34: what goes under a session', () => {
  it('a frame without is refused, and goes no further', async () => {
    const { a, b } = await pair();
    const { digests, own } = a.deps;
    for (const service of ['feed', 'exchange'] as const) {
      const header = { clusterId: own.clusterId, nonce: new Uint8Array(16), floor: new Uint8Array(16) };
      await assert.rejects(b.answer(service, encodeRequest(header, Buffer.from('x'), digests, service)), is('peer_unproven'));
    }
    assert.deepEqual(b.let, []);
  });

  it('is taken once: a replay, also after later ones, is refused', async () => {
    const { b, wire } = await pair();
    await wire.ask('first');
    const first = wire.last('feed');
    await assert.rejects(b.answer('feed', first), is('peer_unproven'));
    for (let i = 0; i < 70; i += 1) await wire.ask('later');
    await assert.rejects(b.answer('feed', first), is('peer_unproven'));
    assert.equal(b.let.filter((text) => text === 'first').length, 1);
  });

  it('every byte that is changed, every truncation, one byte more: refused, and goes no further', async () => {
    const { b, wire } = await pair();
    await wire.ask('x');
    let whole: Uint8Array = new Uint8Array(0);
    wire.change.request = (bytes) => {
      whole = bytes;
      return new Uint8Array(0);
    };
    await assert.rejects(wire.ask('z'), is('malformed'));
    for (let at = 0; at < whole.length; at += 1) {
      const changed = Buffer.from(whole);
      changed[at] = (changed[at] ?? 0) ^ 1;
      await assert.rejects(b.answer('feed', changed), is('malformed', 'session_unknown', 'peer_unproven'));
      await assert.rejects(b.answer('feed', whole.subarray(0, at)), is('malformed', 'session_unknown', 'peer_unproven'));
    }
    await assert.rejects(b.answer('feed', Buffer.concat([whole, Buffer.of(0)])), is('peer_unproven'));
    await assert.rejects(b.answer('exchange', whole), is('peer_unproven'));
    assert.deepEqual(b.let, ['x']);
    await b.answer('feed', whole);
    assert.deepEqual(b.let, ['x', 'z']);
  });

  it('is of the cluster that proved itself: a frame in the name of another is refused', async () => {
    const { b, wire } = await pair();
    await assert.rejects(wire.ask('x', 'feed', new Uint8Array(16).fill(3)), is('peer_unproven'));
    assert.deepEqual(b.let, []);
  });

  it('an answer in the name of another cluster, one that was changed, and one of another request are not taken', async () => {
    const { a, wire } = await pair();
    await wire.ask('x');
    const before: Uint8Array[] = [];
    wire.change.answer = (bytes) => {
      before.push(bytes);
      return bytes;
    };
    await wire.ask('x');
    for (const change of [
      () => before[0] ?? new Uint8Array(0),
      (bytes: Uint8Array) => bytes.map((byte, at) => (at === 40 ? byte ^ 1 : byte)),
      () => wire.last('feed'),
      (bytes: Uint8Array) => bytes.subarray(0, bytes.length - 1),
    ]) {
      wire.change.answer = (bytes, service) => (service === 'feed' ? change(bytes) : bytes);
      await assert.rejects(wire.ask('x'), is('peer_unproven'));
    }
    const other = await side(3, 'b', [mesh.root, grants.a, grants.b]);
    const answerAsB = (given: Uint8Array): Promise<Uint8Array> => {
      const { digests } = a.deps;
      const answer = { clusterId: new Uint8Array(16).fill(2), body: given };
      return Promise.resolve(encodeAnswer(answer, decodeRequest(given, digests, 'feed'), digests, 'feed'));
    };
    const posing = new Wire(a, {
      ...other,
      answer: (service, frame) =>
        service === 'session' ? other.answer(service, frame) : other.sessions.guarded('feed', { answer: answerAsB }).answer(frame),
    });
    await assert.rejects(posing.ask('x'), is('peer_unproven'));
  });

  it('M26: that it must stop is told by who has proved itself alone, in answer to the request: from anybody else it is peer_protocol', async () => {
    for (const code of ['must_bootstrap', 'rollback_detected'] as const) {
      const { a, b, wire } = await pair();
      await wire.ask('x');
      b.fault = new GkvError(code, 'says the peer');
      await assert.rejects(wire.ask('x'), (error) => is(code)(error) && error.message === 'says the peer');
      const sealed = await wire.ask('x').catch((error: unknown) => error);
      assert.ok(sealed instanceof GkvError);
      const other = code === 'must_bootstrap' ? 'rollback_detected' : 'must_bootstrap';
      b.fault = undefined;
      const seal = sealed.details['seal'] ?? null;
      for (const error of [
        new GkvError(code, 'unsealed'),
        new GkvError(code, 'of another request', { details: { seal } }),
        new GkvError(other, 'of another code', { details: { seal } }),
        new GkvError(code, 'no text', { details: { seal: 1 } }),
      ]) {
        wire.change.answer = () => {
          throw error;
        };
        await assert.rejects(wire.ask('x'), (refused) => is('peer_protocol')(refused) && refused.message.includes(error.message));
        await assert.rejects(wire.ask('x', 'exchange'), is('peer_protocol')); // its session is to be begun first
        await assert.rejects(new Wire(a, { ...b, answer: () => Promise.reject(error) }).prove(), is('peer_protocol'));
      }
      wire.change = {};
      assert.equal(await wire.ask('ab'), 'ba');
      b.fault = new GkvError(code, 'says the peer');
      const recoded = new Wire(a, {
        ...b,
        answer: (service, frame) =>
          b.answer(service, frame).catch((error: unknown) => {
            throw error instanceof GkvError ? new GkvError(other, error.message, { details: error.details }) : error;
          }),
      });
      await assert.rejects(recoded.ask('x'), is('peer_protocol'), 'the same request’s, of another code');
    }
  });

  it('M26: K10: who may replicate no more stops nobody', async () => {
    const { a, b, wire } = await pair();
    await wire.ask('x');
    let release = (): void => undefined;
    b.gate = new Promise((resolve) => (release = resolve));
    b.fault = new GkvError('must_bootstrap', 'says the peer');
    const waiting = wire.ask('waits');
    while (b.let.length < 2) await new Promise((resolve) => setImmediate(resolve));
    await a.learn(mesh.revocationByRoot(grants.b));
    release();
    await assert.rejects(waiting, is('grant_revoked'));
  });

  it('what one side has sent is nothing that it takes itself', async () => {
    const { a, b, wire } = await pair();
    const back = new Wire(b, a);
    await wire.ask('x');
    await back.ask('y');
    await assert.rejects(a.answer('feed', wire.last('feed')), is('session_unknown'));
    await assert.rejects(b.answer('feed', back.last('feed')), is('session_unknown'));
    await assert.rejects(a.answer('session', wire.last('session')), is('session_unknown'));
  });

  it('an opening that is sent again opens nothing, and ends nothing', async () => {
    const { b, wire } = await pair();
    await wire.ask('x');
    const opening = wire.last('session');
    for (let i = 0; i < 200; i += 1) await assert.rejects(b.answer('session', opening), is('peer_unproven'));
    assert.equal(await wire.ask('still'), 'llits');
    assert.equal(wire.asked.filter((service) => service === 'session').length, 2);
  });
});

describe('M35: sessions', () => {
  it('I9: keep of what opened them no more than they need', () => {
    const frame = new Uint8Array(100_000);
    const [id, key] = [frame.subarray(0, 16), frame.subarray(16, 48)];
    const peer = { clusterId: id, incarnation: 1, key, leaf: key };
    const { terms } = new Session({ id, peer, agreement: key, ownLeaf: key, keys: { request: key, answer: key }, beganMs: 0 });
    for (const kept of [terms.id, terms.agreement, terms.peer.clusterId, terms.peer.key, terms.peer.leaf])
      assert.equal(kept.buffer.byteLength, kept.length);
  });

  it('are lost with the process that answers: another begins with the next request', async () => {
    const { b, wire } = await pair();
    await wire.ask('x');
    b.restart();
    assert.equal(await wire.ask('again'), 'niaga');
    assert.deepEqual(wire.asked, ['session', 'session', 'feed', 'feed', 'session', 'session', 'feed']);
  });

  it('no storm: of a peer that forgets every session at once, one more is asked for, once for a request', async () => {
    const { b, wire } = await pair();
    wire.change.request = (frame, service) => {
      if (service === 'feed') b.restart();
      return frame;
    };
    await assert.rejects(wire.ask('x'), is('session_unknown'));
    assert.deepEqual(wire.asked, ['session', 'session', 'feed', 'session', 'session', 'feed']);
    wire.change = {};
    assert.equal(await wire.ask('ab'), 'ba');
  });

  it('of several instances that answer at one address each has its own, and none is begun again when connections lead to another', async () => {
    const { a, b } = await pair();
    const other = await side(2, 'b', [mesh.root, grants.a, grants.b]);
    other.restart(); // what it draws is not what the first has drawn
    let at = b;
    const wire = new Wire(a, { ...b, answer: (service, frame) => at.answer(service, frame) });
    for (let i = 0; i < 20; i += 1) {
      at = i % 2 === 0 ? b : other;
      assert.equal(await wire.ask('ab'), 'ba');
    }
    assert.equal(wire.asked.filter((service) => service === 'session').length, 4);
    assert.deepEqual([b.let.length, other.let.length, wire.asked.length], [10, 10, 4 + 20 + 19]);
  });

  it('one that is unknown three times in a row is given up, and the asking side keeps four of one place', async () => {
    const { b, wire } = await pair();
    for (let i = 0; i < 10; i += 1) {
      await wire.ask('x');
      b.restart();
    }
    const before = wire.asked.length;
    await wire.ask('x');
    const tried = wire.asked.slice(before).filter((service) => service === 'feed').length;
    assert.ok(tried <= 4, `${tried} requests`);
  });

  it('an opening for another process begins another one, once', async () => {
    const { b, wire } = await pair();
    let openings = 0;
    wire.change.request = (frame, service) => {
      if (service === 'session' && ++openings === 2) b.restart();
      return frame;
    };
    assert.equal(await wire.ask('ab'), 'ba');
    assert.deepEqual(wire.asked, ['session', 'session', 'session', 'session', 'feed']);
  });

  it('end after an hour, and the asking side begins another in time', async () => {
    const { a, b, wire } = await pair();
    await wire.ask('x');
    const old = wire.last('feed');
    a.clock.ms += sessionMsMax.asking - 1;
    b.clock.ms += sessionMsMax.asking - 1;
    await wire.ask('y');
    a.clock.ms += 1;
    b.clock.ms += 1;
    await wire.ask('z');
    assert.deepEqual(wire.asked, ['session', 'session', 'feed', 'feed', 'session', 'session', 'feed']);
    b.clock.ms += sessionMsMax.answering;
    await assert.rejects(b.answer('feed', old), is('session_unknown'));
  });

  it('I9: more openings at a time than are judged are refused as unavailable', async () => {
    const { a, b, wire } = await pair();
    await wire.ask('x');
    const opening = wire.last('session');
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => b.answer('session', opening)));
    const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
    assert.equal(refused.filter((error) => is('unavailable')(error)).length, 12);
    const { digests, own } = a.deps;
    const header = { clusterId: own.clusterId, nonce: new Uint8Array(16), floor: new Uint8Array(16) };
    await b.answer('session', encodeRequest(header, encodeSessionAsk({ kind: 'who' }), digests, 'session'));
    await assert.rejects(b.answer('session', opening), is('peer_unproven'));
  });

  it('I9: a flood of them ends the oldest of the key that begins them, and those that nothing was asked under first', () => {
    const table = new SessionTable();
    const idOf = (n: number): Uint8Array => {
      const id = new Uint8Array(16);
      new DataView(id.buffer).setUint32(0, n);
      return id;
    };
    const open = (n: number, key: number): Session => {
      const id = idOf(n);
      const bytes = Buffer.alloc(32);
      bytes.writeUInt32BE(key);
      const peer = { clusterId: new Uint8Array(16), incarnation: 1, key: bytes, leaf: bytes };
      const session = new Session({ id, peer, agreement: id, ownLeaf: bytes, keys: { request: bytes, answer: bytes }, beganMs: 0 });
      assert.equal(table.add(session), true);
      return session;
    };
    const use = (session: Session): void => {
      const { bytes } = new Session(session.terms).seal('feed', Buffer.from('x'));
      const [head, mac, frame] = [bytes.subarray(0, 25), bytes.subarray(25, 41), bytes.subarray(41)];
      session.take('feed', { sessionId: session.terms.id, counter: 1, head, mac, frame });
    };
    const other = open(0, 2);
    const used = open(1, 1);
    use(used);
    for (let n = 2; n < 1_000; n += 1) open(n, 1);
    assert.deepEqual([table.size, table.find(used.terms.id, 0), table.find(other.terms.id, 0)], [18, used, other]);
    for (let n = 1_000; n < 2_000; n += 1) use(open(n, 1));
    assert.equal(table.find(used.terms.id, 0), undefined);
    assert.equal(table.find(other.terms.id, 0), other);
    for (let n = 2_000; n < 7_000; n += 1) open(n, n);
    const newest = open(7_000, 7_000);
    assert.deepEqual([table.size, table.find(newest.terms.id, 0)], [4_096, newest]);
    assert.equal(table.find(idOf(1_999), 0)?.isUsed, true); // older than all of these
    for (let n = 10_000; n < 14_096; n += 1) use(open(n, n));
    open(20_000, 20_000);
    assert.deepEqual([table.size, table.find(idOf(20_000), 0) === undefined], [4_096, false]); // where all were used, the oldest goes
  });

  it('each counter passes once, in whatever order within 64', () => {
    const window = new ReplayWindow();
    assert.deepEqual(
      [0, 1, 3, 2, 3, 1, 66, 2, 3, 65, 65].map((counter) => window.take(counter)),
      [...[false, true, true, true, false, false, true, false, false, true, false]],
    );
    assert.equal(window.greatest, 66);
  });
});
