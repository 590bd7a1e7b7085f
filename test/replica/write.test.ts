import assert from 'node:assert/strict';
import { hasCode, type ErrorCode, type ErrorDetails } from '../../src/core/errors.ts';
import { stampToHex, type Stamp } from '../../src/core/stamp.ts';
import { type Expected, type WriteOp } from '../../src/replica/proposal.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { type MemoryFaults } from '../../src/store/memory/faults.ts';
import { assertTree } from '../aae/oracle.ts';
import { key, openInstance, remove, set } from '../aae/world.ts';
import { FakeClock } from '../support.ts';

function expecting(op: WriteOp, expected: Expected): WriteOp {
  return { ...op, expected };
}

function versionOf(outcomes: readonly { version: Stamp }[]): Stamp {
  const [first] = outcomes;
  assert.ok(first);
  return first.version;
}

const withCode =
  (...codes: ErrorCode[]) =>
  (error: unknown): boolean =>
    hasCode(error, ...codes);

/** An unknown outcome, once for each time that it is armed. */
function once(): { faults: MemoryFaults; arm: () => void } {
  let armed = false;
  const faults: MemoryFaults = {};
  Object.defineProperty(faults, 'unknownCommitted', {
    get: () => {
      const now = armed ? 1 : 0;
      armed = false;
      return now;
    },
  });
  return { faults, arm: () => (armed = true) };
}

describe('ifVersion', () => {
  it('R6: holds for the version that is there, and fails for another, with the one that is there', async () => {
    const { replica } = await openInstance();
    const first = versionOf(await replica.write([set('k', '1')]));
    const second = versionOf(await replica.write([expecting(set('k', '2'), { kind: 'version', version: first })]));
    await assert.rejects(replica.write([expecting(set('k', '3'), { kind: 'version', version: first })]), (error) => {
      assert.ok(hasCode(error, 'version_mismatch'));
      assert.deepEqual(error.details, { version: stampToHex(second), index: 0 });
      return true;
    });
    assert.equal(Buffer.from((await replica.get(key('k'))).value).toString(), '2');
  });

  it('R6: absent holds where there is nothing, a tombstone included', async () => {
    const { replica } = await openInstance();
    await replica.write([expecting(set('k', '1'), { kind: 'absent' })]);
    await assert.rejects(replica.write([expecting(set('k', '2'), { kind: 'absent' })]), withCode('version_mismatch'));
    await replica.write([remove('k')]);
    await replica.write([expecting(set('k', '3'), { kind: 'absent' })]);
    await replica.write([remove('k')]);
    await assert.rejects(
      replica.write([expecting(remove('k'), { kind: 'version', version: versionOf(await replica.write([set('x', '')])) })]),
      (error) => {
        assert.ok(hasCode(error, 'version_mismatch'));
        assert.equal(error.details['version'], null);
        return true;
      },
    );
  });

  it('R6: a batch is all or nothing, and names the operation that failed', async () => {
    const { replica, store, digests } = await openInstance();
    const batch = [set('a', '1'), expecting(set('b', '1'), { kind: 'absent' }), set('c', '1')];
    await replica.write([set('b', '0')]);
    await assert.rejects(replica.write(batch), (error) => hasCode(error, 'version_mismatch') && error.details['index'] === 1);
    for (const name of ['a', 'c']) assert.equal((await replica.get(key(name))).exists, false);
    await assertTree(store, digests);
  });

  it('R6: of many at once that expect the same, one wins', async () => {
    const { replica } = await openInstance();
    const tries = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) => replica.write([expecting(set('k', `${i}`), { kind: 'absent' })])),
    );
    assert.equal(tries.filter(({ status }) => status === 'fulfilled').length, 1);
  });
});

describe('group commit', () => {
  it('G13: R7: 64 at once on one key are all acknowledged, with versions that rise in their order', async () => {
    const { replica, store, digests } = await openInstance();
    const outcomes = await Promise.all(Array.from({ length: 64 }, (_, i) => replica.write([set('k', `${i}`)])));
    const versions = outcomes.map((outcome) => stampToHex(versionOf(outcome)));
    assert.deepEqual(versions, [...new Set(versions)].sort());
    assert.ok(outcomes.every(([outcome]) => outcome?.applied === true));
    assert.equal(Buffer.from((await replica.get(key('k'))).value).toString(), '63');
    await assertTree(store, digests);
  });

  it('R7: more than may wait is refused with unavailable, and what waits is committed', async () => {
    const { replica } = await openInstance();
    const value = 'x'.repeat(1_000_000);
    const tries = await Promise.allSettled(Array.from({ length: 80 }, (_, i) => replica.write([set(`k${i}`, value)])));
    const refused = tries.filter((result) => result.status === 'rejected');
    assert.equal(tries.length - refused.length, 67, '64 MiB of 1,000,00x bytes');
    assert.ok(refused.every(({ reason }) => hasCode(reason, 'unavailable')));
    await replica.write([set('after', '')]);
  });

  it('R7: after close nothing is taken, and what waited is there', async () => {
    const { replica } = await openInstance();
    const waiting = replica.write([set('k', 'v')]);
    await replica.close();
    await waiting;
    assert.ok((await replica.get(key('k'))).exists);
    await assert.rejects(replica.write([set('l', 'v')]), withCode('unavailable'));
  });

  it('R7: more than 1,000 operations are too large, none are nothing', async () => {
    const { replica } = await openInstance();
    await assert.rejects(replica.write(Array.from({ length: 1_001 }, (_, i) => set(`k${i}`, ''))), withCode('too_large'));
    assert.deepEqual(await replica.write([]), []);
    assert.equal((await replica.write(Array.from({ length: 1_000 }, (_, i) => set(`k${i}`, '')))).length, 1_000);
  });
});

