import { decodeReply, partsPerSpanMax, type Parts, type Reply } from '../../src/aae/message.ts';
import assert from 'node:assert/strict';
import { encode } from 'cborg';
import { hasCode, type ErrorCode } from '../../src/core/errors.ts';
import { allKeys } from '../../src/core/key.ts';
import { makeStamp, parseInstance, physicalMsMax } from '../../src/core/stamp.ts';
import { MeshDigests } from '../../src/crypto/mesh.ts';
import { decodeAnswer, encodeRequest, frameBytesMax } from '../../src/aae/frame.ts';
import { Responder } from '../../src/aae/responder.ts';
import { encodeWrites } from '../../src/replica/wire.ts';
import { received } from '../replica/received.ts';
import { observing } from '../store/observing.ts';
import { FakeClock } from '../support.ts';
import { askFrame, contentOf, header, peerId } from './hostile.ts';
import { assertTree } from './oracle.ts';
import { key, openInstance, set, type Instance } from './world.ts';

const now = makeStamp(new FakeClock().now(), 0, parseInstance(new Uint8Array(8)));
const plain = (name: string): Uint8Array => Buffer.from(name);

async function loaded(): Promise<Instance> {
  const instance = await openInstance();
  await instance.replica.write(Array.from({ length: 50 }, (_, i) => set(`k${i}`, 'v')));
  return instance;
}

async function refused(instance: Instance, frame: Uint8Array, ...codes: ErrorCode[]): Promise<void> {
  const before = await contentOf(instance);
  await assert.rejects(instance.responder.answer(frame), (error) => hasCode(error, ...codes));
  assert.deepEqual(await contentOf(instance), before);
}

/** A frame with a right mac over a payload of any shape. */
function sealed(payload: Uint8Array, digests: MeshDigests): Uint8Array {
  return Buffer.concat([digests.mac(Buffer.from('gkvmesh/exchange/request/v1\0'), payload).subarray(0, 16), payload]);
}

