import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { type PeerLink } from '../../src/aae/checkedPeer.ts';
import { decodeRequest, encodeAnswer } from '../../src/aae/frame.ts';
import { hasCode } from '../../src/core/errors.ts';
import { frontierZero } from '../../src/core/frontier.ts';
import { encodeAny } from '../../src/grant/anyRecord.ts';
import { Ledger } from '../../src/grant/ledger.ts';
import { decodeFeedAnswer, decodeFeedAsk, encodeFeedAnswer, encodeFeedAsk, type FeedAnswer } from '../../src/mesh/feedMessage.ts';
import { RecordIntake, type RecordCursor } from '../../src/mesh/records.ts';
import { Upstream, type UpstreamPage } from '../../src/mesh/upstream.ts';
import { positionZero } from '../../src/replica/cursor.ts';
import { encodeWrites } from '../../src/replica/wire.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { DenseDigests } from '../aae/world.ts';
import { anyOf, Mesh, person, signatures } from '../grant/world.ts';
import { FakeClock, seededRandom } from '../support.ts';
import { liarId, position, saysNothing } from './hostile.ts';

const mesh = new Mesh();
const held = mesh.grant('a');
const given = mesh.given(held, 'a', 'b');
const digests = new DenseDigests(4, mesh.id);
const bytesOf = (...records: Parameters<typeof anyOf>[0][]): Uint8Array[] => records.map((record) => encodeAny(anyOf(record)));
const ask = { waitMs: 0, cursor: { incarnation: 1, position: positionZero }, frontier: frontierZero, statement: saysNothing };

interface Asking {
  readonly ledger: Ledger;
  /** Where in our ledger the reader said that it was, each time. */
  readonly asked: (RecordCursor | undefined)[];
  readonly page: () => Promise<UpstreamPage>;
}

const empty = { number: 0, records: [] };
const lastPage: FeedAnswer = {
  cursor: { incarnation: 1, position: position(1) },
  end: frontierZero,
  statement: saysNothing,
  records: empty,
  writes: new Uint8Array(0),
};

/** A reader of somebody who answers with these, one after the other, and goes on with the last. */
async function asking(...answers: readonly Partial<FeedAnswer>[]): Promise<Asking> {
  const ledger = await Ledger.open(
    openMemoryStore(new MemoryDatabase(), { clock: new FakeClock(), random: seededRandom(1) }),
    mesh.id,
    signatures,
  );
  const asked: Asking['asked'] = [];
  const link: PeerLink = {
    ask: (frame) => {
      const request = decodeRequest(frame, digests, 'feed');
      asked.push(decodeFeedAsk(request.body, 'granted').records);
      const answer = answers[Math.min(asked.length, answers.length) - 1];
      const brings = answer?.records !== undefined && answer.records.records.length > 0;
      const shape = brings ? { ...lastPage, cursor: { incarnation: 1, position: positionZero }, end: undefined } : lastPage;
      return Promise.resolve(
        encodeAnswer({ clusterId: liarId, body: encodeFeedAnswer({ ...shape, ...answer }) }, request, digests, 'feed'),
      );
    },
  };
  const deps = { digests, clusterId: new Uint8Array(16).fill(1), random: seededRandom(1), records: new RecordIntake(ledger) };
  const upstream = new Upstream(link, liarId, deps);
  return { ledger, asked, page: () => upstream.page(ask, new AbortController().signal) };
}

describe('M32: records of a peer', () => {
  it('are taken in page by page before the page that they are in front of, each from where the one before ended', async () => {
    const { ledger, asked, page } = await asking(
      { records: { number: 2, records: bytesOf(mesh.root, held) } },
      { records: { number: 3, records: bytesOf(given) } },
      { records: { number: 3, records: [] } },
    );
    assert.notEqual((await page()).end, undefined);
    assert.equal(ledger.number, 3);
    assert.deepEqual(
      asked.map((cursor) => cursor?.number),
      [0, 2, 3],
    );
  });

  it('begin anew where the peer has another incarnation', async () => {
    const { ledger, asked, page } = await asking(
      { records: { number: 2, records: bytesOf(mesh.root, held) } },
      { cursor: { incarnation: 2, position: positionZero }, records: { number: 3, records: bytesOf(mesh.root, held, given) } },
      { cursor: { incarnation: 2, position: position(1) }, records: { number: 3, records: [] } },
    );
    await page();
    assert.deepEqual([ledger.number, asked.at(-1)], [3, { incarnation: 2, number: 3 }]);
  });

  const forged = { ...held, signatures: [{ key: person('root').publicKey, signature: new Uint8Array(64).fill(1) }] };
  for (const [what, answer] of [
    ['that hold no signature', { records: { number: 2, records: bytesOf(mesh.root, forged) } }],
    ['whose chain is not in front of them', { records: { number: 1, records: bytesOf(given) } }],
    ['that are none', { records: { number: 1, records: [Buffer.of(0)] } }],
    ['of another mesh', { records: { number: 1, records: bytesOf(new Mesh(['other']).root) } }],
    ['that do not go on', { records: { number: 2, records: bytesOf(mesh.root) } }],
    ['with an end of the feed beside them', { records: { number: 1, records: bytesOf(mesh.root) }, end: frontierZero }],
    ['none, and a number that was not asked from', { records: { number: 1, records: [] } }],
    ['more than there can be', { records: { number: 65_537, records: [] } }],
    ['with bytes behind them that are no writes', { records: empty, writes: Buffer.of(1) }],
  ] as const) {
    it(`I4: ${what}: the peer breaks the protocol`, async () => {
      const { ledger, page } = await asking(answer);
      await assert.rejects(page(), (error) => hasCode(error, 'peer_protocol'));
      assert.deepEqual(ledger.known.grants(), []);
    });
  }

  it('I4: M15: with a count of what is behind them: the peer breaks the protocol', async () => {
    const records = { number: 1, records: bytesOf(mesh.root) };
    const { ledger, page } = await asking({ records, behind: 5 }, { records: { number: 1, records: [] } });
    await assert.rejects(page(), (error) => hasCode(error, 'peer_protocol'));
    assert.equal(ledger.number, 0);
  });

  it('have one encoding: every truncation of a question is refused, and of an answer what is left is no page', () => {
    const question = encodeFeedAsk({ ...ask, records: { incarnation: 1, number: 7 } });
    assert.deepEqual(decodeFeedAsk(question, 'granted').records, { incarnation: 1, number: 7 });
    for (let length = 0; length < question.length; length += 1) {
      assert.throws(
        () => decodeFeedAsk(question.subarray(0, length), 'granted'),
        (error) => hasCode(error, 'malformed'),
      );
    }
    assert.throws(
      () => decodeFeedAsk(question, 'open'),
      (error) => hasCode(error, 'malformed'),
    );
    const answer = encodeFeedAnswer({ ...lastPage, records: { number: 2, records: bytesOf(mesh.root, held) }, writes: encodeWrites([]) });
    assert.equal(decodeFeedAnswer(answer, 'granted').records?.records.length, 2);
    for (let length = 0; length < answer.length; length += 1) {
      assert.throws(
        () => decodeFeedAnswer(answer.subarray(0, length), 'granted'),
        (error) => hasCode(error, 'malformed'),
      );
    }
  });
});
