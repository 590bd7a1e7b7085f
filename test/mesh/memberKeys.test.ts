import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { decodeAnswer, encodeRequest } from '../../src/aae/frame.ts';
import { hasCode, type ErrorCode, type GkvError } from '../../src/core/errors.ts';
import { Agreement } from '../../src/crypto/agreement.ts';
import { decodeWho, encodeSessionAsk, openingMessage, type SessionAsk } from '../../src/mesh/handshake.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { person } from '../grant/world.ts';
import { everything, grants, mesh, side, Wire, type Side } from './proofs.ts';

const is =
  (...codes: readonly ErrorCode[]) =>
  (error: unknown): error is GkvError =>
    hasCode(error, ...codes);

describe('M36: the key of a member', () => {
  const other = mesh.grant('c', everything);
  const records = [mesh.root, grants.a, grants.b, other];
  /** Cluster 1 with its key, another in its name that may replicate too, and cluster 2. */
  const open = async (isMember = (): boolean => true): Promise<{ a: Side; posing: Side; b: Side }> => {
    const posing = await side(1, 'a', records, { key: person('c') });
    posing.restart(); // what it draws is not what the other draws
    return { a: await side(1, 'a', records), posing, b: await side(2, 'b', records, { isMember }) };
  };

  it('is the one that was proved first: another is refused under the same cluster id, whichever asks', async () => {
    const { a, posing, b } = await open();
    await new Wire(a, b).ask('x');
    await assert.rejects(new Wire(posing, b).ask('y'), is('peer_unproven'));
    await assert.rejects(new Wire(b, posing).ask('z'), is('peer_unproven'));
    assert.deepEqual([b.let, posing.let], [['x'], []]);
    assert.equal(await new Wire(b, a).ask('ab'), 'ba');
  });

  it('stays so when the process begins anew', async () => {
    const database = new MemoryDatabase();
    const { a, posing } = await open();
    await new Wire(a, await side(2, 'b', records, { database })).ask('x');
    await assert.rejects(new Wire(posing, await side(2, 'b', records, { database })).ask('y'), is('peer_unproven'));
  });

  it('K10: gives way to another once it may replicate no more', async () => {
    const { a, posing, b } = await open();
    await new Wire(a, b).ask('x');
    await b.learn(mesh.revocationByRoot(grants.a));
    assert.equal(await new Wire(posing, b).ask('ab'), 'ba');
    await b.learn(mesh.grant('a', { ...everything, notBeforeMs: 1 }));
    await assert.rejects(new Wire(a, b).ask('y'), is('peer_unproven', 'grant_revoked'));
  });

  it('is kept of members alone, and ends sessions that another began before there was one', async () => {
    let isMember = false;
    const { a, posing, b } = await open(() => isMember);
    const [wire, posed] = [new Wire(a, b), new Wire(posing, b)];
    await wire.ask('1');
    await posed.ask('2');
    isMember = true;
    await wire.ask('3');
    await assert.rejects(posed.ask('4'), is('peer_unproven'));
    await assert.rejects(posed.ask('5'), is('peer_unproven'));
    assert.deepEqual(b.let, ['1', '2', '3']);
  });

  it('is kept of nobody in our own name: such an opening is wrong_peer, whatever its key, and its key is not noted', async () => {
    const b = await side(2, 'b', records);
    const { own, digests } = b.deps;
    const ask = async (asked: SessionAsk): Promise<{ clusterId: Uint8Array; body: Uint8Array }> => {
      const header = { clusterId: own.clusterId, nonce: new Uint8Array(16), floor: new Uint8Array(16) };
      const frame = encodeRequest(header, encodeSessionAsk(asked), digests, 'session');
      return decodeAnswer(await b.answer('session', frame), frame, digests, 'session');
    };
    for (const [name, { id: leaf }] of [
      ['c', other],
      ['b', grants.b],
    ] as const) {
      const who = await ask({ kind: 'who' }); // so that we find out that we ask ourselves
      const agreement = new Agreement(new Uint8Array(32).fill(7)).publicKey;
      const part = {
        asker: { ...own, agreement, key: person(name).publicKey, leaf },
        answerer: decodeWho(who.body, who.clusterId),
      };
      const signature = person(name).sign(openingMessage(mesh.id, part));
      await assert.rejects(ask({ kind: 'open', part, signature, records: [] }), is('wrong_peer'));
    }
    await b.deps.memberKeys.check({ clusterId: own.clusterId, key: person('a').publicKey }, () => true); // the first
  });

  it('who asks and finds itself there opens nothing: wrong_peer', async () => {
    const { a } = await open();
    const wire = new Wire(a, a);
    await assert.rejects(wire.prove(), is('wrong_peer'));
    await assert.rejects(wire.ask('x'), is('wrong_peer'));
    assert.deepEqual([wire.asked, a.let], [['session', 'session'], []]);
  });
});
