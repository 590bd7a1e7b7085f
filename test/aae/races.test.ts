import assert from 'node:assert/strict';
import { growStep } from '../../src/aae/grow.ts';
import { readTreeState } from '../../src/aae/records.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { type MemoryFaults } from '../../src/store/memory/faults.ts';
import { collectOnly, fieldFan, hasHead, loadField, makeField, removalsOf, setOf, type Branch, type Field } from './field.ts';
import { assertTree } from './oracle.ts';
import { key, openInstance, type Instance } from './world.ts';

/** What one side does in its branch, to keys of its own. */
interface Act {
  readonly prepare: (instance: Instance) => Promise<unknown>;
  readonly run: (instance: Instance) => Promise<unknown>;
  readonly check: (instance: Instance) => Promise<void>;
}

type Side = 'lower' | 'upper';

/** Keys of a side: the lower one takes those that come first; bounds of both sides are neighbours. */
function own(branch: Branch, side: Side): { fresh: string; held: string; bounds: readonly [string, string] } {
  const odd = branch.plain.filter((_, i) => i % 2 === 1);
  const even = branch.plain.filter((_, i) => i % 2 === 0);
  const middle = Math.floor(odd.length / 2);
  const at = side === 'lower' ? middle - 1 : middle;
  const [a = '', b = '', c = '', d = ''] = branch.bounding.slice(1, 5);
  return { fresh: odd[at] ?? '', held: even[at] ?? '', bounds: side === 'lower' ? [a, b] : [c, d] };
}

const nothing = (): Promise<void> => Promise.resolve();

async function assertValue(instance: Instance, name: string, value: string | undefined): Promise<void> {
  const read = await instance.replica.get(key(name));
  assert.equal(read.exists ? Buffer.from(read.value).toString() : undefined, value, name);
}

function inserting(name: string): Act {
  return {
    prepare: nothing,
    run: ({ replica }) => replica.write(setOf([name], 'new')),
    check: (instance) => assertValue(instance, name, 'new'),
  };
}

function collecting(names: readonly string[]): Act {
  return {
    prepare: async ({ replica }) => {
      await replica.write(setOf(names, 'dying'));
      await replica.write(removalsOf(names));
    },
    run: (instance) => collectOnly(instance, names),
    check: async (instance) => {
      for (const name of names) assert.equal(await hasHead(instance, key(name)), false, `${name} was collected`);
    },
  };
}

const acts: Readonly<Record<string, (branch: Branch, side: Side) => Act>> = {
  'insert of a plain key': (branch, side) => inserting(own(branch, side).fresh),
  'insert of a bounding key': (branch, side) => inserting(own(branch, side).bounds[side === 'lower' ? 1 : 0]),
  overwrite: (branch, side) => {
    const name = own(branch, side).held;
    return {
      prepare: nothing,
      run: ({ replica }) => replica.write(setOf([name], 'over')),
      check: (instance) => assertValue(instance, name, 'over'),
    };
  },
  delete: (branch, side) => {
    const name = own(branch, side).held;
    return {
      prepare: nothing,
      run: ({ replica }) => replica.write(removalsOf([name])),
      check: async (instance) => {
        await assertValue(instance, name, undefined);
        assert.ok(await hasHead(instance, key(name)), 'the tombstone is kept');
      },
    };
  },
  'collection of a plain tombstone': (branch, side) => collecting([own(branch, side).fresh]),
  'collection of a bounding tombstone': (branch, side) => collecting([own(branch, side).bounds[side === 'lower' ? 1 : 0]]),
  'collection of two adjacent bounds': (branch, side) => collecting(own(branch, side).bounds),
  'start of a level': () => ({
    prepare: nothing,
    run: async ({ store, digests }) => {
      assert.notEqual(await growStep(store, digests, { max: 0, min: 0 }), 'nothing');
    },
    check: async ({ store }) => {
      await store.read(readTreeState);
    },
  }),
  'building of a level': () => ({
    prepare: async ({ store, digests }) => {
      const { building } = await store.read(readTreeState);
      if (building === undefined) await growStep(store, digests, { max: 0, min: 0 });
    },
    run: async ({ store, digests }) => {
      assert.notEqual(await growStep(store, digests, { max: 0, min: 0 }), 'nothing');
    },
    check: nothing,
  }),
};

const places: readonly { title: string; a: number; b: number; aSide: Side }[] = [
  { title: 'same branch, the first below', a: 2, b: 2, aSide: 'upper' },
  { title: 'same branch, the first above', a: 2, b: 2, aSide: 'lower' },
  { title: 'adjacent branches, the first below', a: 2, b: 1, aSide: 'lower' },
  { title: 'adjacent branches, the first above', a: 2, b: 3, aSide: 'upper' },
  { title: 'different branches', a: 1, b: 3, aSide: 'upper' },
];

/** B runs from start to end between A's reads and A's commit. */
async function race(field: Field, a: Act, b: Act): Promise<void> {
  const database = new MemoryDatabase();
  const faults: MemoryFaults = {};
  const one = await openInstance({ database, slot: 0, fan: fieldFan, faults });
  const two = await openInstance({ database, slot: 1, seed: 2, fan: fieldFan });
  await loadField(one, field);
  await two.replica.write(setOf([field.branches[0]?.plain[0] ?? ''], 'warm'));
  await a.prepare(one);
  await b.prepare(two);
  await assertTree(one.store, one.digests);
  let between = 0;
  faults.pause = async (point) => {
    if (point !== 'commit' || between > 0) return;
    between += 1;
    await b.run(two);
  };
  await a.run(one);
  assert.equal(between, 1);
  await assertTree(one.store, one.digests);
  for (const act of [a, b]) await act.check(one);
  await afterwards(one, two, field);
}

/** What both remember of the bounds serves for what they do next. */
async function afterwards(one: Instance, two: Instance, field: Field): Promise<void> {
  const all = field.branches.flatMap(({ plain }) => plain);
  await one.replica.write(setOf(all.slice(0, 100), 'after'));
  await two.replica.write(
    setOf(
      field.branches.map(({ bounding }) => bounding[0] ?? ''),
      'after',
    ),
  );
  await one.replica.write(
    setOf(
      field.branches.map(({ bounding }) => bounding[5] ?? ''),
      'after',
    ),
  );
  await assertTree(one.store, one.digests);
}

for (const level of [1, 2]) {
  const field = makeField(level);
  describe(`G21: A9: races at level ${level}: the first commits between the reads and the commit of the second (replaced)`, () => {
    for (const [first, makeFirst] of Object.entries(acts)) {
      for (const [second, makeSecond] of Object.entries(acts)) {
        for (const { title, a, b, aSide } of places) {
          it(`${first}, then ${second}: ${title}`, async () => {
            const [branchA, branchB] = [field.branches[a], field.branches[b]];
            assert.ok(branchA && branchB);
            await race(field, makeSecond(branchA, aSide), makeFirst(branchB, aSide === 'lower' ? 'upper' : 'lower'));
          });
        }
      }
    }
  });
}
