import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { frontierZero, type Frontier } from '../../src/core/frontier.ts';
import { stampZero, type Stamp } from '../../src/core/stamp.ts';
import { noteRenewal, Renewal } from '../../src/mesh/renewed.ts';
import { partOf } from '../../src/mesh/words.ts';
import { raiseFloor } from '../../src/replica/floor.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { type Store } from '../../src/store/store.ts';
import { FakeClock, seededRandom } from '../support.ts';
import { stampAt } from './hostile.ts';

const clusterId = new Uint8Array(16).fill(1);
const inLife = (incarnation: number): { clusterId: Uint8Array; incarnation: number } => ({ clusterId, incarnation });
const [longAgo, lately, later] = [1_000_000, 500_000_000, 500_100_000].map(stampAt) as [Stamp, Stamp, Stamp];
const nothing = (): Promise<Frontier> => Promise.resolve(frontierZero);
/** What one has who met us in that life. */
const metIn = (incarnation: number): Frontier => new Map([[partOf(inLife(incarnation)), { base: later, slots: new Map() }]]);

function open(): Store {
  return openMemoryStore(new MemoryDatabase(), { clock: new FakeClock(), random: seededRandom(1) });
}

/** Renewed long ago, with a floor that went on since, and met by one who lacks nothing. */
async function renewedAndMet(): Promise<Store> {
  const store = open();
  await store.transact((tx) => noteRenewal(tx, longAgo, inLife(1)));
  await store.transact((tx) => raiseFloor(tx, lately));
  assert.equal(await new Renewal(store, inLife(2)).isOlderThan(lately, frontierZero, nothing), false);
  return store;
}

describe('M25: how old a renewed store was', () => {
  it('is asked of each who may have met it before, over restarts, whoever was met first', async () => {
    const store = await renewedAndMet();
    for (let start = 0; start < 2; start += 1)
      assert.equal(await new Renewal(store, inLife(2)).isOlderThan(lately, metIn(1), nothing), true);
  });

  it('says nothing of a greater floor once others were met', async () => {
    const store = await renewedAndMet();
    assert.equal(await new Renewal(store, inLife(2)).isOlderThan(later, frontierZero, nothing), false);
  });

  it('is that of the last renewal, where others were met since the one before', async () => {
    const store = await renewedAndMet();
    await store.transact((tx) => noteRenewal(tx, later, inLife(2)));
    assert.equal(await new Renewal(store, inLife(3)).isOlderThan(lately, metIn(2), nothing), false);
  });

  it('is that of the first of several, where nobody was met', async () => {
    const store = open();
    await store.transact((tx) => noteRenewal(tx, longAgo, inLife(1)));
    await store.transact((tx) => noteRenewal(tx, later, inLife(2)));
    assert.equal(await new Renewal(store, inLife(3)).isOlderThan(lately, frontierZero, nothing), true);
  });

  it('who tells no floor was met where all that it has is here: a stranger that has nothing says nothing, nor who has what is not', async () => {
    const other = { clusterId: new Uint8Array(16).fill(2), incarnation: 1 };
    const has: Frontier = new Map([[partOf(other), { base: lately, slots: new Map() }]]);
    for (const [told, ours, isTooOld] of [
      [undefined, frontierZero, true],
      [frontierZero, frontierZero, true],
      [has, frontierZero, true],
      [has, has, false],
    ] as const) {
      const store = open();
      await store.transact((tx) => noteRenewal(tx, longAgo, inLife(1)));
      const renewal = new Renewal(store, inLife(2));
      assert.equal(await renewal.isOlderThan(stampZero, told, () => Promise.resolve(ours)), false);
      assert.equal(await renewal.isOlderThan(lately, frontierZero, nothing), isTooOld);
    }
  });

  it('is not told where it is not known what the other has, and no floor is greater than ours', async () => {
    const store = open();
    await store.transact((tx) => noteRenewal(tx, longAgo, inLife(1)));
    await store.transact((tx) => raiseFloor(tx, lately));
    const renewal = new Renewal(store, inLife(2));
    assert.equal(await renewal.isOlderThan(lately, undefined, nothing), false);
    assert.equal(await renewal.isOlderThan(later, undefined, nothing), true);
  });
});
