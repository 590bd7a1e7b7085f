import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { toHex } from '../../src/core/bytes.ts';
import { covers, type Frontier } from '../../src/core/frontier.ts';
import { hasCode } from '../../src/core/errors.ts';
import { limits } from '../../src/core/limits.ts';
import { makeStamp, parseInstance } from '../../src/core/stamp.ts';
import { type FeedCursor } from '../../src/replica/cursor.ts';
import { type FeedMove, partsOfWrites } from '../../src/replica/proposal.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { type MemoryFaults } from '../../src/store/memory/faults.ts';
import { frontierOf, parts, stampOf } from '../core/frontiers.ts';
import { position } from '../mesh/hostile.ts';
import { key, openInstance, set, type Instance } from '../aae/world.ts';
import { FakeClock } from '../support.ts';
import { received } from './received.ts';

const peerId = new Uint8Array(16).fill(9);
const peer = toHex(peerId);
const [part, otherPart] = parts;
const nowMs = new FakeClock().now();
const stamp = (aheadMs = 0): ReturnType<typeof makeStamp> => makeStamp(nowMs + aheadMs, 0, parseInstance(new Uint8Array(8).fill(7)));
const at = (commit: number): FeedCursor => ({ incarnation: 1, position: position(commit) });
const joins = frontierOf({ [part]: { base: stampOf(part, 0, nowMs) } });

function move(from: FeedCursor | undefined, to: FeedCursor, joined: Frontier | null = joins): FeedMove {
  return { peerId, cursor: { from, to }, joins: joined ?? undefined };
}

async function placeOf({ replica }: Instance): Promise<{ at: string | undefined; joined: boolean }> {
  const cursor = await replica.cursor(peerId);
  return {
    at: cursor === undefined ? undefined : toHex(cursor.position),
    joined: covers(await replica.frontier(), stampOf(part, 0, nowMs)),
  };
}

const placed = (commit: number | undefined, joined: boolean): object => ({
  at: commit === undefined ? undefined : toHex(position(commit)),
  joined,
});

