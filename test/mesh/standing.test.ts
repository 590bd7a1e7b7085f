import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { ByteReader, toHex } from '../../src/core/bytes.ts';
import { ByteWriter } from '../../src/core/byteWriter.ts';
import { GkvError, hasCode } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/ports.ts';
import { stampZero } from '../../src/core/stamp.ts';
import { epochNone } from '../../src/mesh/epoch.ts';
import { judge, type Origin } from '../../src/mesh/rollback.ts';
import { Standing } from '../../src/mesh/standing.ts';
import { readStatement, writeStatement, type Statement } from '../../src/mesh/statement.ts';
import { lineageOf, noteOpening, openingsMax } from '../../src/replica/lineage.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openInstance, set } from '../aae/world.ts';
import { TestClock } from '../support.ts';
import { openStore } from './region.ts';

function id(number: number): Uint8Array {
  return new Uint8Array(8).fill(number);
}

/** `openings`: number and progress at its beginning. */
function origin(progress: number, openings: readonly (readonly [number, number])[], incarnation = 1): Origin {
  return { incarnation, lineage: { progress, openings: openings.map(([number, began]) => ({ id: id(number), began })) } };
}

const unknown = { epoch: epochNone, isLevel: false };
const peer = new Uint8Array(16).fill(7);
const other = new Uint8Array(16).fill(8);

function statement(said: Origin, relayed: readonly Origin[] = []): Statement {
  const members = [
    { clusterId: peer, incarnation: said.incarnation, low: stampZero, ...unknown },
    ...relayed.map(({ incarnation }) => ({ clusterId: other, incarnation, low: stampZero, ...unknown })),
  ];
  return { wallMs: 1, floor: stampZero, lineage: said.lineage, reach: { epoch: epochNone, members: [] }, members };
}

const isRollback = (error: unknown): boolean => hasCode(error, 'rollback_detected');

describe('lineage of a store', () => {
  const heard = origin(100, [
    [1, 0],
    [2, 50],
  ]);
  const cases: readonly [string, Origin, ReturnType<typeof judge>][] = [
    ['the same again', heard, 'newer'],
    ['further on', origin(120, [[1, 0], [2, 50]]), 'newer'],
    ['said before, and overtaken', origin(90, [[1, 0], [2, 50]]), 'late'],
    ['started again', origin(101, [[1, 0], [2, 50], [3, 101]]), 'newer'],
    ['started again from a copy of the same opening', origin(200, [[1, 0], [2, 50], [3, 99]]), 'forked'],
    ['started again from a copy of an opening before', origin(200, [[1, 0], [3, 50]]), 'forked'],
    ['of before its last start, overtaken', origin(50, [[1, 0]]), 'late'],
    ['of an original whose copy was heard', origin(51, [[1, 0]]), 'forked'],
    ['of another store', origin(300, [[8, 0]]), 'forked'],
    ['of a lower incarnation', origin(300, [[1, 0], [2, 50]], 0), 'ended'],
    ['renewed', origin(3, [[9, 0]], 2), 'newer'],
  ]; // prettier-ignore
  for (const [name, said, verdict] of cases) {
    it(`M20: ${name}: ${verdict}`, () => {
      assert.equal(judge(heard, said), verdict);
    });
  }

  it('M21: 63 starts unheard are no copy; 64 are taken for one, which is the limit', async () => {
    const { store, replica } = await openInstance();
    await noteOpening(store, id(0));
    await replica.write([set('a', '1')]);
    const first = { incarnation: 1, lineage: await store.read(lineageOf) };
    assert.equal(first.lineage.openings.length, 1);
    for (let i = 1; i < openingsMax; i += 1) await noteOpening(store, id(i));
    assert.equal(judge(first, { incarnation: 1, lineage: await store.read(lineageOf) }), 'newer');
    await noteOpening(store, id(openingsMax));
    const last = await store.read(lineageOf);
    assert.equal(last.openings.length, openingsMax);
    assert.equal(judge(first, { incarnation: 1, lineage: last }), 'forked');
  });

  it('M21: an opening is noted once, though its transaction runs twice; progress rises with each commit', async () => {
    const { store, replica } = await openInstance();
    await noteOpening(store, id(1));
    await noteOpening(store, id(1));
    const before = await store.read(lineageOf);
    assert.equal(before.openings.length, 1);
    await replica.write([set('a', '1')]);
    await replica.closePresent();
    assert.equal((await store.read(lineageOf)).progress, before.progress + 2);
  });

  it('M20: a statement carries it, and one of more openings than are kept is malformed', () => {
    const said = statement(origin(100, [[1, 0], [2, 50]])); // prettier-ignore
    const out = new ByteWriter();
    writeStatement(out, said);
    const reader = new ByteReader(out.done(), 'statement');
    assert.deepEqual(readStatement(reader).lineage, said.lineage);
    reader.end();
    for (const wrong of [
      origin(
        100,
        Array.from({ length: openingsMax + 1 }, () => [1, 0] as const),
      ),
      origin(1, [[1, 2]]),
      origin(9, [
        [1, 3],
        [2, 2],
      ]),
    ]) {
      // prettier-ignore
      const bytes = new ByteWriter();
      writeStatement(bytes, statement(wrong));
      assert.throws(
        () => readStatement(new ByteReader(bytes.done(), 'statement')),
        (error) => hasCode(error, 'malformed'),
      );
    }
  });
});

