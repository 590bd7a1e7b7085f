import assert from 'node:assert/strict';
import { type Head } from '../../src/core/entry.ts';
import { parseKey } from '../../src/core/key.ts';
import { limits } from '../../src/core/limits.ts';
import { makeStamp, parseInstance, stampZero } from '../../src/core/stamp.ts';
import { parseGrantId, parseWriteId } from '../../src/core/write.ts';
import { segmentsOf } from '../../src/grant/pattern.ts';
import { applyChanges } from '../../src/replica/change.ts';
import { collectionFollower } from '../../src/replica/derived.ts';
import { feedFollower } from '../../src/replica/feed.ts';
import { costOfChange, costOfSubmission, partsOfWrites, type ReceivedWrite } from '../../src/replica/proposal.ts';
import { mayBeLarge } from '../../src/server/openStore.ts';
import { Layout } from '../../src/store/fdb/layout.ts';
import { type Transaction } from '../../src/store/store.ts';
import { openInstance } from '../aae/world.ts';
import { received } from './received.ts';

describe('parts of what is received', () => {
  it('I9: each part costs no more than a commit may, all together are what came, in order', async () => {
    const { digests, replica } = await openInstance();
    const version = replica.hlc.next();
    for (const keyLength of [12, 200, 1_024]) {
      const writes: ReceivedWrite[] = Array.from({ length: 500 }, (_, index) => {
        return received(digests, String(index).padStart(keyLength, 'k'), version, undefined, { value: 'v'.repeat(100) });
      });
      const parts = partsOfWrites(writes);
      assert.deepEqual(parts.flat(), writes);
      for (const part of parts)
        assert(costOfSubmission({ kind: 'received', writes: part, peer: 'p', standing: 'plain', asOf: stampZero }) <= limits.commitCostMax);
      assert.equal(parts.length, keyLength > 250 ? Math.ceil((500 * (65 * keyLength + 356)) / limits.commitCostMax) : 1);
    }
    assert.deepEqual(partsOfWrites([]), []);
  });

  it('I9: keys of many segments, each of which is matched against many patterns, are in parts that are decided in some 50 ms', async () => {
    const { digests, replica } = await openInstance();
    const version = replica.hlc.next();
    const writes = Array.from({ length: 450 }, (_, index) => received(digests, `m/${index}`.padEnd(1_010, '/'), version));
    const segments = partsOfWrites(writes).map((part) => part.reduce((total, { write }) => total + segmentsOf(write.key).length, 0));
    assert.ok(
      segments.every((count) => count < 32_000),
      segments.join(' '),
    );
  });
});

/** Adds up what clears and values cost as they are laid out in FoundationDB, by its way of counting: both ends of what is written, twice, and some 80 bytes. */
function counting(tx: Transaction, layout: Layout, count: (bytes: number) => void): Transaction {
  const clear = (key: Uint8Array): void => {
    count(4 * layout.row(key).length + 82);
    const { start, end } = layout.partsOf(key);
    if (mayBeLarge(key)) count(2 * (start.length + end.length) + 80);
  };
  return new Proxy(tx, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      return (...args: readonly Uint8Array[]): unknown => {
        const [first, second] = args;
        if (first !== undefined && name === 'clear') clear(first);
        if (first !== undefined && (name === 'set' || name === 'setVersionstampedValue'))
          count(3 * layout.row(first).length + (second?.length ?? 0) + 81);
        return Reflect.apply(member, target, args);
      };
    },
  });
}

describe('what a change costs', () => {
  const candidate = (n: number, kind: 'plain' | 'deleted' | 'expiring'): Head => ({
    version: makeStamp(1_000 + n, 0, parseInstance(new Uint8Array(8))),
    id: parseWriteId(new Uint8Array(32).fill(n)),
    tombstone: kind === 'deleted',
    expiresAt: kind === 'expiring' ? 5_000 : 0,
    leaf: parseGrantId(new Uint8Array(32).fill(n, 31)), // each byte of zero takes two in the name of a part
    length: 300,
    accepted: makeStamp(1_000 + n, 0, parseInstance(new Uint8Array(8))),
    position: { commit: new Uint8Array(10), place: n },
    record: undefined,
  });

  for (const keyLength of [1, 12, 300, 1_024])
    for (const kind of ['plain', 'deleted', 'expiring'] as const)
      it(`I9: ${kind} candidates of a key of ${keyLength} bytes that go: no less than what FoundationDB counts`, async () => {
        const { store } = await openInstance();
        const layout = new Layout(Buffer.alloc(64, 'p'));
        const before = Array.from({ length: 128 }, (_, n) => candidate(128 - n, kind));
        for (const after of [undefined, before.slice(-1), before.slice(64)]) {
          const change = { key: parseKey(new Uint8Array(keyLength)), before, after };
          let counted = 0;
          await store.transact((tx) => {
            counted = 0;
            return applyChanges(counting(tx, layout, (bytes) => (counted += bytes)), [change], [feedFollower(16), collectionFollower]); // prettier-ignore
          });
          assert.ok(counted <= costOfChange(change), `${counted} of ${costOfChange(change)}`);
          assert.ok(costOfChange(change) < 2 * counted, `${counted} of ${costOfChange(change)}: too few would go at a time`);
        }
      });
});