describe('slot', () => {
  it('R8: a commit whose outcome was unknown answers what it stored: nothing is minted or added twice', async () => {
    const { faults, arm } = once();
    const { replica, store, digests } = await openInstance({ faults });
    const first = versionOf(await replica.write([set('a', '0')]));
    arm();
    const outcomes = await Promise.all([
      replica.write([set('a', '1'), set('b', '1')]),
      replica.write([set('a', '2')]),
      replica.write([expecting(set('a', '3'), { kind: 'version', version: first })]).catch((error: unknown) => error),
    ]);
    const [one, two, three] = outcomes;
    assert.ok(Array.isArray(one) && Array.isArray(two));
    assert.deepEqual([one.length, two.length], [2, 1]);
    assert.ok(hasCode(three, 'version_mismatch'));
    assert.equal(three.details['version'], stampToHex(versionOf(two)));
    assert.deepEqual((await replica.get(key('a'))).version, versionOf(two));
    await assertTree(store, digests);
    assert.ok(stampToHex(versionOf(await replica.write([set('a', '4')]))) > stampToHex(versionOf(two)));
  });

  it('R6: R8: of a commit whose outcome was unknown, what was refused is answered in the same words: the version and the index', async () => {
    const answers = async (outcome: 'known' | 'unknown'): Promise<{ versions: string[]; message?: string; details?: ErrorDetails }[]> => {
      const { faults, arm } = once();
      const { replica } = await openInstance({ faults, clock: new FakeClock() });
      const first = versionOf(await replica.write([set('a', '0')]));
      if (outcome === 'unknown') arm();
      const stale = { kind: 'version', version: first } as const;
      const answered = await Promise.allSettled([
        replica.write([set('a', '1')]),
        replica.write([set('x', '1'), set('y', '1'), expecting(set('a', '2'), stale)]),
        replica.write([expecting(set('b', '2'), stale)]),
        replica.write([set('b', '3'), set('c', '3')]),
        replica.write([set('d', '1'), expecting(remove('c'), { kind: 'absent' })]),
      ]);
      return answered.map((result) => {
        if (result.status === 'fulfilled') return { versions: result.value.map(({ version }) => stampToHex(version)) };
        assert.ok(hasCode(result.reason, 'version_mismatch'));
        return { versions: [], message: result.reason.message, details: result.reason.details };
      });
    };
    const unknown = await answers('unknown');
    assert.deepEqual(unknown, await answers('known'));
    assert.deepEqual(
      unknown.map(({ versions, details }) => [versions.length, details?.['index']]),
      [
        [1, undefined],
        [0, 2],
        [0, 0],
        [2, undefined],
        [0, 1],
      ],
    );
  });

  it('I8: R8: a second holder of a slot fences the first, which takes it again and works on', async () => {
    const database = new MemoryDatabase();
    const first = await openInstance({ database });
    await first.replica.write([set('k', '1')]);
    const second = await openInstance({ database, seed: 2 });
    await assert.rejects(first.replica.write([set('k', '2')]), withCode('unavailable'));
    assert.equal(Buffer.from((await first.replica.get(key('k'))).value).toString(), '1');
    await first.replica.write([set('k', '3')]);
    await assert.rejects(second.replica.write([set('k', '4')]), withCode('unavailable'));
    assert.equal(Buffer.from((await second.replica.get(key('k'))).value).toString(), '3');
  });

  it('R8: a new holder starts above everything that was committed under the slot', async () => {
    const database = new MemoryDatabase();
    const first = await openInstance({ database });
    const before = versionOf(await first.replica.write([set('k', '1')]));
    const second = await openInstance({ database, seed: 2 });
    assert.ok(stampToHex(versionOf(await second.replica.write([set('other', '1')]))) > stampToHex(before));
  });
});
