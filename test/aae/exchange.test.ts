import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type PeerLink } from '../../src/aae/checkedPeer.ts';
import { Fingerprints } from '../../src/aae/fingerprint.ts';
import { type Parts } from '../../src/aae/message.ts';
import { RangeView } from '../../src/aae/range.ts';
import { Tasks, type Looking } from '../../src/aae/tasks.ts';
import { allKeys } from '../../src/core/key.ts';
import { limits } from '../../src/core/limits.ts';
import { stampToHex, stampZero } from '../../src/core/stamp.ts';
import { zeroSum } from '../../src/core/sum.ts';
import { assertTree } from './oracle.ts';
import { exchange, failure, key, linkTo, openInstance, remove, set, type Instance } from './world.ts';

async function content(instance: Instance): Promise<string[]> {
  const { entries } = await instance.replica.list({ range: allKeys, limit: 1_000, order: 'forward', values: 'with' });
  return entries.map(
    ({ key, value, version }) => `${Buffer.from(key).toString('hex')}=${Buffer.from(value).toString()}@${stampToHex(version)}`,
  );
}

const ops = fc.array(
  fc.record({ name: fc.integer({ min: 0, max: 400 }).map((n) => `k${n}`), value: fc.option(fc.string({ maxLength: 5 })) }),
  { maxLength: 300 },
);

async function load(instance: Pick<Instance, 'replica'>, list: readonly { name: string; value: string | null }[]): Promise<void> {
  const last = new Map(list.map((op) => [op.name, op.value]));
  const writes = [...last].map(([name, value]) => (value === null ? remove(name) : set(name, value)));
  for (let at = 0; at < writes.length; at += limits.commitWritesMax)
    await instance.replica.write(writes.slice(at, at + limits.commitWritesMax));
}

