import assert from 'node:assert/strict';
import { encode } from 'cborg';
import { hasCode, type ErrorCode } from '../../src/core/errors.ts';
import { allKeys, successorKey, type KeyRange } from '../../src/core/key.ts';
import { makeStamp, parseInstance } from '../../src/core/stamp.ts';
import { MeshDigests } from '../../src/crypto/mesh.ts';
import { joinIds } from '../../src/aae/fingerprint.ts';
import { type Ask, type Parts, type Reply } from '../../src/aae/message.ts';
import { decodeRequest, encodeAnswer, frameBytesMax } from '../../src/aae/frame.ts';
import { type PeerLink } from '../../src/aae/checkedPeer.ts';
import { type ExchangeOptions } from '../../src/aae/driver.ts';
import { encodeWrites } from '../../src/replica/wire.ts';
import { received } from '../replica/received.ts';
import { FakeClock } from '../support.ts';
import { contentOf, lyingPeer, peerId, rawPeer, type LyingReply } from './hostile.ts';
import { assertTree } from './oracle.ts';
import { DenseDigests, exchange, key, linkTo, openInstance, set, type Instance } from './world.ts';

const digests = new DenseDigests(4);
const now = makeStamp(new FakeClock().now(), 0, parseInstance(new Uint8Array(8)));
const scope: KeyRange = { start: Buffer.from('k'), end: Buffer.from('l') };
const outside: KeyRange = { start: Buffer.from('a'), end: Buffer.from('b') };
const print = new Uint8Array(8).fill(1);
const writesOf = (...names: string[]): Uint8Array => encodeWrites(names.map((name) => received(digests, name, now)));

async function loaded(keys = 400, cluster = 1): Promise<Instance> {
  const instance = await openInstance({ cluster });
  await instance.replica.write(Array.from({ length: keys }, (_, i) => set(`k${i}`, 'v')));
  return instance;
}

async function fails(link: PeerLink, codes: readonly ErrorCode[], options: Partial<ExchangeOptions> = {}): Promise<void> {
  const instance = await loaded();
  const before = await contentOf(instance);
  await assert.rejects(exchange(instance, link, { scope, ...options }), (error) => hasCode(error, ...codes));
  assert.deepEqual(await contentOf(instance), before);
}

/** Answers the first ask with this, and the others with nothing. */
const first = (reply: (ask: Ask) => Partial<Reply>): PeerLink => lyingPeer((ask, request) => (request === 1 ? reply(ask) : {})).link;

