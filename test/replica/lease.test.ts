import assert from 'node:assert/strict';
import { hasCode } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/ports.ts';
import { fencedStore, leaseMs, Leases } from '../../src/replica/lease.ts';
import { decodeLease, encodeLease } from '../../src/replica/leaseRecord.ts';
import { fenceSlot, LeasedSlots } from '../../src/replica/slots.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { type Store } from '../../src/store/store.ts';
import { key, openInstance, set, type Instance } from '../aae/world.ts';
import { ManualClock, seededRandom } from '../support.ts';

interface Process {
  readonly clock: ManualClock;
  readonly store: Store;
  readonly leases: Leases;
}

/** Processes on one store, each with a clock of its own. */
function processes(count: number, ranks: readonly number[] = []): Process[] {
  const database = new MemoryDatabase();
  return Array.from({ length: count }, (_, index) => {
    const clock = new ManualClock();
    const store = openMemoryStore(database, { clock, random: seededRandom(index + 1) });
    const holder = new Uint8Array(16).fill(index + 1);
    return { clock, store, leases: new Leases({ store, clock, log: silentLog, holder, rank: ranks[index] ?? 100, onExpired: fenceSlot }) };
  });
}

async function advance(ms: number, ...running: readonly Process[]): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    for (const { clock } of running) await clock.advance(500);
  }
}

function slotted({ clock, store, leases }: Process): Promise<Instance> {
  return openInstance({ store, clock, slots: new LeasedSlots(store, leases, clock) });
}

describe('leases', () => {
  it('G32: have one holder at a time', async () => {
    const [one, two] = processes(2) as [Process, Process];
    for (const { leases } of [one, two]) leases.want('job/x');
    await advance(10 * leaseMs, one, two);
    assert.equal([one, two].filter(({ leases }) => leases.held('job/x') !== undefined).length, 1);
  });

  it('G32: pass on when the holder is not heard of, and fence what it still does', async () => {
    const [one, two] = processes(2) as [Process, Process];
    one.leases.want('job/x');
    await advance(2_000, one, two);
    const first = one.leases.held('job/x');
    assert(first !== undefined);
    two.leases.want('job/x');
    await advance(2 * leaseMs, two); // the first process is paused: its clock stands
    const second = two.leases.held('job/x');
    assert(second !== undefined && second.number > first.number);
    const fenced = fencedStore(one.store, first);
    await assert.rejects(
      fenced.transact((tx) => {
        tx.set(Buffer.from('k'), Buffer.from('late'));
        return Promise.resolve();
      }),
      (error) => hasCode(error, 'lease_lost'),
    );
    assert.equal(await two.store.read((snapshot) => snapshot.get(Buffer.from('k'))), undefined);
    await advance(2_000, one);
    assert.equal(first.lost.aborted, true, 'the first learns of it when it goes on');
    assert.equal(one.leases.held('job/x'), undefined);
  });

  it('are not offered to jobs while they are late', async () => {
    const [one] = processes(1) as [Process];
    one.leases.want('job/x');
    await advance(2_000, one);
    assert(one.leases.held('job/x') !== undefined);
    await one.clock.advance(leaseMs, leaseMs); // a pause: the first thing after it is this question
    await advance(2_000, one);
    assert(one.leases.held('job/x') !== undefined, 'nobody took it: it is renewed');
  });

  it('are free at once when their holder stops', async () => {
    const [one, two] = processes(2) as [Process, Process];
    one.leases.want('job/x');
    await advance(2_000, one, two);
    two.leases.want('job/x');
    await one.leases[Symbol.asyncDispose]();
    await advance(1_500, two);
    assert(two.leases.held('job/x') !== undefined);
  });

  it('G33: R14: go to the instance of the lowest rank at once, though another holds them, and to the next when it is gone', async () => {
    const [late, early] = processes(2, [200, 10]) as [Process, Process];
    late.leases.want('job/x');
    await advance(2_000, late, early);
    const first = late.leases.held('job/x');
    assert(first !== undefined);
    early.leases.want('job/x');
    await advance(1_500, early);
    assert(early.leases.held('job/x') !== undefined);
    await assert.rejects(
      fencedStore(late.store, first).transact(() => Promise.resolve()),
      (error) => hasCode(error, 'lease_lost'),
    );
    await advance(1_500, late, early);
    assert(first.lost.aborted && late.leases.held('job/x') === undefined);
    await advance(2 * leaseMs, late); // the other is paused
    assert(late.leases.held('job/x') !== undefined);
    await advance(2_000, early, late);
    assert(early.leases.held('job/x') !== undefined && late.leases.held('job/x') === undefined, 'it is back');
  });

  it('G33: R14: stay with their holder among instances of one rank', async () => {
    const [one, two] = processes(2, [10, 10]) as [Process, Process];
    one.leases.want('job/x');
    await advance(2_000, one, two);
    two.leases.want('job/x');
    await advance(10_000, one, two);
    assert(one.leases.held('job/x') !== undefined);
  });

  it('have one encoding', () => {
    const record = { number: 7, holder: new Uint8Array(16).fill(9), rank: 10 };
    const bytes = encodeLease(record);
    assert.deepEqual(decodeLease(bytes), { number: 7, holder: Buffer.alloc(16, 9), rank: 10 });
    for (let length = 0; length < bytes.length; length += 1) assert.throws(() => decodeLease(bytes.subarray(0, length)));
    assert.throws(() => decodeLease(Buffer.concat([bytes, Buffer.of(0)])));
  });
});

describe('slots', () => {
  it('go to one instance each; those of instances that are gone are used again', async () => {
    const [one, two, three, four] = processes(4) as [Process, Process, Process, Process];
    const slots = await Promise.all([one, two].map(({ store, leases, clock }) => new LeasedSlots(store, leases, clock).take()));
    assert.deepEqual(slots.map(({ slot }) => slot).sort(), [0, 1]);
    const third = await new LeasedSlots(three.store, three.leases, three.clock).take();
    assert.equal(third.slot, 2);
    await two.leases[Symbol.asyncDispose]();
    const fourth = await new LeasedSlots(four.store, four.leases, four.clock).take();
    assert.equal(fourth.slot, slots[1]?.slot);
  });

  it('I8: an instance that pauses past its lease cannot commit, and goes on under another slot', async () => {
    const [one, two, three] = processes(3) as [Process, Process, Process];
    const paused = await slotted(one);
    const other = await slotted(two);
    const [before] = await paused.replica.write([set('k', 'before')]);
    await advance(2 * leaseMs, two);
    await slotted(three); // has the slot of the paused one now
    await assert.rejects(paused.replica.write([set('k', 'late')]), (error) => hasCode(error, 'unavailable'));
    assert.equal(Buffer.from((await other.replica.get(key('k'))).value).toString(), 'before');
    const [after] = await paused.replica.write([set('k', 'after')]);
    assert.equal(after?.applied, true);
    assert(before !== undefined && Buffer.compare(before.version, after.version) < 0);
    assert.notDeepEqual(Buffer.from(before.version.subarray(8)), Buffer.from(after.version.subarray(8)), 'it is another instance now');
  });
});
