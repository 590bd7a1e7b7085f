import assert from 'node:assert/strict';
import { encode } from 'cborg';
import { describe, it } from 'mocha';
import { encodeRequest } from '../../src/aae/frame.ts';
import { hasCode } from '../../src/core/errors.ts';
import { type Frontier } from '../../src/core/frontier.ts';
import { limits } from '../../src/core/limits.ts';
import { makeStamp, parseInstance, type Stamp } from '../../src/core/stamp.ts';
import { MeshDigests } from '../../src/crypto/mesh.ts';
import {
  decodeFeedAnswer,
  decodeFeedAsk,
  encodeFeedAnswer,
  encodeFeedAsk,
  type FeedAnswer,
  type FeedAsk,
} from '../../src/mesh/feedMessage.ts';
import { type Statement } from '../../src/mesh/statement.ts';
import { positionPastAll, positionZero } from '../../src/replica/cursor.ts';
import { contentOf } from '../aae/hostile.ts';
import { set } from '../aae/world.ts';
import { received } from '../replica/received.ts';
import { assertNothingElse, assertStrict } from '../core/strict.ts';
import { until } from '../support.ts';
import { askFrame, digests, position, readerHeader, saysNothing, stampAt } from './hostile.ts';
import { atEnd, serve, turns, type Served } from './served.ts';

describe('M5: a reader that does not keep to the protocol changes nothing', () => {
  it('frames that are cut anywhere, garbage, other meshes, other services and bodies that are none are refused', async () => {
    const { instance, server } = await serve(5);
    const before = await contentOf(instance);
    const whole = askFrame();
    for (let length = 0; length < whole.length; length += 1)
      await assert.rejects(server.answer(whole.subarray(0, length)), (error) => hasCode(error, 'peer_protocol', 'mesh_mismatch'));
    const ids = new MeshDigests({ id: new Uint8Array(32).fill(7), key: new Uint8Array(32).fill(2) });
    const keys = new MeshDigests({ id: new Uint8Array(32).fill(1), key: new Uint8Array(32).fill(7) });
    for (const other of [ids, keys]) await assert.rejects(server.answer(askFrame({}, other)), (error) => hasCode(error, 'mesh_mismatch'));
    const ofExchange = encodeRequest(readerHeader, Buffer.alloc(100), digests, 'exchange');
    await assert.rejects(server.answer(ofExchange), (error) => hasCode(error, 'mesh_mismatch'));
    await assert.rejects(server.answer(encode({})), (error) => hasCode(error, 'peer_protocol'));
    const longest = encodeFeedAsk({
      waitMs: 0,
      cursor: { incarnation: 1, position: positionZero },
      frontier: ofClusters(1_001),
      statement: saysNothing,
    });
    for (const body of [new Uint8Array(0), Buffer.alloc(300, 255), longest])
      await assert.rejects(server.answer(encodeRequest(readerHeader, body, digests, 'feed')), (error) => hasCode(error, 'malformed'));
    assert.deepEqual(await contentOf(instance), before);
  });

  it('bodies have one encoding', () => {
    const cursor = { incarnation: 1, position: positionZero };
    assertStrict(decodeFeedAsk, encodeFeedAsk({ waitMs: 0, cursor, frontier: ofClusters(2), statement: saysNothing }));
    const answer = { cursor, statement: saysNothing, end: undefined, writes: new Uint8Array(0) };
    const counted = encodeFeedAnswer({ ...answer, behind: 1_000 });
    assert.deepEqual(decodeFeedAnswer(counted).behind, 1_000);
    for (let length = 0; length < counted.length; length += 1)
      assert.throws(
        () => decodeFeedAnswer(counted.subarray(0, length)),
        (error) => hasCode(error, 'malformed'),
      );
    const [unknown, tooMany] = [Buffer.from(counted), encodeFeedAnswer({ ...answer, behind: 1_001 })];
    unknown[20] = 3;
    for (const body of [unknown, tooMany])
      assert.throws(
        () => decodeFeedAnswer(body),
        (error) => hasCode(error, 'malformed'),
      );
    assertNothingElse(decodeFeedAsk);
    assertNothingElse(decodeFeedAnswer);
  });

  it('M3: a cluster that a statement names twice, as reached or in words, is malformed, asked or answered', () => {
    const cursor = { incarnation: 1, position: positionZero };
    const [word] = saysNothing.members;
    const { reach } = saysNothing;
    const ids = [new Uint8Array(16).fill(9), new Uint8Array(16).fill(1)];
    const words = ids.flatMap((clusterId) => (word === undefined ? [] : [{ ...word, clusterId }]));
    const readAll = (statement: Statement): void => {
      decodeFeedAsk(encodeFeedAsk({ waitMs: 0, cursor, frontier: ofClusters(0), statement }));
      decodeFeedAnswer(encodeFeedAnswer({ cursor, end: undefined, statement, writes: new Uint8Array(0) }));
    };
    readAll({ ...saysNothing, reach: { ...reach, members: ids }, members: words }); // in any order
    const twice: Statement[] = [
      { ...saysNothing, reach: { ...reach, members: [...ids, ...ids.slice(0, 1)] } },
      { ...saysNothing, members: [...words, ...words.slice(0, 1)] },
    ];
    for (const statement of twice) {
      const ask = encodeFeedAsk({ waitMs: 0, cursor, frontier: ofClusters(0), statement });
      const answer = encodeFeedAnswer({ cursor, end: undefined, statement, writes: new Uint8Array(0) });
      assert.throws(
        () => decodeFeedAsk(ask),
        (error) => hasCode(error, 'malformed'),
      );
      assert.throws(
        () => decodeFeedAnswer(answer),
        (error) => hasCode(error, 'malformed'),
      );
    }
  });

  it('S12: K17: repeated and reordered questions get the same answers and change nothing: nothing is kept of a reader', async () => {
    const { instance, ask } = await serve(600);
    const before = await contentOf(instance);
    const first = await ask();
    const second = await ask({ cursor: first.page.cursor });
    assert.deepEqual([first.names.length, second.names.length], [500, 100]);
    assert.deepEqual([first.page.end === undefined, second.page.end === undefined], [true, false]);
    assert.equal(new Set([...first.names, ...second.names]).size, 600);
    assert.deepEqual((await ask({ cursor: first.page.cursor })).names, second.names);
    assert.deepEqual((await ask()).names, first.names);
    assert.deepEqual(await contentOf(instance), before);
  });

  it('M13: a cursor of another incarnation, before or after, begins at the start; one past all gets the frontier alone', async () => {
    const { ask } = await serve(5);
    for (const incarnation of [0, 2, 2 ** 53 - 1]) {
      const { page, names } = await ask({ cursor: { incarnation, position: position(0xffff_ffff) } });
      assert.deepEqual([names.length, page.cursor.incarnation], [5, 1]);
      const past = await ask({ cursor: { incarnation, position: positionPastAll } });
      assert.deepEqual([past.names.length, past.page.end !== undefined], [0, true]);
    }
  });
});