describe('exchange', () => {
  it('A4: an exchange of any two sets converges both (I2)', async () => {
    await fc.assert(
      fc.asyncProperty(ops, ops, ops, async (both, mine, theirs) => {
        const a = await openInstance({ cluster: 1, fan: 3 });
        const b = await openInstance({ cluster: 2, seed: 2, fan: 3 });
        await load(a, both);
        await exchange(b, linkTo(a));
        await load(a, mine);
        await load(b, theirs);
        const report = await exchange(a, linkTo(b));
        assert.ok(report.converged);
        assert.deepEqual(await content(a), await content(b));
        await assertTree(a.store, a.digests);
        await assertTree(b.store, b.digests);
        const again = await exchange(b, linkTo(a));
        assert.deepEqual([again.converged, again.roundTrips, again.received, again.sent], [true, 1, 0, 0]);
      }),
      { numRuns: 60 },
    );
  });

  it('A5: G25: an exchange that is cut at any step and run again converges', async () => {
    for (let cutAt = 0; ; cutAt += 1) {
      const a = await openInstance({ cluster: 1, fan: 3 });
      const b = await openInstance({ cluster: 2, seed: 2, fan: 3 });
      await load(
        a,
        Array.from({ length: 900 }, (_, i) => ({ name: `a${i}`, value: 'x'.repeat(2_000) })),
      );
      await load(
        b,
        Array.from({ length: 300 }, (_, i) => ({ name: `a${i * 2}`, value: 'mine' })),
      );
      let steps = 0;
      const cut = (): void => {
        steps += 1;
        if (steps === cutAt) throw failure('peer_unreachable');
      };
      const finished = await exchange(b, linkTo(a, cut)).then(
        () => true,
        () => false,
      );
      const report = await exchange(b, linkTo(a));
      assert.ok(report.converged);
      assert.deepEqual(await content(a), await content(b));
      await assertTree(b.store, b.digests);
      if (finished && cutAt > 0) return;
    }
  });

  it('K30: what an exchange holds in memory does not grow with the difference', async () => {
    const a = await openInstance({ cluster: 1, fan: 16 });
    const b = await openInstance({ cluster: 2, seed: 2, fan: 16 });
    // Of each three keys one is held otherwise by the other, and one by each side alone: both send everywhere.
    const keys = Array.from({ length: 32_000 }, (_, i) => i).filter((i) => i % 3 !== 2);
    await load(
      a,
      keys.map((i) => ({ name: `k${i}`, value: 'a' })),
    );
    await load(
      b,
      keys.map((i) => ({ name: `k${i + (i % 3)}`, value: 'b' })),
    );
    let most = 0;
    const take = Reflect.get<Tasks, 'take'>(Tasks.prototype, 'take');
    Tasks.prototype.take = function (this: Tasks, looking) {
      most = Math.max(most, this.waiting);
      return take.call(this, looking);
    };
    try {
      assert.ok((await exchange(b, linkTo(a))).converged);
    } finally {
      Tasks.prototype.take = take;
    }
    assert.ok(most < 16_384, `${most} things waited; 22,799 where all of them wait`);
  });

  it('K30: where the peer lists few writes, a range in which we hold many is taken apart before it is gone through', async () => {
    const { store, replica, digests } = await openInstance({ fan: 16 });
    const names = Array.from({ length: 5_000 }, (_, i) => ({ name: `k${i}`, value: 'v' }));
    await load({ replica }, names);
    const prints = new Fingerprints(digests, new Uint8Array(16));
    const tasks = new Tasks(prints, 'both');
    const looking: Looking = (look) => store.read((snapshot) => look(new RangeView(snapshot, digests, prints, stampZero)));
    const found = { spans: [], offers: [], gaps: [], ids: [{ range: allKeys, ids: new Uint8Array(6) }] };
    await tasks.plan(found, looking);
    await tasks.compareListed(looking);
    const { spans, wants, pushes } = await tasks.take(looking);
    assert.deepEqual([spans.length, wants.length, pushes.length], [1, 0, 0]);
    assert.ok((spans[0]?.parts.length ?? 0) > 8);
  });

  it('K30: however many ranges wait to be fetched, what the peer lists is compared and sent', async () => {
    const { store, replica, digests } = await openInstance({ fan: 16 });
    const name = (i: number): string => `k${String(i).padStart(4, '0')}`;
    await load(
      { replica },
      Array.from({ length: 400 }, (_, i) => ({ name: name(i), value: 'v' })),
    );
    const prints = new Fingerprints(digests, new Uint8Array(16));
    const looking: Looking = (look) => store.read((snapshot) => look(new RangeView(snapshot, digests, prints, stampZero)));
    for (const count of [0, 8_192, 9_000]) {
      const tasks = new Tasks(prints, 'both');
      const ids = Array.from({ length: 50 }, (_, i) => ({
        range: { start: key(name(i * 8)), end: key(name(i * 8 + 8)) },
        ids: new Uint8Array(0),
      }));
      const offers = Array.from({ length: count }, (_, i) => ({ start: key(`z${name(i)}`), end: key(`z${name(i)}~`) }));
      await tasks.plan({ spans: [], gaps: [], offers, ids }, looking);
      const taken: ('fetch' | 'other')[] = [];
      while (tasks.waiting > 0) {
        await tasks.compareListed(looking);
        taken.push((await tasks.take(looking)).fetch === undefined ? 'other' : 'fetch');
      }
      assert.equal(taken.filter((kind) => kind === 'other').length, 1);
      assert.equal(taken.length, 1 + count);
    }
  });

  it('I9: K30: a peer that finds ever finer ranges that differ is refused once they take 256 MiB', async () => {
    const { digests } = await openInstance();
    const prints = new Fingerprints(digests, new Uint8Array(16));
    const tasks = new Tasks(prints, 'both');
    const held = zeroSum().fill(1);
    const view: Partial<RangeView> = { sums: ({ parts }: Parts) => Promise.resolve(parts.map(() => held)) };
    const looking: Looking = (look) => look(view as RangeView);
    let found = 0;
    const more = async (): Promise<void> => {
      const edge = (i: number): Uint8Array => Buffer.from(String(found + i).padStart(1_024, 'k'));
      const parts = Array.from({ length: 64 }, (_, i) => ({ end: edge(i + 1), fingerprint: new Uint8Array(8).fill(7) }));
      await tasks.plan({ spans: [{ start: edge(0), parts }], ids: [], offers: [], gaps: [] }, looking);
      found += parts.length;
    };
    await assert.rejects(
      async () => {
        while (found < 200_000) await more();
      },
      { code: 'peer_protocol' },
    );
    assert.ok(found > 100_000, `${found} ranges`);
  });

  it('I7: what the peer has overwritten since it listed it is counted as missed: what stands in its place may not have come', async () => {
    const a = await openInstance({ cluster: 1 });
    const b = await openInstance({ cluster: 2, seed: 2 });
    await load(a, [
      { name: 'x', value: '1' },
      { name: 'y', value: '1' },
    ]);
    await load(b, [{ name: 'y', value: '2' }]);
    let answers = 0;
    const link: PeerLink = {
      ask: async (frame) => {
        const answer = await a.responder.answer(frame);
        answers += 1;
        if (answers === 1) await load(a, [{ name: 'x', value: 'overwritten' }]);
        return answer;
      },
    };
    const report = await exchange(b, link);
    assert.deepEqual([report.missed, report.converged], [1, false]);
    assert.equal((await exchange(b, linkTo(a))).missed, 0);
    assert.deepEqual(await content(a), await content(b));
  });

  it('G23: G24: equal sets take one request; one key that differs among 100,000 takes few, that name little (replaced)', async () => {
    const a = await openInstance({ cluster: 1 });
    const b = await openInstance({ cluster: 2, seed: 2 });
    const names = Array.from({ length: 100_000 }, (_, i) => `k${i}`);
    for (let at = 0; at < names.length; at += limits.commitWritesMax)
      await a.replica.write(names.slice(at, at + limits.commitWritesMax).map((name) => set(name, 'v')));
    assert.equal((await exchange(b, linkTo(a))).received, names.length);
    const equal = await exchange(b, linkTo(a));
    assert.deepEqual([equal.roundTrips, equal.received, equal.sent], [1, 0, 0]);
    await a.replica.write([set('k77777', 'other')]);
    const { roundTrips, received, sent, bytesIn, bytesOut } = await exchange(b, linkTo(a));
    assert.deepEqual([received, sent], [1, 1]); // ours is told too, though it is the lesser
    assert.ok(roundTrips <= 6, `${roundTrips} requests`);
    assert.ok(bytesIn + bytesOut < 200_000, `${bytesIn + bytesOut} bytes`);
  });

  it('pull takes and sends nothing', async () => {
    const a = await openInstance({ cluster: 1 });
    const b = await openInstance({ cluster: 2, seed: 2 });
    await load(a, [{ name: 'x', value: '1' }]);
    await load(b, [{ name: 'y', value: '2' }]);
    const report = await exchange(b, linkTo(a), { direction: 'pull' });
    assert.deepEqual([report.received, report.sent, report.converged], [1, 0, false]);
    assert.equal((await content(a)).length, 1);
    assert.equal((await content(b)).length, 2);
  });

  it('a range and a prefix are exchanged alone', async () => {
    const a = await openInstance({ cluster: 1 });
    const b = await openInstance({ cluster: 2, seed: 2 });
    await load(
      a,
      Array.from({ length: 500 }, (_, i) => ({ name: `${i % 2 === 0 ? 'eu' : 'us'}/${i}`, value: 'v' })),
    );
    const report = await exchange(b, linkTo(a), { scope: { start: Buffer.from('eu/'), end: Buffer.from('eu0') } });
    assert.deepEqual([report.received, report.converged], [250, true]);
    assert.ok((await content(b)).every((line) => line.startsWith(Buffer.from('eu/').toString('hex'))));
  });
});