describe('A12: a driver refuses a bad answer, and nothing changes', () => {
  it('garbage or none: peer_protocol; an answer that is cut is not authentic: mesh_mismatch', async () => {
    for (const bytes of [new Uint8Array(0), Buffer.from('<html>502 Bad Gateway</html>'), new Uint8Array(500).fill(255)]) {
      await fails(
        rawPeer(() => bytes),
        ['peer_protocol'],
      );
    }
    const good = await loaded(400, 2);
    await fails(
      rawPeer(async (frame) => (await good.responder.answer(frame)).subarray(0, 40)),
      ['mesh_mismatch'],
    );
  });

  it('an answer over the limit: peer_protocol', async () => {
    await fails(
      rawPeer(() => new Uint8Array(frameBytesMax + 1)),
      ['peer_protocol'],
    );
  });

  it('an answer of another protocol version: peer_protocol', async () => {
    await fails(
      rawPeer(() => Buffer.concat([new Uint8Array(16), encode([2, 'whatever'])])),
      ['peer_protocol'],
    );
  });

  it('an answer under another mesh key, to another request, or changed on the way: mesh_mismatch', async () => {
    const other = new MeshDigests({ id: digests.meshId, key: new Uint8Array(32).fill(7) });
    const empty = new Uint8Array(0);
    await fails(
      rawPeer((frame) => encodeAnswer({ clusterId: peerId, body: empty }, decodeRequest(frame, digests), other)),
      ['mesh_mismatch'],
    );
    const honest = await loaded(400, 2);
    let old: Uint8Array | undefined;
    const replaying = rawPeer(async (frame) => {
      old ??= await honest.responder.answer(frame);
      return old;
    });
    await exchange(await openInstance({ cluster: 3 }), replaying).catch(() => undefined);
    await fails(replaying, ['mesh_mismatch']);
    const changing = rawPeer(async (frame) => {
      const answer = Buffer.from(await honest.responder.answer(frame));
      answer[answer.length - 1] = (answer.at(-1) ?? 0) ^ 1;
      return answer;
    });
    await fails(changing, ['mesh_mismatch']);
  });

  const lies: Readonly<Record<string, (ask: Ask) => Partial<Reply>>> = {
    'more spans looked at than there were': (ask) => ({ looked: ask.spans.length + 1 }),
    'no span looked at': () => ({ looked: 0 }),
    'more wants done than there were': (ask) => ({ wantsDone: ask.wants.length + 1 }),
    'an offer outside of the exchange': () => ({ offers: [outside] }),
    'an offer that reaches out of the exchange': () => ({ offers: [{ start: Buffer.from('k'), end: null }] }),
    'a gap outside of the exchange': () => ({ gaps: [outside] }),
    'ids outside of the exchange': () => ({ ids: [{ range: outside, ids: new Uint8Array(6) }] }),
    'ids of what is no part of a span': () => ({
      ids: [{ range: { start: Buffer.from('k1'), end: Buffer.from('k2') }, ids: new Uint8Array(6) }],
    }),
    'a span outside of the exchange': () => ({ spans: [{ start: outside.start, parts: [{ end: outside.end, fingerprint: print }] }] }),
    'a span that begins before the exchange': () => ({
      spans: [{ start: Buffer.from('a'), parts: [{ end: scope.end, fingerprint: print }] }],
    }),
    'a span that ends behind the exchange': () => ({ spans: [{ start: scope.start, parts: [{ end: null, fingerprint: print }] }] }),
    'a span of which a part reaches out of the exchange': () => ({
      spans: [{ start: scope.start, parts: [Buffer.from('z'), scope.end].map((end) => ({ end, fingerprint: print })) }],
    }),
    'a write outside of the exchange': () => ({ writes: writesOf('k1', 'z') }),
    'a span whose edges fall': () => ({ spans: [{ start: Buffer.from('k5'), parts: [{ end: Buffer.from('k4'), fingerprint: print }] }] }),
    'a span without parts': () => ({ spans: [{ start: Buffer.from('k5'), parts: [] }] }),
  };
  for (const [title, reply] of Object.entries(lies)) it(`${title}: peer_protocol`, () => fails(first(reply), ['peer_protocol']));

  it('a span outside of a prefix: nothing outside is compared, sent or asked for, there nor here', async () => {
    for (const direction of ['both', 'pull'] as const) {
      const asks: Ask[] = [];
      const { link } = lyingPeer((ask, request) => {
        asks.push(ask);
        return request === 1 ? { spans: [{ start: outside.start, parts: [{ end: outside.end, fingerprint: print }] }] } : {};
      });
      const instance = await loaded();
      await instance.replica.write([set('a1', 'outside')]);
      const before = await contentOf(instance);
      await assert.rejects(exchange(instance, link, { scope, direction }), (error) => hasCode(error, 'peer_protocol'));
      assert.deepEqual(await contentOf(instance), before);
      assert.deepEqual(
        asks.map(({ wants, fetch, writes }) => [wants, fetch, writes.length]),
        [[[], undefined, 0]],
      );
    }
  });

  it('wants that are never looked for: peer_protocol', async () => {
    const { link } = lyingPeer((_, request) =>
      request === 1 ? { ids: [{ range: scope, ids: new Uint8Array(12).fill(1) }] } : { wantsDone: 0 },
    );
    await fails(link, ['peer_protocol'], { direction: 'pull' });
  });

  it('a page of writes that goes on at its start or before: peer_protocol, and what came before is kept', async () => {
    for (const next of ['k', 'k2', 'a']) {
      const instance = await loaded();
      const { link } = lyingPeer((ask, request) => {
        if (request === 1) return { offers: [scope] };
        return request === 2
          ? { writes: writesOf('k1x'), fetchNext: Buffer.from('k2') }
          : { writes: writesOf('k3x'), fetchNext: Buffer.from(next) };
      });
      await assert.rejects(exchange(instance, link, { scope }), (error) => hasCode(error, 'peer_protocol'));
      assert.ok((await instance.replica.get(key('k1x'))).exists);
      await assertTree(instance.store, instance.digests);
    }
  });
});