describe('R19: moves', () => {
  it('writes, cursor and frontier come in one commit: nobody sees one without the others', async () => {
    const instance = await openInstance();
    let isOver = false;
    const watch = async (): Promise<void> => {
      while (!isOver) {
        const [{ at: where, joined }, { exists }] = [await placeOf(instance), await instance.replica.get(key('k'))];
        if (where !== undefined) assert.deepEqual([joined, exists], [true, true]);
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const watching = watch();
    const { results, isMoved } = await instance.replica.receivePage(
      [received(instance.digests, 'k', stamp())],
      peer,
      move(undefined, at(1)),
    );
    isOver = true;
    await watching;
    assert.deepEqual([results.map(({ status }) => status), isMoved], [['applied'], true]);
    assert.deepEqual(await placeOf(instance), placed(1, true));
  });

  it('where the cursor is elsewhere by now nothing is moved or joined; the writes are taken in', async () => {
    const instance = await openInstance();
    await instance.replica.receivePage([], peer, move(undefined, at(1), null));
    for (const from of [undefined, at(2), { ...at(1), incarnation: 2 }]) {
      const name = `k${from?.incarnation ?? 0}${from === undefined ? '' : toHex(from.position)}`;
      const { isMoved } = await instance.replica.receivePage([received(instance.digests, name, stamp())], peer, move(from, at(9)));
      assert.equal(isMoved, false);
      assert.deepEqual(await placeOf(instance), placed(1, false));
      assert.equal((await instance.replica.get(key(name))).exists, true);
    }
  });

  it('two that follow the same peer: of two moves from one place, in one batch or two, one goes through', async () => {
    const database = new MemoryDatabase();
    const one = await openInstance({ database, slot: 0 });
    const two = await openInstance({ database, slot: 1, seed: 2 });
    for (const [first, second] of [
      [one, one],
      [one, two],
    ] as const) {
      const from = await one.replica.cursor(peerId);
      const to = at((from?.position[7] ?? 0) + 1);
      const moved = await Promise.all([first, second].map(({ replica }) => replica.receivePage([], peer, move(from, to))));
      assert.equal(moved.filter(({ isMoved }) => isMoved).length, 1);
    }
  });

  it('I7: what is parked from this peer blocks the join, the cursor moves; from another it does not', async () => {
    const instance = await openInstance();
    await instance.replica.receive([received(instance.digests, 'far', stamp(60_000))], 'another');
    await instance.replica.receivePage([], peer, move(undefined, at(1)));
    assert.deepEqual(await placeOf(instance), placed(1, true));
    const later = frontierOf({ [otherPart]: { base: stampOf(otherPart, 0, nowMs) } });
    const joined = async (): Promise<boolean> => covers(await instance.replica.frontier(), stampOf(otherPart, 0, nowMs));
    await instance.replica.receivePage([received(instance.digests, 'far too', stamp(60_000))], peer, move(at(1), at(2), later));
    assert.deepEqual([toHex((await instance.replica.cursor(peerId))?.position ?? peerId), await joined()], [toHex(position(2)), false]);
    await instance.replica.receivePage([], peer, { peerId, cursor: undefined, joins: later });
    assert.equal(await joined(), false, 'nor does an exchange');
    const clock = instance.clock as { ms?: number }; // the clock of a world of its own is one that can be moved
    clock.ms = nowMs + 60_000;
    while ((await instance.replica.retryParked()) > 0);
    await instance.replica.receivePage([], peer, move(at(2), at(3), later));
    assert.equal(await joined(), true);
  });

  it('I9: where parking is full the page is refused whole, and the cursor stays', async () => {
    const instance = await openInstance();
    for (let n = 0; n < 20; n += 1)
      await instance.replica.receive(
        Array.from({ length: 500 }, (_, i) => received(instance.digests, `p${n}/${i}`, stamp(60_000))),
        'another',
      );
    const page = [received(instance.digests, 'k', stamp()), received(instance.digests, 'far', stamp(60_000))];
    await assert.rejects(instance.replica.receivePage(page, peer, move(undefined, at(1))), (error) => hasCode(error, 'unavailable'));
    assert.deepEqual(await placeOf(instance), placed(undefined, false));
    assert.equal((await instance.replica.get(key('k'))).exists, false);
  });

  it('R8: after unknown outcomes each move is made once, and answered as it was stored, beside closings, refusals and writes', async () => {
    for (let seed = 1; seed <= 40; seed += 1) {
      const faults: MemoryFaults = {};
      const { replica, digests } = await openInstance({ seed, faults });
      await replica.write([set('there', 'v')]);
      Object.assign(faults, { unknownCommitted: 0.4, unknownLost: 0.2 });
      let from: FeedCursor | undefined;
      for (let n = 1; n <= 8; n += 1) {
        const to = at(n);
        const [moved, late, closed, refused, local] = await Promise.allSettled([
          replica.receivePage([received(digests, `k${n}`, stamp(n))], peer, move(from, to, null)),
          replica.receivePage([], peer, move(from, at(100), null)),
          replica.closePresent(),
          replica.write([{ ...set('there', 'x'), expected: { kind: 'absent' } }]),
          replica.write([set(`l${n}`, 'v')]),
        ]);
        assert.ok(moved.status === 'fulfilled' && moved.value.isMoved, `seed ${seed}`);
        assert.deepEqual(
          moved.value.results.map(({ status }) => status),
          ['applied'],
        );
        assert.ok(late.status === 'fulfilled' && !late.value.isMoved);
        assert.ok(closed.status === 'fulfilled' && covers(await replica.frontier(), closed.value));
        assert.ok(refused.status === 'rejected' && hasCode(refused.reason, 'version_mismatch'));
        assert.ok(local.status === 'fulfilled' && local.value.every(({ applied }) => applied));
        from = to;
      }
      assert.equal(toHex((await replica.cursor(peerId))?.position ?? peerId), toHex(position(8)));
    }
  });

  it('of a page that one commit cannot take the cursor moves with the last part', async () => {
    const instance = await openInstance();
    const writes = Array.from({ length: 300 }, (_, i) => received(instance.digests, String(i).padStart(1_000, 'k'), stamp()));
    assert.ok(partsOfWrites(writes).length > 1);
    const receiving = instance.replica.receivePage(writes, peer, move(undefined, at(1)));
    let isDone = false;
    const isOver = (): boolean => isDone;
    void receiving.finally(() => (isDone = true));
    while (!isOver()) {
      if ((await placeOf(instance)).at !== undefined)
        for (const { write } of writes) assert.equal((await instance.replica.get(write.key)).exists, true);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal((await receiving).results.length, 300);
    assert.deepEqual(await placeOf(instance), placed(1, true));
  });
});

describe('R20: rows of the frontier', () => {
  const join = ({ replica }: Instance, frontier: Frontier): Promise<unknown> =>
    replica.receivePage([], peer, { peerId, cursor: undefined, joins: frontier });

  it('I9: what peers make up of clusters and slots stays within what readers take, and what was known goes on', async () => {
    const instance = await openInstance();
    await join(instance, joins);
    const made = (from: number, slot: number): Frontier =>
      new Map(
        Array.from({ length: 900 }, (_, i) => {
          const name = (0x100000 + from + i).toString(16).padStart(12, '0');
          return [name, { base: stampOf(name, 0, 1), slots: new Map([[slot, stampOf(name, slot, 1)]]) }];
        }),
      );
    for (let slot = 0; slot < 12; slot += 1) for (const from of [0, 900]) await join(instance, made(from, slot));
    const frontier = await instance.replica.frontier();
    assert.equal(frontier.size, 1_000);
    let rows = 0;
    for (const { slots } of frontier.values()) rows += 1 + slots.size;
    assert.ok(rows <= 10_001);
    await join(instance, frontierOf({ [part]: { base: stampOf(part, 0, nowMs + 1) } }));
    assert.equal(covers(await instance.replica.frontier(), stampOf(part, 0, nowMs + 1)), true);
  });

  it('nobody moves our own part; another incarnation of ours is another cluster', async () => {
    const instance = await openInstance();
    await instance.replica.write([set('k', 'v')]);
    const own = await instance.replica.frontier();
    const [ownPart = ''] = own.keys();
    await join(instance, frontierOf({ [ownPart]: { base: stampOf(ownPart, 0, nowMs + limits.futureMsMax) } }));
    assert.deepEqual(await instance.replica.frontier(), own);
  });
});