describe('M15: what is behind a page', () => {
  it('is told to a member, at most once a second, and only where the page does not end the feed', async () => {
    const served = await serve();
    for (let i = 0; i < 4; i += 1) await served.instance.replica.write(Array.from({ length: 500 }, (_, j) => set(`k${i}/${j}`, 'v')));
    const behind = async (cursor?: FeedAsk['cursor']): Promise<FeedAnswer> => (await served.ask(cursor && { cursor })).page;
    const first = await behind();
    assert.equal(first.behind, limits.feedBehindMax);
    const second = await behind(first.cursor);
    assert.equal(second.behind, undefined, 'it was counted less than a second ago');
    await served.clock.advance(999);
    assert.equal((await behind(second.cursor)).behind, undefined);
    await served.clock.advance(1);
    const third = await behind(second.cursor);
    assert.deepEqual([third.behind, third.end], [500, undefined]);
    await served.clock.advance(1_000);
    const last = await behind(third.cursor);
    assert.deepEqual([last.behind, last.end === undefined], [undefined, false]);
    assert.equal((await behind(second.cursor)).behind, 500, 'a page that ends the feed is not counted');
  });

  it('is counted for one of the questions that a member asks at the same time', async () => {
    const served = await serve(501);
    const answers = await Promise.all(Array.from({ length: 8 }, () => served.ask()));
    assert.deepEqual(
      answers.map(({ page }) => page.behind).filter((behind) => behind !== undefined),
      [1],
    );
  });

  it('is not counted for who is being filled', async () => {
    const served = await serve(501);
    served.isMember = () => false;
    assert.equal((await served.ask()).page.behind, undefined);
    served.isMember = () => true;
    assert.equal((await served.ask()).page.behind, 1);
  });
});