describe('A13: a driver is not led in circles (I9)', () => {
  it('spans that differ for ever: peer_protocol after 2,000 requests that bring nothing', async () => {
    const { link, requests } = lyingPeer((ask) => ({
      spans: ask.spans.map(({ start }) => ({ start, parts: [{ end: scope.end, fingerprint: print }] })),
    }));
    await fails(link, ['peer_protocol'], { direction: 'pull' });
    assert.ok(requests() <= 2_001);
  });

  it('pages without a write that creep on: peer_protocol', async () => {
    const { link, requests } = lyingPeer((ask) =>
      ask.fetch === undefined ? { offers: [scope] } : { fetchNext: successorKey(ask.fetch.start).subarray(0, 1_024) },
    );
    await fails(link, ['peer_protocol'], { direction: 'pull' });
    assert.ok(requests() <= 2_001);
  });
});

describe('A13: what only seems to bring the exchange on does not keep it going', () => {
  const rest = (start: Uint8Array): Parts => ({ start, parts: [{ end: scope.end, fingerprint: print }] });

  /** The driver gives up by itself, within so many requests. */
  async function ends(reply: LyingReply, requestsMax: number): Promise<void> {
    const { link, requests } = lyingPeer((ask, request, prints) => {
      assert.ok(request <= requestsMax, `request ${request}`);
      return reply(ask, request, prints);
    });
    const instance = await loaded(20);
    await assert.rejects(exchange(instance, link, { scope }), (error) => hasCode(error, 'peer_protocol'));
    assert.ok(requests() <= requestsMax);
    await assertTree(instance.store, instance.digests);
  }

  it('pages that repeat a write, with an ever rising place to go on from: peer_protocol', () =>
    ends((ask, request) => {
      if (ask.fetch === undefined) return { offers: [scope] };
      return { writes: writesOf('k1x'), fetchNext: Buffer.from(`k1x${'\0'.repeat(request)}`) };
    }, 3));

  it('spans that differ for ever, from a peer that says it applied what nobody sent: peer_protocol', () =>
    ends(() => ({ spans: [rest(scope.start)], applied: 1 }), 2_001));

  it('a gap that comes back, so that all would be sent again: peer_protocol', () =>
    ends(() => ({ spans: [rest(scope.start)], gaps: [scope], applied: 1 }), 1));

  it('findings in the answer to a request that named no span: peer_protocol', async () => {
    for (const finding of [{ spans: [rest(scope.start)] }, { gaps: [scope] }, { offers: [scope] }]) {
      await ends((_, request) => (request === 1 ? { gaps: [scope] } : { ...finding, applied: 20 }), 2);
    }
  });

  it('ids in ever new ranges that all stand for one old write: peer_protocol', () => {
    const edge = (n: number): Uint8Array => Buffer.from(`k${String(n).padStart(5, '0')}`);
    const old = received(digests, 'k1', makeStamp(1, 0, parseInstance(new Uint8Array(8))));
    return ends((ask, request, prints) => {
      const to = edge(request + 1);
      const ids = [{ range: { start: edge(request), end: to }, ids: joinIds([prints.idOf(old.id)]) }];
      return { spans: [rest(to)], ids, writes: ask.wants.length > 0 ? encodeWrites([old]) : new Uint8Array(0) };
    }, 2);
  });
});

describe('A14: a peer that dies midway', () => {
  it('leaves what it sent, and a right tree; the next exchange does the rest', async () => {
    const rich = await openInstance({ cluster: 2 });
    await rich.replica.write(Array.from({ length: 900 }, (_, i) => set(`r${i}`, 'x'.repeat(3_000))));
    for (let alive = 1; alive < 30; alive += 1) {
      const instance = await loaded();
      let answers = 0;
      const dying = rawPeer(async (frame) => {
        answers += 1;
        return answers > alive ? new Uint8Array(3) : rich.responder.answer(frame);
      });
      const finished = await exchange(instance, dying, { direction: 'pull' }).then(
        () => true,
        (error: unknown) => {
          assert.ok(hasCode(error, 'peer_protocol'));
          return false;
        },
      );
      await assertTree(instance.store, instance.digests);
      await exchange(instance, linkTo(rich), { scope: allKeys, direction: 'pull' });
      assert.ok((await instance.replica.get(key('r899'))).exists);
      if (finished) return;
    }
    assert.fail('the exchange never ended');
  });
});