describe('standing of a peer', () => {
  const good = origin(100, [[1, 0]]);
  const copy = origin(100, [[1, 0], [2, 90]]); // prettier-ignore

  it('M26: who refuses us is heard of by who asks it: an instance that asks it no more forgets that', async () => {
    const standing = new Standing({ store: openStore(new MemoryDatabase()), clock: new TestClock(), log: silentLog, isMember: () => true });
    const refused = new GkvError('must_bootstrap', 'too old');
    const link = standing.watched(peer, { ask: () => Promise.reject(refused) });
    await assert.rejects(link.ask(new Uint8Array(0), new AbortController().signal));
    assert.equal(standing.refusal(), refused);
    standing.left('08');
    assert.equal(standing.refusal(), refused);
    standing.left(toHex(peer));
    assert.equal(standing.refusal(), undefined);
  });

  it('M24: a statement without a word of its sender, and one without openings, are peer_protocol, and say which', async () => {
    const standing = new Standing({ store: openStore(new MemoryDatabase()), clock: new TestClock(), log: silentLog, isMember: () => true });
    for (const [from, said, why] of [
      [other, good, /without a word of its sender/],
      [peer, origin(0, []), /without openings/],
    ] as const)
      await assert.rejects(standing.hear(from, statement(said)), (error) => hasCode(error, 'peer_protocol') && why.test(error.message));
  });

  it('M20: outlives our own restart, and other instances of ours know it', async () => {
    const database = new MemoryDatabase();
    await new Standing({ store: openStore(database), clock: new TestClock(), log: silentLog, isMember: () => true }).hear(
      peer,
      statement(good),
    );
    const another = new Standing({ store: openStore(database), clock: new TestClock(), log: silentLog, isMember: () => true });
    await assert.rejects(another.hear(peer, statement(copy)), isRollback);
    assert.equal(another.isGood('07'.repeat(16)), false);
    await another.hear(peer, statement(good));
  });

  it('M20: an alarm ends a minute after its last cause, and at once with a higher incarnation', async () => {
    const clock = new TestClock();
    const standing = new Standing({ store: openStore(new MemoryDatabase()), clock, log: silentLog, isMember: () => true });
    const name = '07'.repeat(16);
    await standing.hear(peer, statement(good));
    await assert.rejects(standing.hear(peer, statement(copy)), isRollback);
    clock.advance(59_000);
    assert.equal(standing.isGood(name), false);
    clock.advance(2_000);
    assert.equal(standing.isGood(name), true);
    await assert.rejects(standing.hear(peer, statement(copy)), isRollback);
    await standing.hear(peer, statement(origin(1, [[1, 0]], 2)));
    assert.equal(standing.isGood(name), true);
    await assert.rejects(standing.hear(peer, statement(good)), isRollback);
  });

  it('M24: what another relays of it counts for nothing', async () => {
    const standing = new Standing({ store: openStore(new MemoryDatabase()), clock: new TestClock(), log: silentLog, isMember: () => true });
    await standing.hear(peer, statement(good, [origin(1, [], 5)]));
    const own = { ...statement(origin(1, [[4, 0]])), members: [{ clusterId: other, incarnation: 2, low: stampZero, ...unknown }] };
    await standing.hear(other, own);
    assert.equal(standing.isGood('08'.repeat(16)), true);
  });

  it('M24: a statement without a word of its sender is refused', async () => {
    const standing = new Standing({ store: openStore(new MemoryDatabase()), clock: new TestClock(), log: silentLog, isMember: () => true });
    await assert.rejects(standing.hear(other, statement(good)), (error) => hasCode(error, 'peer_protocol'));
    await assert.rejects(standing.hear(peer, statement(origin(100, []))), (error) => hasCode(error, 'peer_protocol'));
  });

  it('M20: of who is no member nothing is kept, and nothing is held against it when it becomes one', async () => {
    let isMember = false;
    const deps = { store: openStore(new MemoryDatabase()), clock: new TestClock(), log: silentLog };
    const standing = new Standing({ ...deps, isMember: () => isMember });
    await standing.hear(peer, statement(good));
    isMember = true;
    await standing.hear(peer, statement(origin(300, [[8, 0]])));
  });

  it('M26: what one that is no member any more has said against us is forgotten', async () => {
    const standing = new Standing({ store: openStore(new MemoryDatabase()), clock: new TestClock(), log: silentLog, isMember: () => true });
    const link = standing.watched(peer, { ask: () => Promise.reject(new GkvError('must_bootstrap', 'says the peer')) });
    await assert.rejects(link.ask(new Uint8Array(0), AbortSignal.timeout(1_000)), (error) => hasCode(error, 'must_bootstrap'));
    assert.ok(standing.refusal() !== undefined);
    standing.keep(() => false);
    assert.equal(standing.refusal(), undefined);
  });
});
