import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compareBytes } from '../../src/core/bytes.ts';
import { MeshDigests, openMesh } from '../../src/crypto/mesh.ts';
import { decodeAnswer, decodeRequest, encodeAnswer, encodeRequest } from '../../src/aae/frame.ts';
import { decodeAsk, decodeReply, encodeAsk, encodeReply, type Ask, type Parts, type RangeIds, type Reply } from '../../src/aae/message.ts';
import { decodeBoundChanges, decodeTreeState, encodeBoundChanges, encodeTreeState, type BoundChange } from '../../src/aae/records.ts';
import { type KeyRange } from '../../src/core/key.ts';
import { assertNothingElse, assertStrict, refuses, shown } from '../core/strict.ts';

const digests = new MeshDigests(openMesh);
const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });

/** Edges that share much, little or nothing, up to the longest one. */
const edges = fc.oneof(
  fc.uint8Array({ maxLength: 12 }),
  fc
    .tuple(fc.constantFrom('/cities/', '/cities/de/', 'x'), fc.uint8Array({ maxLength: 3 }))
    .map(([prefix, rest]) => Buffer.concat([Buffer.from(prefix), rest])),
  fc
    .tuple(fc.constantFrom(253, 254, 255, 256, 600, 1_024), fc.nat(255))
    .map(([length, last]) => Buffer.concat([new Uint8Array(length).fill(97), Uint8Array.of(last)])),
);
const ranges: fc.Arbitrary<KeyRange> = fc.tuple(edges, fc.option(edges)).map(([a, b]) => {
  if (b === null) return { start: a, end: null };
  return compareBytes(a, b) <= 0 ? { start: a, end: b } : { start: b, end: a };
});
const spans: fc.Arbitrary<Parts> = fc.record({
  start: edges,
  parts: fc.array(fc.record({ end: fc.option(edges), fingerprint: bytes(8) }), { maxLength: 5 }),
});
const rangeIds: fc.Arbitrary<RangeIds> = fc.record({ range: ranges, ids: fc.nat(4).chain((count) => bytes(count * 6)) });

const asks: fc.Arbitrary<Ask> = fc.record({
  scope: ranges,
  closing: fc.constantFrom('final', 'more'),
  spans: fc.array(spans, { maxLength: 3 }),
  wants: fc.array(rangeIds, { maxLength: 3 }),
  fetch: fc.option(ranges, { nil: undefined }),
  writes: fc.uint8Array({ maxLength: 30 }),
});
const replies: fc.Arbitrary<Reply> = fc.record({
  looked: fc.nat(),
  spans: fc.array(spans, { maxLength: 3 }),
  ids: fc.array(rangeIds, { maxLength: 3 }),
  offers: fc.array(ranges, { maxLength: 3 }),
  gaps: fc.array(ranges, { maxLength: 3 }),
  writes: fc.uint8Array({ maxLength: 30 }),
  wantsDone: fc.nat(),
  fetchNext: fc.option(edges),
  applied: fc.nat(),
  parked: fc.nat(),
  scopeFingerprint: fc.constantFrom(new Uint8Array(0), new Uint8Array(16).fill(3)),
});

const few = { numRuns: 40 };

describe('codecs of the exchange and the tree', () => {
  it('A7: an ask comes back as it went', () => {
    fc.assert(
      fc.property(asks, (ask) => {
        assert.deepEqual(shown(decodeAsk(encodeAsk(ask))), shown(ask));
      }),
    );
  });

  it('A7: a reply comes back as it went', () => {
    fc.assert(
      fc.property(replies, (reply) => {
        assert.deepEqual(shown(decodeReply(encodeReply(reply))), shown(reply));
      }),
    );
  });

  it('I9: A21: a key of a message keeps nothing else of it in memory', () => {
    const range = { start: Buffer.from('aa'), end: Buffer.from('b') };
    const reply = { looked: 0, spans: [], ids: [], offers: [range], gaps: [], writes: new Uint8Array(0), wantsDone: 0, fetchNext: null };
    const { offers } = decodeReply(encodeReply({ ...reply, applied: 0, parked: 0, scopeFingerprint: new Uint8Array(0) }));
    assert.deepEqual([offers[0]?.start.buffer.byteLength, offers[0]?.end?.buffer.byteLength], [2, 1]);
  });

  it('A7: asks and replies refuse every truncation and every extra byte', () => {
    fc.assert(
      fc.property(asks, replies, (ask, reply) => {
        assertStrict(decodeAsk, encodeAsk(ask));
        assertStrict(decodeReply, encodeReply(reply));
      }),
      few,
    );
    assertNothingElse(decodeAsk);
    assertNothingElse(decodeReply);
  });

  it('A8: frames come back as they went; every truncation, extra byte and flipped bit is refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), bytes(16), bytes(16), fc.nat(), fc.nat(7), (body, clusterId, nonce, at, bit) => {
        const header = { clusterId, nonce, floor: new Uint8Array(16) };
        const frame = Buffer.from(encodeRequest(header, body, digests));
        const decode = (given: Uint8Array): unknown => decodeRequest(given, digests);
        const request = decodeRequest(frame, digests);
        assert.deepEqual(shown([request.header, request.body]), shown([header, body]));
        assertStrict(decode, frame);
        const answer = Buffer.from(encodeAnswer({ clusterId, body }, request, digests));
        const decodeIt = (given: Uint8Array): unknown => decodeAnswer(given, frame, digests);
        assert.deepEqual(shown(decodeIt(answer)), shown({ clusterId, body }));
        assertStrict(decodeIt, answer);
        for (const [bad, refused] of [
          [frame, decode],
          [answer, decodeIt],
        ] as const) {
          const flipped = Buffer.from(bad);
          flipped[at % bad.length] = (flipped[at % bad.length] ?? 0) ^ (1 << bit);
          assert.ok(refuses(refused, flipped));
        }
      }),
      few,
    );
    assertNothingElse((given) => decodeRequest(given, digests));
  });

  it('A6: tree states come back as they went; truncations and, where no cursor ends them, extra bytes are refused', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.option(edges), (active, cursor) => {
        const state = { active, building: cursor === null ? undefined : { cursor } };
        assert.deepEqual(shown(decodeTreeState(encodeTreeState(state))), shown(state));
        for (const length of [0, 1, 2]) assert.ok(refuses(decodeTreeState, encodeTreeState(state).subarray(0, length)));
        if (cursor === null) assertStrict(decodeTreeState, encodeTreeState(state));
      }),
    );
    assertNothingElse(decodeTreeState);
  });

  it('A6: bound changes come back as they went, and refuse every truncation and every extra byte', () => {
    const change = fc.record({
      kind: fc.constantFrom<BoundChange['kind'][]>('added', 'removed'),
      level: fc.integer({ min: 1, max: 12 }),
      key: edges,
    });
    const dropped = fc.record({
      kind: fc.constant<BoundChange['kind']>('dropped'),
      level: fc.integer({ min: 1, max: 12 }),
      key: fc.constant(new Uint8Array(0)),
    });
    const changes: fc.Arbitrary<BoundChange> = fc.oneof(change, dropped);
    fc.assert(
      fc.property(fc.array(changes, { maxLength: 5 }), changes, (list, single) => {
        assert.deepEqual(shown(decodeBoundChanges(encodeBoundChanges(list))), shown(list));
        assertStrict(decodeBoundChanges, encodeBoundChanges([single]), 1);
      }),
      few,
    );
    assertNothingElse(decodeBoundChanges);
  });
});
