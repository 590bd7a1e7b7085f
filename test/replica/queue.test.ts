import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { GkvError } from '../../src/core/errors.ts';
import { limits } from '../../src/core/limits.ts';
import { costOfSubmission, type WriteOp } from '../../src/replica/proposal.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { type Store } from '../../src/store/store.ts';
import { key, openInstance, set, type Instance } from '../aae/world.ts';
import { forwarded } from '../store/wrap.ts';
import { FakeClock, seededRandom, until } from '../support.ts';

interface Gate {
  readonly passed: Promise<void>;
  open(): void;
}

function gate(): Gate {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => (open = resolve));
  return {
    passed,
    open: () => {
      open();
    },
  };
}

/** An instance whose commits wait at gates: before they begin, and between that they can be seen and that they are durable. */
async function openHeld(): Promise<{
  replica: Instance['replica'];
  /** How many have begun. */
  commits: () => number;
  before: (held: Gate) => void;
  synced: (held: Gate) => void;
}> {
  const clock = new FakeClock();
  const inner = openMemoryStore(new MemoryDatabase(), { clock, random: seededRandom(1) });
  let [begun, before, synced] = [0, Promise.resolve(), Promise.resolve()];
  const store: Store = {
    ...forwarded(inner),
    transact: async (work, options) => {
      begun += 1;
      await before;
      const result = await inner.transact(work, options);
      await synced;
      return result;
    },
  };
  const { replica } = await openInstance({ store, clock });
  const opened = begun;
  return {
    replica,
    commits: () => begun - opened,
    before: ({ passed }) => void (before = passed),
    synced: ({ passed }) => void (synced = passed),
  };
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve));
};

function many(name: string, count: number): WriteOp[] {
  return Array.from({ length: count }, (_, i) => set(`${name}${i}`, ''));
}

/** With its key so many bytes. */
function large(name: string, bytes: number): WriteOp[] {
  return [{ kind: 'set', key: key(name), value: Buffer.alloc(bytes - name.length), expiresInMs: undefined, expected: { kind: 'any' } }];
}

/** Writes that cost one commit so much. */
function costly(name: string, cost: number): WriteOp[] {
  const ops = (count: number): WriteOp[] => Array.from({ length: count }, (_, i) => set(`${name}${i}`.padEnd(1_000, 'x'), ''));
  const costOf = (of: readonly WriteOp[]): number => costOfSubmission({ kind: 'local', ops: of });
  let count = 1;
  while (costOf([...ops(count + 1), ...large(name, 1)]) <= cost) count += 1;
  const all = ops(count);
  return [...all, ...large(name, 1 + cost - costOf([...all, ...large(name, 1)]))];
}

describe('R7: what waits for a commit', () => {
  it('is so many writes and bytes at the most, and not one more; who is refused as the store is away leaves room', async () => {
    const { replica, before, commits } = await openHeld();
    const held = gate();
    before(held);
    const told = (writes: readonly Promise<unknown>[]): Promise<string[]> =>
      Promise.all(
        writes.map((write) =>
          write.then(
            () => 'written',
            (error: unknown) =>
              error instanceof GkvError ? `${error.code}: ${error.message} ${String(error.details['outcome'])}` : 'else',
          ),
        ),
      );
    const underWay = told([replica.write([set('first', 'v')])]);
    await until(() => commits() === 1);
    const batches = told(
      Array.from({ length: limits.queuedWritesMax / limits.batchOpsMax }, (_, n) => replica.write(many(`${n}/`, limits.batchOpsMax))),
    );
    assert.match((await told([replica.write([set('x', '')])])).join(), /^unavailable: 20000 writes of .* wait for a commit/);
    replica.refuseWaiting();
    assert.deepEqual(new Set(await batches), new Set(['unavailable: the store does not answer: nothing was written undefined']));
    assert.match((await underWay).join(), /^unavailable: the outcome of this write is unknown.* unknown$/);
    const values = told(Array.from({ length: 64 }, (_, n) => replica.write(large(`k${n}`, limits.queuedBytesMax / 64))));
    assert.match((await told([replica.write([set('x', '')])])).join(), /^unavailable: 64 writes of 67108864 bytes wait/);
    replica.refuseWaiting();
    assert.equal(new Set(await values).size, 1);
    const last = told([replica.write([set('last', 'v')])]);
    held.open();
    assert.deepEqual(await last, ['written']);
    assert.deepEqual([(await replica.get(key('first'))).exists, (await replica.get(key('k0'))).exists], [true, false]);
  });

  const half = { writes: limits.commitWritesMax / 2, bytes: limits.commitBytesMax / 2, cost: limits.commitCostMax / 2 };
  for (const [what, one, other, more] of [
    ['writes', many('a', half.writes), many('b', half.writes), many('b', half.writes + 1)],
    ['bytes', large('a', half.bytes), large('b', half.bytes), large('b', half.bytes - 1).concat(large('c', 2))],
    ['cost', costly('a', half.cost), costly('b', half.cost), costly('b', half.cost + 1)],
  ] as const) {
    it(`goes into one commit as far as the limit of ${what} allows`, async () => {
      for (const [second, expected] of [
        [other, 2],
        [more, 3],
      ] as const) {
        const { replica, before, commits } = await openHeld();
        const held = gate();
        before(held);
        const first = replica.write([set('first', 'v')]);
        await until(() => commits() === 1);
        const waiting = [replica.write(one), replica.write(second)];
        held.open();
        await Promise.all([first, ...waiting]);
        assert.equal(commits(), expected);
      }
    });
  }

  it('is committed while what can be seen is not durable yet, and who closes waits for all of it', async () => {
    const { replica, before, synced, commits } = await openHeld();
    const [begin, sync] = [gate(), gate()];
    before(begin);
    synced(sync);
    const settled: string[] = [];
    const note = (name: string): void => void settled.push(name);
    const first = replica.write([set('first', 'v')]).then(() => {
      note('first');
    });
    await until(() => commits() === 1);
    const second = replica.write([set('second', 'v')]).then(() => {
      note('second');
    });
    const closed = replica.close().then(() => {
      note('closed');
    });
    begin.open();
    await until(() => commits() === 2);
    await turns();
    assert.deepEqual(settled, []);
    sync.open();
    await Promise.all([first, second, closed]);
    assert.deepEqual(settled, ['first', 'second', 'closed']);
  });

  it('is committed before an instance has closed, though none of it has begun', async () => {
    const { replica, before, commits } = await openHeld();
    const begin = gate();
    before(begin);
    const settled: string[] = [];
    const write = (name: string): Promise<void> => replica.write([set(name, 'v')]).then(() => void settled.push(name));
    const first = write('first');
    await until(() => commits() === 1);
    const second = write('second');
    const closed = replica.close().then(() => void settled.push('closed'));
    begin.open();
    await Promise.all([first, second, closed]);
    assert.deepEqual(settled, ['first', 'second', 'closed']);
  });
});
