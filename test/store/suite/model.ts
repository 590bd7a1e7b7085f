/** Random transactions, one after the other, against a sorted Map. */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { addLittleEndian } from '../../../src/store/optimistic/addition.ts';
import { type Store, type Transaction } from '../../../src/store/store.ts';
import { bytes, content, type OpenStores, pairs, span, type Stores, text } from './stores.ts';

type Model = Map<string, string>;

type Step =
  | { readonly kind: 'set'; readonly key: string; readonly value: string }
  | { readonly kind: 'clear'; readonly key: string }
  | { readonly kind: 'clearRange'; readonly start: string; readonly end: string }
  | { readonly kind: 'add'; readonly key: string; readonly delta: string }
  | { readonly kind: 'get'; readonly key: string }
  | {
      readonly kind: 'range';
      readonly start: string;
      readonly end: string;
      readonly limit: number;
      readonly order: 'forward' | 'reverse';
      readonly isolation: 'conflicting' | 'snapshot';
    };

// Few keys, of few characters, so that they meet; with the greatest and the least byte among them.
const key = fc.string({ unit: fc.constantFrom('\0', 'a', 'b', '\xff'), minLength: 1, maxLength: 3 }).filter((it) => it < '\xff\xff');
const bound = fc.oneof(key, fc.constantFrom('', '\xff\xff'));
const value = fc.string({ unit: fc.constantFrom('\0', 'x', '\xff'), maxLength: 4 });

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('set' as const), key, value }) },
  fc.record({ kind: fc.constant('clear' as const), key }),
  fc.record({ kind: fc.constant('clearRange' as const), start: bound, end: bound }),
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('add' as const), key, delta: value }) },
  fc.record({ kind: fc.constant('get' as const), key }),
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('range' as const),
      start: bound,
      end: bound,
      limit: fc.integer({ min: 1, max: 6 }),
      order: fc.constantFrom('forward' as const, 'reverse' as const),
      isolation: fc.constantFrom('conflicting' as const, 'snapshot' as const),
    }),
  },
);

interface Run {
  readonly steps: readonly Step[];
  readonly ends: 'commits' | 'throws';
}

const run: fc.Arbitrary<Run> = fc.record({
  steps: fc.array(step, { maxLength: 20 }),
  ends: fc.constantFrom('commits', 'commits', 'commits', 'throws'),
});

export function describeModel(open: OpenStores): void {
  describe('model', () => {
    it('does what a sorted map does', async () => {
      const stores = await open();
      const { store } = stores;
      try {
        await fc.assert(
          fc.asyncProperty(fc.array(run, { maxLength: 6 }), async (runs) => {
            await clearAll(store);
            let model: Model = new Map();
            for (const each of runs) model = await checkRun(stores, model, each);
          }),
          { numRuns: 150 },
        );
      } finally {
        await stores[Symbol.asyncDispose]();
      }
    });
  });
}

/** Beyond all keys of the steps: names the run that was committed last, so that one whose outcome was unknown is not made twice. */
const markKey = bytes('\xff\xff\x01');
let marks = 0;

const failure = new Error('the run ends so');

async function checkRun({ store, failsOnPurpose }: Stores, before: Model, { steps, ends }: Run): Promise<Model> {
  let after = before;
  marks += 1;
  const mark = String(marks);
  const transacted = store.transact(async (tx) => {
    if (failsOnPurpose === true) {
      if (text(await tx.get(markKey)) === mark) return;
      tx.set(markKey, bytes(mark));
    }
    after = new Map(before);
    for (const each of steps) await checkStep(tx, after, each);
    if (ends === 'throws') throw failure;
  });
  if (ends === 'throws') {
    await assert.rejects(transacted, (error) => error === failure);
    after = before;
  }
  const failed = await transacted.then(
    () => false,
    () => true,
  );
  const found = await content(store);
  // Of what failed all or nothing is there.
  if (failed && failsOnPurpose === true && isDeepStrictEqual(found, sortedPairs(before))) return before;
  assert.deepEqual(found, sortedPairs(after));
  return after;
}

async function checkStep(tx: Transaction, model: Model, each: Step): Promise<void> {
  switch (each.kind) {
    case 'set':
      tx.set(bytes(each.key), bytes(each.value));
      model.set(each.key, each.value);
      return;
    case 'clear':
      tx.clear(bytes(each.key));
      model.delete(each.key);
      return;
    case 'clearRange':
      tx.clearRange(span(each.start, each.end));
      for (const [found] of within(model, each.start, each.end)) model.delete(found);
      return;
    case 'add': {
      tx.add(bytes(each.key), bytes(each.delta));
      const stored = model.get(each.key);
      model.set(each.key, text(addLittleEndian(stored === undefined ? undefined : bytes(stored), bytes(each.delta)))!);
      return;
    }
    case 'get':
      assert.equal(text(await tx.get(bytes(each.key))), model.get(each.key));
      return;
    case 'range': {
      const found = within(model, each.start, each.end);
      if (each.order === 'reverse') found.reverse();
      const rows = await tx.range(span(each.start, each.end), each);
      assert.deepEqual(
        pairs(rows),
        found.slice(0, each.limit).map(([at, stored]) => `${at}=${stored}`),
      );
      return;
    }
  }
}

function within(model: Model, start: string, end: string): [string, string][] {
  return [...model].filter(([at]) => start <= at && at < end).sort(([a], [b]) => (a < b ? -1 : 1));
}

function sortedPairs(model: Model): string[] {
  return within(model, '', '\xff\xff').map(([at, stored]) => `${at}=${stored}`);
}

function clearAll(store: Store): Promise<void> {
  return store.transact((tx) => {
    tx.clearRange(span('', '\xff\xff'));
    return Promise.resolve();
  });
}
