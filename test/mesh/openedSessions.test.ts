import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, it } from 'mocha';
import { decodeAnswer, encodeRequest } from '../../src/aae/frame.ts';
import { OpenedSessions } from '../../src/mesh/openedSessions.ts';
import { type Links } from '../../src/mesh/ports.ts';
import { ProvenLinks } from '../../src/mesh/provenLinks.ts';
import { Session } from '../../src/mesh/session.ts';
import { until } from '../support.ts';
import { grants, mesh, side } from './proofs.ts';

function session(): Session {
  const [id, key] = [new Uint8Array(16), new Uint8Array(32)];
  const peer = { clusterId: id, incarnation: 1, key, leaf: key };
  return new Session({ id, peer, agreement: key, ownLeaf: key, keys: { request: key, answer: key }, beganMs: 0 });
}

/** Openings that a test ends, in the order in which they began. */
function openings(): {
  begun: { signal: AbortSignal; done: (opened: Session) => void; fail: (error: Error) => void }[];
  begin: (signal: AbortSignal) => Promise<Session>;
} {
  const begun: ReturnType<typeof openings>['begun'] = [];
  const begin = (signal: AbortSignal): Promise<Session> =>
    new Promise((done, fail) => {
      begun.push({ signal, done, fail });
      signal.addEventListener('abort', () => {
        fail(new Error('nobody waits'));
      });
    });
  return { begun, begin };
}

describe('M35: a session for which several wait', () => {
  it('is opened once; who goes away goes at once, for its own reason, and the others get it', async () => {
    const { begun, begin } = openings();
    const sessions = new OpenedSessions();
    const [gone, stays] = [new AbortController(), new AbortController()];
    const [first, second] = [sessions.open(begin, gone.signal), sessions.open(begin, stays.signal)];
    const left = assert.rejects(first, { message: 'the client went away' });
    gone.abort(new Error('the client went away'));
    await left;
    assert.deepEqual([begun.length, begun[0]?.signal.aborted], [1, false]);
    const opened = session();
    begun[0]?.done(opened);
    assert.equal(await second, opened);
    assert.equal(sessions.next(new Set(), 0), opened);
  });

  it('is given up when all have gone, and who comes then begins another', async () => {
    const { begun, begin } = openings();
    const sessions = new OpenedSessions();
    const [one, two] = [new AbortController(), new AbortController()];
    const waiting = [one, two].map(({ signal }) => assert.rejects(sessions.open(begin, signal), { message: 'gone' }));
    one.abort(new Error('gone'));
    two.abort(new Error('gone'));
    await Promise.all(waiting);
    assert.equal(begun[0]?.signal.aborted, true);
    const third = sessions.open(begin, new AbortController().signal);
    const opened = session();
    begun[1]?.done(opened);
    assert.equal(await third, opened);
    await assert.rejects(sessions.open(begin, one.signal), { message: 'gone' });
    assert.equal(begun.length, 2);
  });

  it('that ends late, when nobody waits for it any more, leaves alone the one that is being opened since', async () => {
    const ends: ((opened: Session) => void)[] = [];
    const begin = (): Promise<Session> => new Promise((end) => ends.push(end)); // heeds no signal
    const sessions = new OpenedSessions();
    const gone = new AbortController();
    const first = assert.rejects(sessions.open(begin, gone.signal), { message: 'gone' });
    gone.abort(new Error('gone'));
    await first;
    const { signal } = new AbortController();
    const second = sessions.open(begin, signal);
    ends[0]?.(session());
    await new Promise(setImmediate);
    const third = sessions.open(begin, signal);
    const opened = session();
    ends[1]?.(opened);
    assert.deepEqual([await second, await third], [opened, opened]);
    assert.equal(ends.length, 2);
  });

  it('that cannot be opened fails all, and whoever tries again does not get the same error', async () => {
    const { begun, begin } = openings();
    const sessions = new OpenedSessions();
    const { signal } = new AbortController();
    const opened = session();
    const waiting = [1, 2].map(() => sessions.open(begin, signal).catch(() => sessions.open(begin, signal)));
    begun[0]?.fail(new Error('refused'));
    await until(() => begun.length > 1);
    begun[1]?.done(opened);
    assert.deepEqual(await Promise.all(waiting), [opened, opened]);
    assert.equal(begun.length, 2);
  });

  it('I9: leaves nothing with the signals of who waited', async () => {
    const { begun, begin } = openings();
    const sessions = new OpenedSessions();
    const { signal } = new AbortController();
    for (let i = 0; i < 20; i += 1) {
      const waiting = sessions.open(begin, signal);
      begun[i]?.done(session());
      await waiting;
    }
    assert.ok(getEventListeners(signal, 'abort').length <= 1);
  });

  it('an exchange goes on though a pull of the same member, which began it, was given up', async () => {
    const records = [mesh.root, grants.a, grants.b];
    const [a, b] = [await side(1, 'a', records), await side(2, 'b', records)];
    let open = (): void => undefined;
    const held = new Promise<void>((resolve) => (open = resolve));
    const links: Links = {
      link: (_to, service) => ({
        ask: async (frame, signal) => {
          if (service === 'session') await held;
          signal.throwIfAborted();
          return b.answer(service, frame);
        },
      }),
    };
    const proven = new ProvenLinks(links, a.prover);
    const { digests, own } = a.deps;
    const ask = async (signal: AbortSignal): Promise<string> => {
      const header = { clusterId: own.clusterId, nonce: new Uint8Array(16), floor: new Uint8Array(16) };
      const frame = encodeRequest(header, Buffer.from('ab'), digests, 'exchange');
      const answer = await proven.link({ host: 'b', port: 1 }, 'exchange').ask(frame, signal);
      return Buffer.from(decodeAnswer(answer, frame, digests, 'exchange').body).toString();
    };
    const client = new AbortController();
    const pull = assert.rejects(ask(client.signal), { message: 'the client went away' });
    const exchange = ask(new AbortController().signal);
    client.abort(new Error('the client went away'));
    await pull;
    open();
    assert.equal(await exchange, 'ba');
  });
});
