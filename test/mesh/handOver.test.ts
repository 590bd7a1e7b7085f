import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { equalBytes } from '../../src/core/bytes.ts';
import { limits } from '../../src/core/limits.ts';
import { positionPastAll } from '../../src/replica/cursor.ts';
import { set } from '../aae/world.ts';
import { until } from '../support.ts';
import { askFrame, digests, readerHeader } from './hostile.ts';
import { atEnd, serve, turns } from './served.ts';

describe('M14: who leaves hands over', () => {
  it('G29: who leaves stays until each member that asks lately was given all that there is', async () => {
    const served = await serve(3);
    const waiting = served.ask(await atEnd(served));
    await turns();
    await served.instance.replica.write([set('last', 'v')]);
    assert.deepEqual((await waiting).names, ['last']); // and it asks again, but not yet
    await served.instance.replica.write([set('very last', 'v')]);
    let isOver = false;
    const leaving = served.server.handOver().then(() => (isOver = true));
    await served.clock.advance(500);
    assert.equal(isOver, false);
    const asked = await atEnd(served); // reads all of it
    await served.clock.advance(20);
    await leaving;
    const next = served.ask(asked);
    await turns();
    served.stop.abort(); // until then it waits
    assert.deepEqual((await next).names, []);
  });

  it('G29: who leaves answers those that wait, and goes after 1.5 s where one does not come again; who came 3 s ago holds nobody up', async () => {
    const served = await serve(1);
    const waiting = served.ask(await atEnd(served));
    await turns();
    const leaving = served.server.handOver();
    assert.deepEqual((await waiting).names, []);
    await served.clock.advance(20);
    await leaving;
    for (const [quietMs, afterMs] of [
      [1_000, 1_500],
      [3_100, 0],
    ] as const) {
      const other = await serve(1);
      await other.ask();
      await other.clock.advance(quietMs);
      const startedMs = other.clock.monotonic();
      let endedMs: number | undefined;
      const left = other.server.handOver().then(() => (endedMs = other.clock.monotonic()));
      for (let ms = 0; ms < 2_000; ms += 10) await other.clock.advance(10);
      await left;
      assert.ok(endedMs !== undefined && endedMs - startedMs >= afterMs && endedMs - startedMs < afterMs + 50, String(quietMs));
    }
  });

  it('G29: who leaves waits for a member whose question has waited long, and is answered with less than all', async () => {
    const served = await serve(1);
    const { replica } = served.instance;
    const feedPage = replica.feedPage.bind(replica);
    let pages = 0;
    let release = (): void => undefined;
    let gate: Promise<void> = Promise.resolve();
    replica.feedPage = async (...asked) => {
      const page = await feedPage(...asked);
      pages += 1;
      await gate; // a store that is slow for a moment
      return page;
    };
    const question = served.ask({ ...(await atEnd(served)), waitMs: 10_000 });
    await until(() => pages === 2);
    for (let ms = 0; ms < 5_000; ms += 100) await served.clock.advance(100);
    gate = new Promise((resolve) => (release = resolve));
    await replica.write([set('first', 'v')]);
    await until(() => pages === 3); // it was woken, and this was read
    await replica.write([set('second', 'v')]);
    let isOver = false;
    const leaving = served.server.handOver().then(() => (isOver = true));
    await turns();
    assert.equal(isOver, false);
    release();
    const { names, page } = await question;
    assert.deepEqual(names, ['first']);
    for (let ms = 0; ms < 500; ms += 10) await served.clock.advance(10);
    assert.equal(isOver, false);
    assert.deepEqual((await served.ask({ cursor: page.cursor, waitMs: 10_000 })).names, ['second']);
    await served.clock.advance(20);
    await leaving;
  });

  it('G29: who leaves waits for a member whose exchange asks for the frontier alone meanwhile', async () => {
    const served = await serve(1);
    const asked = await atEnd(served);
    await served.instance.replica.write([set('last', 'v')]);
    let isOver = false;
    const leaving = served.server.handOver().then(() => (isOver = true));
    assert.deepEqual((await served.ask({ cursor: { incarnation: 0, position: positionPastAll } })).names, []);
    await served.clock.advance(500);
    assert.equal(isOver, false);
    assert.deepEqual((await served.ask(asked)).names, ['last']);
    await served.clock.advance(20);
    await leaving;
  });

  it('G29: who leaves waits for a reader that has become a member since it asked', async () => {
    const served = await serve(1);
    served.isMember = () => false;
    const asked = await atEnd(served);
    served.isMember = () => true;
    await served.instance.replica.write([set('last', 'v')]);
    let isOver = false;
    const leaving = served.server.handOver().then(() => (isOver = true));
    await served.clock.advance(500);
    assert.equal(isOver, false);
    assert.deepEqual((await served.ask(asked)).names, ['last']);
    await served.clock.advance(20);
    await leaving;
  });

  it('G29: who leaves waits for nobody that is no member, and answers it at once', async () => {
    const served = await serve(1);
    served.isMember = () => false;
    const asked = await atEnd(served);
    await served.server.handOver();
    assert.deepEqual((await served.ask(asked)).names, []);
  });

  it('I9: readers that are no members, however many, do not make it forget one that is', async () => {
    const served = await serve(1);
    const asked = await atEnd(served);
    served.isMember = () => false;
    for (let i = 0; i <= limits.membersMax; i += 1) {
      const clusterId = new Uint8Array(16).fill(0xee);
      new DataView(clusterId.buffer).setUint32(0, i);
      await served.server.answer(askFrame({}, digests, clusterId));
    }
    served.isMember = (reader) => equalBytes(reader, readerHeader.clusterId);
    await served.instance.replica.write([set('last', 'v')]);
    let isOver = false;
    const leaving = served.server.handOver().then(() => (isOver = true));
    await turns();
    assert.equal(isOver, false);
    assert.deepEqual((await served.ask(asked)).names, ['last']);
    await served.clock.advance(20);
    await leaving;
  });

  it('G29: a member that comes again with nothing new to get is answered at once, and holds nobody up', async () => {
    const served = await serve(1);
    const asked = await atEnd(served);
    const leaving = served.server.handOver();
    assert.deepEqual((await served.ask(asked)).names, []);
    await served.clock.advance(20);
    await leaving;
  });
});