describe('M5: waiting', () => {
  it('M5: beside the greatest value a large frontier finds no room, and comes with the next page', async () => {
    const { instance, ask } = await serve();
    const slots = new Map(Array.from({ length: 200 }, (_, slot) => [slot, stampAt(1)]));
    const joins = new Map(Array.from({ length: 20 }, (_, n) => [(n + 1).toString(16).padStart(12, '0'), { base: stampAt(1), slots }]));
    await instance.replica.receivePage([], '77'.repeat(16), { peerId: new Uint8Array(16).fill(0x77), cursor: undefined, joins });
    await instance.replica.write([set('large', 'x'.repeat(limits.valueBytesMax))]);
    const { page, names } = await ask(); // which is no frame where it is too long
    assert.deepEqual([names, page.end], [['large'], undefined]);
    const next = await ask({ cursor: page.cursor });
    assert.deepEqual([next.names, next.page.end?.size], [[], 21]);
  });

  it('M31: ends where who the members are changes, and is not shorter after that', async () => {
    const served = await serve(1);
    const ask = await atEnd(served);
    const [first, old] = [served.ask(ask), served.epoch];
    await turns();
    served.epoch = new AbortController();
    old.abort();
    const { page, names } = await first;
    assert.deepEqual([names.length, page.end !== undefined], [0, true]);
    let answered = false;
    const second = served.ask(ask).then(() => (answered = true));
    await turns();
    await served.clock.advance(999);
    assert.equal(answered, false);
    await served.clock.advance(1);
    await second;
  });

  it('is woken by a change', async () => {
    const served = await serve(1);
    const asked = served.ask(await atEnd(served));
    await served.instance.replica.write([set('new', 'v')]);
    assert.deepEqual((await asked).names, ['new']);
  });

  it('ends after as long as was asked for, with the end of then', async () => {
    const served = await serve(1);
    let answered = false;
    const asked = served.ask(await atEnd(served)).then((answer) => {
      answered = true;
      return answer;
    });
    await served.clock.advance(900);
    assert.equal(answered, false);
    await served.instance.replica.closePresent();
    const own = await served.instance.replica.frontier();
    await served.clock.advance(200);
    const { page, names } = await asked;
    assert.deepEqual([names, page.end], [[], own]);
  });

  const elsewhere = (n: number): Stamp => makeStamp(1_000 + n, 0, parseInstance(new Uint8Array(8).fill(0xee)));
  const relay = ({ instance }: Served, name: string, n: number): Promise<unknown> =>
    instance.replica.receive([received(instance.digests, name, elsewhere(n))], 'another');
  it('what others made is told 100 ms late to who pulls from them, and then all at once; to others at once', async () => {
    const served = await serve(1);
    const ask = await atEnd(served);
    const direct = served.ask(ask);
    await turns();
    await relay(served, 'a', 0);
    assert.deepEqual((await direct).names, ['a']);
    served.pullsFromAll = true;
    let answered = false;
    const asked = served.ask(ask).finally(() => (answered = true));
    await turns();
    await served.clock.advance(90);
    await relay(served, 'b', 1);
    await turns();
    assert.equal(answered, false);
    await served.clock.advance(10);
    assert.deepEqual((await asked).names, ['a', 'b']);
  });

  it('what was made here ends that, and comes in its place behind it', async () => {
    const served = await serve(1);
    served.pullsFromAll = true;
    const asked = served.ask(await atEnd(served));
    await turns();
    await relay(served, 'a', 0);
    await turns();
    await served.instance.replica.write([set('own', 'v')]);
    assert.deepEqual((await asked).names, ['a', 'own']);
  });

  it('G29: ends at once when the instance stops, with what is there', async () => {
    const served = await serve(1);
    const asked = served.ask(await atEnd(served));
    await new Promise((resolve) => setImmediate(resolve));
    served.stop.abort();
    assert.deepEqual((await asked).names, []);
    assert.deepEqual((await served.ask(await atEnd(served))).names, []);
  });

  it('S2: goes on over what the reader has already', async () => {
    const served = await serve(1);
    const asked = await atEnd(served);
    const frontier: Frontier = await served.instance.replica.frontier();
    let answered = false;
    const waiting = served.ask({ ...asked, cursor: { incarnation: 1, position: positionZero }, frontier }).finally(() => (answered = true));
    await served.clock.advance(500);
    assert.equal(answered, false);
    await served.clock.advance(600);
    assert.deepEqual((await waiting).names, []);
  });

  it('I9: 256 wait at a time; one more is answered at once', async () => {
    const served = await serve(1);
    const asked = await atEnd(served);
    const before = served.heard;
    let answered = 0;
    const waiting = Array.from({ length: 256 }, () => served.ask(asked).finally(() => (answered += 1)));
    await until(() => served.heard === before + 256);
    await turns();
    assert.equal(answered, 0);
    assert.deepEqual((await served.ask(asked)).names, []);
    assert.equal(answered, 0);
    await served.clock.advance(1_100);
    await Promise.all(waiting);
  });
});

function ofClusters(count: number): Frontier {
  const cluster = (): { base: FeedAsk['statement']['floor']; slots: Map<number, FeedAsk['statement']['floor']> } => ({
    base: saysNothing.floor,
    slots: new Map(),
  });
  return new Map(Array.from({ length: count }, (_, i) => [(i + 1).toString(16).padStart(12, '0'), cluster()]));
}
