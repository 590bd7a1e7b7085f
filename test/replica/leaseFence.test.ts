import assert from 'node:assert/strict';
import { hasCode } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/ports.ts';
import { leaseMs, Leases } from '../../src/replica/lease.ts';
import { readLease } from '../../src/replica/leaseRecord.ts';
import { readClosed } from '../../src/replica/slot.ts';
import { fenceSlot, LeasedSlots } from '../../src/replica/slots.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { type Store } from '../../src/store/store.ts';
import { openInstance, set } from '../aae/world.ts';
import { ManualClock, seededRandom } from '../support.ts';

interface Process {
  readonly clock: ManualClock;
  readonly store: Store;
  readonly leases: Leases;
}

function processOf(database: MemoryDatabase, index: number): Process {
  const clock = new ManualClock();
  const store = openMemoryStore(database, { clock, random: seededRandom(index + 1) });
  const holder = new Uint8Array(16).fill(index + 1);
  return { clock, store, leases: new Leases({ store, clock, log: silentLog, holder, rank: 100, onExpired: fenceSlot }) };
}

async function advance(ms: number, ...running: readonly Process[]): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) for (const { clock } of running) await clock.advance(500);
}

describe('R15: who ends the lease of a slot', () => {
  it('I8: fences the slot in the same commit: its holder cannot commit, though nobody has taken the slot since', async () => {
    const database = new MemoryDatabase();
    const [one, two] = [processOf(database, 0), processOf(database, 1)];
    const { store, clock, leases } = one;
    const { replica } = await openInstance({ store, clock, slots: new LeasedSlots(store, leases, clock) });
    await replica.write([set('k', '1')]);
    const closed = (await two.store.read(readClosed)).slots.get(0);
    await advance(2 * leaseMs, two); // the first process is paused: its clock stands
    await assert.rejects(replica.write([set('k', '2')]), (error) => hasCode(error, 'unavailable'));
    assert.deepEqual((await two.store.read(readClosed)).slots.get(0), closed);
  });

  it('R14: who stops frees none that is another’s by now', async () => {
    const database = new MemoryDatabase();
    const [one, two] = [processOf(database, 0), processOf(database, 1)];
    one.leases.want('job/x');
    await advance(2_000, one);
    two.leases.want('job/x');
    await advance(2 * leaseMs, two); // the first process is paused: its clock stands
    const second = two.leases.held('job/x');
    assert.ok(second !== undefined);
    await one.leases[Symbol.asyncDispose]();
    const record = await two.store.transact((tx) => readLease(tx, 'job/x'));
    assert.deepEqual([record.number, two.leases.held('job/x')?.number], [second.number, second.number]);
  });
});