describe('A10: a responder refuses a bad driver, and nothing changes', () => {
  it('another protocol version: peer_protocol, whatever else is in the frame', async () => {
    const instance = await loaded();
    for (const fields of [
      [2, 'something else'],
      [2],
      [0, instance.digests.meshId, peerId, header.nonce, header.floor, new Uint8Array(0)],
    ]) {
      await refused(instance, sealed(encode(fields), instance.digests), 'peer_protocol');
    }
  });

  it('another mesh id, or another mesh key: mesh_mismatch', async () => {
    const instance = await loaded();
    const ids = new MeshDigests({ id: new Uint8Array(32).fill(7), key: new Uint8Array(32).fill(2) });
    const keys = new MeshDigests({ id: new Uint8Array(32).fill(1), key: new Uint8Array(32).fill(7) });
    for (const other of [ids, keys]) await refused(instance, askFrame({}, other), 'mesh_mismatch');
  });

  it('garbage: peer_protocol', async () => {
    const instance = await loaded();
    const shapes = [
      [],
      [1],
      {},
      'text',
      7,
      null,
      [1, 'id', 1, 1, 1, 1],
      [1, new Uint8Array(31), peerId, header.nonce, header.floor, new Uint8Array(0)],
    ];
    for (const shape of shapes) await refused(instance, sealed(encode(shape), instance.digests), 'peer_protocol');
    const nested = Buffer.alloc(1_000_000, 0x81);
    const hugeArray = Buffer.concat([new Uint8Array(16), Buffer.from('9bffffffffffffffff', 'hex')]);
    for (const bytes of [new Uint8Array(0), new Uint8Array(16), Buffer.from('GET / HTTP/1.1\r\n\r\n'), nested, hugeArray]) {
      await refused(instance, bytes, 'peer_protocol');
    }
    const tooLong = encode([1, instance.digests.meshId, peerId, header.nonce, header.floor, new Uint8Array(0), 1]);
    await refused(instance, sealed(tooLong, instance.digests), 'peer_protocol');
    const badId = encode([1, instance.digests.meshId, new Uint8Array(15), header.nonce, header.floor, new Uint8Array(0)]);
    await refused(instance, sealed(badId, instance.digests), 'peer_protocol');
  });

  it('a truncated frame, at any byte', async () => {
    const instance = await loaded();
    const frame = askFrame({ writes: encodeWrites([received(instance.digests, 'new', now)]) }, instance.digests);
    for (let length = 0; length < frame.length; length += 1) {
      await assert.rejects(instance.responder.answer(frame.subarray(0, length)), (error) =>
        hasCode(error, 'peer_protocol', 'mesh_mismatch'),
      );
    }
    assert.equal((await instance.replica.get(key('new'))).exists, false);
  });

  it('a frame over the limit: too_large', async () => {
    const instance = await loaded();
    await refused(instance, new Uint8Array(frameBytesMax + 1), 'too_large');
  });

  it('a body that is none: malformed', async () => {
    const instance = await loaded();
    for (const body of [new Uint8Array(0), new Uint8Array(5), new Uint8Array(300).fill(255)]) {
      await refused(instance, encodeRequest(header, body, instance.digests), 'malformed');
    }
  });

  it('a row of writes of which the last is broken: malformed, and none is taken in', async () => {
    const instance = await loaded();
    const good = encodeWrites([received(instance.digests, 'new', now)]);
    for (const bad of [Buffer.of(0), Buffer.of(16), good.subarray(0, good.length - 1)]) {
      await refused(instance, askFrame({ writes: Buffer.concat([good, bad]) }, instance.digests), 'malformed');
    }
  });

  it('spans whose edges fall, that are empty, or that go on after the last key: peer_protocol', async () => {
    const instance = await loaded();
    const fingerprint = new Uint8Array(8);
    const part = (end: string | null): { end: Uint8Array | null; fingerprint: Uint8Array } => ({
      end: end === null ? null : plain(end),
      fingerprint,
    });
    const bad = [
      { start: plain('m'), parts: [part('a')] },
      { start: plain('a'), parts: [part('m'), part('b')] },
      { start: plain('a'), parts: [] },
      { start: plain('a'), parts: [part(null), part('z')] },
    ];
    const good = { start: plain('a'), parts: [part('m')] };
    const writes = encodeWrites([received(instance.digests, 'new', now)]);
    for (const span of bad) await refused(instance, askFrame({ spans: [good, span], writes }, instance.digests), 'peer_protocol');
  });

  it('a span, a want or a fetch that is not in the range of the exchange: peer_protocol', async () => {
    const instance = await loaded();
    const fingerprint = new Uint8Array(8);
    const scope = { start: plain('k1'), end: plain('k3') };
    const writes = encodeWrites([received(instance.digests, 'new', now)]);
    const [before, behind, over] = [
      { start: plain('k'), end: plain('k2') },
      { start: plain('k2'), end: plain('k30') },
      { start: plain('k2'), end: null },
    ];
    for (const range of [before, behind, over])
      for (const ask of [
        { spans: [{ start: range.start, parts: [{ end: range.end, fingerprint }] }] },
        { wants: [{ range, ids: new Uint8Array(6) }] },
        { fetch: range },
      ])
        await refused(instance, askFrame({ scope, writes, ...ask }, instance.digests), 'peer_protocol');
  });

  it('spans in any order, and such as overlap, are answered one by one; so is a write out of the range: it is a write', async () => {
    const instance = await loaded();
    const span = (start: string, end: string): Parts => ({
      start: plain(start),
      parts: [{ end: plain(end), fingerprint: new Uint8Array(8) }],
    });
    const writes = encodeWrites([received(instance.digests, 'new', now)]);
    const scope = { start: plain('k1'), end: plain('k3') };
    const frame = askFrame({ scope, spans: [span('k2', 'k3'), span('k1', 'k3'), span('k1', 'k2')], writes }, instance.digests);
    const reply = decodeReply(decodeAnswer(await instance.responder.answer(frame), frame, instance.digests).body);
    assert.deepEqual([reply.looked, reply.ids.length, reply.applied], [3, 3, 1]);
  });

  it('ranges that end before they start: malformed', async () => {
    const instance = await loaded();
    const range = { start: plain('z'), end: plain('a') };
    await refused(instance, askFrame({ fetch: range }, instance.digests), 'malformed');
    await refused(instance, askFrame({ wants: [{ range, ids: new Uint8Array(6) }] }, instance.digests), 'malformed');
    await refused(instance, askFrame({ scope: range }, instance.digests), 'malformed');
  });

  it('I9: more than 65,535 items: malformed, before any is looked at', async () => {
    const instance = await loaded();
    const wants = Array.from({ length: 40_000 }, () => ({ range: { start: plain(''), end: plain('') }, ids: new Uint8Array(0) }));
    const spans = [{ start: plain(''), parts: Array.from({ length: 40_000 }, () => ({ end: plain(''), fingerprint: new Uint8Array(8) })) }];
    await refused(instance, askFrame({ wants, spans }, instance.digests), 'malformed');
  });
});

