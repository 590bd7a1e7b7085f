import assert from 'node:assert/strict';
import { GkvError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/ports.ts';
import { leaseMs, Leases } from '../../src/replica/lease.ts';
import { type LeaseRecord, readLease } from '../../src/replica/leaseRecord.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { type Store } from '../../src/store/store.ts';
import { forwarded } from '../store/wrap.ts';
import { ManualClock, seededRandom, until } from '../support.ts';

interface Process {
  readonly clock: ManualClock;
  readonly leases: Leases;
  /** Leases of others that it has ended. */
  readonly fenced: string[];
  readonly record: () => Promise<LeaseRecord>;
  /** Done once, between its next look and its next transaction, or behind that. */
  readonly once: { before?: () => Promise<unknown>; after?: () => Promise<never> };
}

function processOf(database: MemoryDatabase, index: number, rank = 100): Process {
  const clock = new ManualClock();
  const inner = openMemoryStore(database, { clock, random: seededRandom(index) });
  const once: Process['once'] = {};
  const store: Store = {
    ...forwarded(inner),
    transact: async (work, options) => {
      const { before, after } = once;
      delete once.before;
      delete once.after;
      await before?.();
      const result = await inner.transact(work, options);
      await after?.();
      return result;
    },
  };
  const fenced: string[] = [];
  const onExpired = (_: unknown, name: string): Promise<void> => Promise.resolve(void fenced.push(name));
  const leases = new Leases({ store, clock, log: silentLog, holder: new Uint8Array(16).fill(index), rank, onExpired });
  return { clock, leases, fenced, once, record: () => inner.transact((tx) => readLease(tx, 'x')) };
}

function processes(...ranks: readonly (number | undefined)[]): Process[] {
  const database = new MemoryDatabase();
  return ranks.map((rank, index) => processOf(database, index + 1, rank));
}

async function take({ leases, clock }: Process): Promise<void> {
  leases.want('x');
  await clock.advance(2_000);
  await until(() => leases.held('x') !== undefined);
}

/** What others do between a look of this process and the transaction that follows from it. */
async function meanwhile({ once, clock }: Process, work: () => Promise<void>): Promise<void> {
  let isDone = false;
  once.before = () => work().then(() => (isDone = true));
  await clock.advance(1_000);
  await until(() => isDone);
  await clock.advance(500);
}

describe('R14: a lease', () => {
  it('is one and the same for as long as it is renewed', async () => {
    const [one] = processes(undefined) as [Process];
    one.leases.want('x');
    await one.clock.advance(2_000);
    const first = one.leases.held('x');
    assert.ok(first !== undefined);
    await one.clock.advance(2 * leaseMs);
    assert.deepEqual([one.leases.held('x') === first, first.lost.aborted, (await one.record()).number], [true, false, 1]);
  });

  it('is ended by who has seen it stand still for 5 s, and not before', async () => {
    const [one, two] = processes(undefined, undefined) as [Process, Process];
    await take(one);
    await two.clock.advance(1_000); // it looks every second, and sees it now
    await two.clock.advance(leaseMs - 1_000);
    assert.deepEqual(two.fenced, []);
    await two.clock.advance(1_000);
    assert.deepEqual(two.fenced, ['x']);
  });

  it('is not ended that was renewed, or is another’s, since who looks on has seen it stand still', async () => {
    for (const between of ['renewed', 'passed on'] as const) {
      const [one, two, three] = processes(undefined, undefined, undefined) as [Process, Process, Process];
      one.leases.want('x');
      await one.clock.advance(2_000);
      await two.clock.advance(leaseMs); // the first process is paused: its clock stands
      const beforeIt = await one.record();
      await meanwhile(two, async () => {
        if (between === 'renewed') return one.clock.advance(1_500);
        await one.leases[Symbol.asyncDispose]();
        await take(three);
      });
      assert.deepEqual([two.fenced, (await one.record()).number], [[], beforeIt.number + (between === 'renewed' ? 0 : 2)], between);
      assert.ok((between === 'renewed' ? one : three).leases.held('x') !== undefined);
    }
  });

  it('is not taken that another has taken since it was seen to be free', async () => {
    const [one, two] = processes(undefined, undefined) as [Process, Process];
    two.leases.want('x');
    await meanwhile(two, () => take(one));
    assert.deepEqual([one.leases.held('x') === undefined, two.leases.held('x')], [false, undefined]);
    assert.deepEqual([two.fenced, (await one.record()).number], [[], 1]);
  });

  it('is ours, and is not fenced, where the outcome of taking it was unknown', async () => {
    const [one] = processes(undefined) as [Process];
    one.leases.want('x');
    one.once.after = () => Promise.reject(new GkvError('commit_unknown', 'it was committed'));
    await one.clock.advance(1_000);
    assert.equal(one.leases.held('x'), undefined);
    await one.clock.advance(2_000);
    assert.deepEqual([one.leases.held('x')?.number, one.fenced], [1, []]);
  });

  it('is fenced where it is taken from a holder of a higher rank, and not where it is free', async () => {
    const [late, early] = processes(200, 10) as [Process, Process];
    late.leases.want('x');
    await late.clock.advance(2_000);
    early.leases.want('x');
    await early.clock.advance(1_000);
    assert.ok(early.leases.held('x') !== undefined);
    assert.deepEqual([late.fenced, early.fenced], [[], ['x']]);
  });
});
