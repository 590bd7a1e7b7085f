import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { hasCode } from '../../src/core/errors.ts';
import { clusterPartOf, covers, frontierZero } from '../../src/core/frontier.ts';
import { makeStamp, parseInstance, type Stamp } from '../../src/core/stamp.ts';
import { positionZero } from '../../src/replica/cursor.ts';
import { type FeedPage } from '../../src/replica/feedPage.ts';
import { acquireSlot, closeFreeSlots } from '../../src/replica/slot.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { type MemoryFaults } from '../../src/store/memory/faults.ts';
import { type Store } from '../../src/store/store.ts';
import { openInstance, set, type Instance } from '../aae/world.ts';
import { FakeClock, seededRandom } from '../support.ts';
import { received } from './received.ts';

function stampAt(ms: number): Stamp {
  return makeStamp(ms, 0, parseInstance(new Uint8Array(8)));
}

function closeFree(store: Store, stamp: Stamp, held: ReadonlySet<number>): Promise<void> {
  return store.transact((tx) => closeFreeSlots(tx, stamp, (slot) => Promise.resolve(!held.has(slot))));
}

/** The cluster's whole feed, and its frontier as of the same snapshot. */
function claimOf({ replica }: Instance): Promise<FeedPage> {
  return replica.feedPage(positionZero, frontierZero);
}

/**
 * Two instances write, receive and close, are taken over and go on in other slots, while free slots are closed. No key is written twice, so that the
 * feed only grows, and what is behind a claim in the last feed was committed after it. Returns how many such pairs were looked at.
 */
async function run(seed: number): Promise<number> {
  const random = seededRandom(seed);
  const database = new MemoryDatabase();
  const pause = async (): Promise<void> => {
    for (let turns = Math.floor(random.fraction() * 5); turns > 0; turns -= 1) await new Promise((resolve) => setImmediate(resolve));
  };
  const faults: MemoryFaults = { pause, conflict: 0.05, unknownCommitted: 0.1, unknownLost: 0.1 };
  const claims: FeedPage[] = [];
  const held = new Set<number>();
  let slots = 0;
  const open = async (n: number, clock: FakeClock): Promise<Instance> => {
    const slot = slots;
    slots += 1;
    held.add(slot);
    return openInstance({ database, slot, seed: seed * 10 + n, clock, faults });
  };
  const step = async (instance: Instance, clock: FakeClock, name: string): Promise<'go on' | 'leave'> => {
    const { replica, store, digests } = instance;
    const dice = random.fraction();
    if (dice < 0.5) await replica.write([set(name, 'v'), set(`${name}/2`, 'v')]);
    else if (dice < 0.6) await replica.receive([received(digests, name, stampAt(clock.now() + 4_000))], 'peer');
    else if (dice < 0.75) await replica.closePresent();
    else if (dice < 0.9) await closeFree(store, replica.hlc.next(), held);
    else if (dice < 0.95) await acquireSlot(store, replica.slot);
    else return 'leave';
    return 'go on';
  };
  const work = async (n: number): Promise<void> => {
    const clock = new FakeClock(1_700_000_000_000 + n * 4_000);
    let instance = await open(n, clock);
    for (let i = 0; i < 25; i += 1) {
      clock.ms += Math.floor(random.fraction() * 50);
      try {
        if ((await step(instance, clock, `${n} ${i}`)) === 'leave') {
          await instance.replica.close();
          held.delete(instance.replica.slot);
          instance = await open(n, clock);
        }
      } catch (error) {
        if (!hasCode(error, 'unavailable')) throw error;
      }
      claims.push(await claimOf(instance));
    }
  };
  await Promise.all([work(0), work(1)]);
  const last = await open(2, new FakeClock());
  await last.replica.write([set('last', 'v')]);
  const { writes } = await claimOf(last);
  const own = clusterPartOf(last.replica.hlc.last);
  let pairs = 0;
  for (const claim of claims) {
    assert.ok(claim.end !== undefined);
    for (const { accepted } of writes.slice(claim.writes.length)) {
      if (clusterPartOf(accepted) !== own) continue;
      pairs += 1;
      assert.equal(covers(claim.end, accepted), false, `seed ${seed}`);
    }
  }
  return pairs;
}

describe('R21: what a slot has closed', () => {
  it('is never undercut: two instances, take-overs, free slots and such that were never used, unknown outcomes', async () => {
    let pairs = 0;
    for (let seed = 1; seed <= 40; seed += 1) pairs += await run(seed);
    assert.ok(pairs > 20_000, `${pairs} pairs`);
  });

  it('a closing is covered, a write is covered with its answer, and what comes later is not', async () => {
    const { replica } = await openInstance();
    const [outcome] = await replica.write([set('k', 'v')]);
    assert.ok(outcome !== undefined && covers(await replica.frontier(), outcome.accepted));
    const closed = await replica.closePresent();
    const frontier = await replica.frontier();
    assert.ok(covers(frontier, closed));
    const [later] = await replica.write([set('k', 'w')]);
    assert.ok(later !== undefined && !covers(frontier, later.accepted));
  });

  it('a slot that was never used starts above what free slots were closed up to', async () => {
    const database = new MemoryDatabase();
    const clock = new FakeClock();
    const one = await openInstance({ database, slot: 0, clock });
    const stamp = stampAt(clock.now() + 3_000);
    await closeFree(one.store, stamp, new Set([0]));
    const two = await openInstance({ database, slot: 7, seed: 2, clock });
    const before = await one.replica.frontier();
    const [outcome] = await two.replica.write([set('k', 'v')]);
    assert.ok(outcome !== undefined && Buffer.compare(outcome.accepted, stamp) > 0);
    assert.equal(covers(before, outcome.accepted), false);
  });

  it('closing free slots goes through beside who commits under a held one all the time', async () => {
    const database = new MemoryDatabase();
    const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    const busy = await openInstance({ database, slot: 0 });
    const closing = await openInstance({ database, slot: 1, seed: 2, faults: { pause } });
    let isOver = false;
    const write = async (): Promise<void> => {
      for (let i = 0; !isOver; i += 1) {
        await busy.replica.write([set(`k${i}`, 'v')]);
        await pause();
      }
    };
    const writing = write();
    let runs = 0;
    await closing.store.transact((tx) => {
      runs += 1;
      return closeFreeSlots(tx, closing.replica.hlc.next(), (slot) => Promise.resolve(slot > 1));
    });
    isOver = true;
    await writing;
    assert.equal(runs, 1);
  });
});