describe('A11: a responder and a driver that only repeats itself', () => {
  it('a replayed frame is answered, and changes nothing the second time', async () => {
    const instance = await loaded();
    const frame = askFrame({ writes: encodeWrites([received(instance.digests, 'new', now)]) }, instance.digests);
    const first = await instance.responder.answer(frame);
    const content = await contentOf(instance);
    const second = await instance.responder.answer(frame);
    assert.deepEqual(await contentOf(instance), content);
    assert.equal(first.length, second.length);
    await assertTree(instance.store, instance.digests);
  });

  it('unknown ids and empty ranges are answered with nothing', async () => {
    const instance = await loaded();
    const nowhere = { start: plain('x'), end: plain('x') };
    const frame = askFrame(
      {
        wants: [
          { range: allKeys, ids: new Uint8Array(600).fill(3) },
          { range: nowhere, ids: new Uint8Array(6) },
        ],
        fetch: nowhere,
      },
      instance.digests,
    );
    const answer = await instance.responder.answer(frame);
    assert.ok(answer.length < 200);
  });

  it('I9: as many wants as a frame has, each over all keys, give others their turns, and are answered for 3 s alone', async () => {
    const clock = new FakeClock();
    let turns = 0;
    const slow = {
      now: () => clock.now(),
      monotonic: () => (clock.ms += 1), // each look at the time takes one
      sleep: (ms: number) => (ms === 0 ? Promise.resolve(void (turns += 1)) : clock.sleep(ms)),
    };
    const instance = await openInstance();
    await instance.replica.write(Array.from({ length: 50 }, (_, i) => set(`k${i}`, 'v')));
    const { store, digests, clusterId, replica } = instance;
    const sink = { receive: () => Promise.resolve([]) };
    const responder = new Responder({ store, digests, clusterId, sink, clock: slow });
    const wants = Array.from({ length: 10_000 }, () => ({ range: allKeys, ids: new Uint8Array(6).fill(3) }));
    const frame = askFrame({ wants }, digests);
    const { wantsDone } = decodeReply(decodeAnswer(await responder.answer(frame), frame, digests).body);
    assert.ok(wantsDone > 0 && wantsDone < 3_000, `${wantsDone}`);
    assert.ok(turns > 100, `${turns}`);
    assert.equal((await replica.get(key('k0'))).exists, true);
  });

  /** Some 66 keys in each part, all of which differ; each read takes so long. */
  async function oneSpan(readMs: number, spans: number): Promise<{ reply: Reply; longestMs: number }> {
    const clock = new FakeClock();
    let turnMs = clock.ms;
    let longestMs = 0;
    const turn = (): void => {
      longestMs = Math.max(longestMs, clock.ms - turnMs);
      turnMs = clock.ms;
    };
    const sleep = (): Promise<void> => {
      turn();
      return Promise.resolve();
    };
    const resting = { now: () => clock.now(), monotonic: () => clock.monotonic(), sleep };
    const { store, digests, clusterId, replica } = await openInstance();
    const name = (i: number): string => `k${String(i).padStart(4, '0')}`;
    for (let from = 0; from < 4_224; from += 500)
      await replica.write(Array.from({ length: Math.min(500, 4_224 - from) }, (_, i) => set(name(from + i), 'v')));
    const slow = observing(store, (call) => {
      if (call === 'range') clock.ms += readMs;
    });
    const parts = Array.from({ length: partsPerSpanMax }, (_, i) => ({
      end: plain(`${name(66 * i + 65)}!`),
      fingerprint: new Uint8Array(8).fill(7),
    }));
    const frame = askFrame({ spans: Array.from({ length: spans }, () => ({ start: plain(''), parts })) }, digests);
    const responder = new Responder({ store: slow, digests, clusterId, sink: { receive: () => Promise.resolve([]) }, clock: resting });
    const answer = await responder.answer(frame);
    turn();
    return { reply: decodeReply(decodeAnswer(answer, frame, digests).body), longestMs };
  }

  it('A10: one span gives others their turns between its parts', async () => {
    const { reply, longestMs } = await oneSpan(5, 1);
    assert.deepEqual([reply.looked, reply.ids.length], [1, partsPerSpanMax]);
    assert.ok(longestMs < 200, `${longestMs} ms`);
  });

  it('A10: after 3 s the parts that are left of a span are told undivided', async () => {
    const { reply } = await oneSpan(20, 65); // steps are narrow
    assert.deepEqual([reply.looked, reply.spans.length], [1, partsPerSpanMax]);
    const [first, ...others] = reply.spans.map(({ parts }) => parts.length);
    assert.ok(first !== undefined && first > 1);
    assert.deepEqual(new Set(others), new Set([1]));
  });

  it('G39: a write of the last millisecond of all time is parked', async () => {
    const instance = await loaded();
    const last = makeStamp(physicalMsMax, 0, parseInstance(new Uint8Array(8)));
    const before = instance.replica.hlc.last;
    await instance.responder.answer(askFrame({ writes: encodeWrites([received(instance.digests, 'k0', last)]) }, instance.digests));
    assert.equal((await instance.replica.parkedCount()).writes, 1);
    assert.equal(instance.replica.hlc.last, before);
    await assertTree(instance.store, instance.digests);
  });

  it('as many parts as a span may have, all of which differ, are answered within a frame', async () => {
    const instance = await loaded();
    const parts = Array.from({ length: partsPerSpanMax }, (_, i) => ({
      end: plain(`k${String(i).padStart(4, '0')}`),
      fingerprint: new Uint8Array(8),
    }));
    const answer = await instance.responder.answer(askFrame({ spans: [{ start: plain(''), parts }] }, instance.digests));
    assert.ok(answer.length <= frameBytesMax);
  });
});
