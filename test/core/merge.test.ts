import assert from 'node:assert/strict';
import fc from 'fast-check';
import { mergeHead, visibleHead, type Entry, type Head } from '../../src/core/entry.ts';
import { compareStamps, makeStamp, parseInstance } from '../../src/core/stamp.ts';
import { compareWrites, grantZero, parseGrantId, parseWriteId } from '../../src/core/write.ts';
import { fewStamps } from './arbitraries.ts';

const grants = [grantZero, parseGrantId(new Uint8Array(32).fill(1)), parseGrantId(new Uint8Array(32).fill(2))];

/** Writes of one key; as in a mesh, equal ids mean equal statements. */
const heads: fc.Arbitrary<Head> = fc
  .record({ version: fewStamps, leaf: fc.constantFrom(...grants), salt: fc.nat(2) })
  .map(({ version, leaf, salt }) => {
    const id = Buffer.alloc(32, salt);
    id.set(version, 8);
    id.set(leaf.subarray(0, 4), 28);
    const rest = { expiresAt: 0, leaf, length: 1, accepted: version, position: undefined, record: undefined };
    return { version, id: parseWriteId(id), tombstone: salt === 0, ...rest };
  });
const histories = fc.array(heads, { maxLength: 12 });

function mergeAll(list: readonly Head[], from?: Entry): Entry | undefined {
  return list.reduce<Entry | undefined>((entry, head) => {
    const merged = mergeHead(entry, head);
    return merged.kind === 'applied' ? merged.entry : entry;
  }, from);
}

describe('merge', () => {
  it('C9: merge commutes: the order of arrival does not matter', () => {
    fc.assert(
      fc.property(
        histories.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))),
        ([list, shuffled]) => {
          assert.deepEqual(mergeAll(shuffled), mergeAll(list));
        },
      ),
    );
  });

  it('C9: merge associates: what two clusters gathered apart merges to what one gathers', () => {
    fc.assert(
      fc.property(histories, histories, histories, (a, b, c) => {
        const whole = mergeAll([...a, ...b, ...c]);
        const bc = mergeAll(c, mergeAll(b)) ?? [];
        const ab = mergeAll(mergeAll(b) ?? [], mergeAll(a));
        assert.deepEqual(mergeAll(bc, mergeAll(a)), whole);
        assert.deepEqual(mergeAll(mergeAll(c) ?? [], ab), whole);
      }),
    );
  });

  it('G13: C9: merge is idempotent: a write that was taken in is a duplicate or dominated ever after', () => {
    fc.assert(
      fc.property(histories, histories, (list, more) => {
        const entry = mergeAll([...list, ...more]);
        for (const head of list) {
          const again = mergeHead(entry, head);
          assert.notEqual(again.kind, 'applied');
          assert.equal(
            again.kind === 'duplicate',
            entry?.some((kept) => compareWrites(kept, head) === 0 && kept.leaf === head.leaf),
          );
        }
        assert.deepEqual(mergeAll(list, entry), entry);
      }),
    );
  });

  it('G13: C9: per leaf the greatest write stays, and the entry is sorted, greatest first', () => {
    fc.assert(
      fc.property(fc.array(heads, { minLength: 1, maxLength: 12 }), (list) => {
        const entry = mergeAll(list) ?? [];
        for (const leaf of grants) {
          const greatest = list
            .filter((head) => head.leaf === leaf)
            .sort(compareWrites)
            .at(-1);
          assert.deepEqual(entry.find((head) => head.leaf === leaf)?.id, greatest?.id);
        }
        for (const [i, head] of entry.slice(1).entries()) assert.ok(compareWrites(entry[i] ?? head, head) > 0);
      }),
    );
  });

  it('C9: what is replaced is the lesser write of the same leaf', () => {
    fc.assert(
      fc.property(histories, heads, (list, head) => {
        const before = mergeAll(list);
        const merged = mergeHead(before, head);
        if (merged.kind === 'applied') assert.deepEqual(merged.replaced, before?.filter((kept) => kept.leaf === head.leaf) ?? []);
        if (merged.kind === 'dominated') assert.ok(compareWrites(merged.by, head) > 0);
      }),
    );
  });

  it('G12: the order between writes is total: by version, then by id, bytewise', () => {
    fc.assert(
      fc.property(heads, heads, heads, (a, b, c) => {
        assert.equal(Math.sign(compareWrites(a, b)) + Math.sign(compareWrites(b, a)), 0);
        if (compareWrites(a, b) <= 0 && compareWrites(b, c) <= 0) assert.ok(compareWrites(a, c) <= 0);
        if (compareWrites(a, b) === 0) assert.deepEqual(a.id, b.id);
        assert.equal(Math.sign(compareWrites(a, b)), compareStamps(a.version, b.version) || Buffer.compare(a.id, b.id));
      }),
    );
  });
});

describe('visible head', () => {
  const stampAt = (ms: number): Head['version'] => makeStamp(ms, 0, parseInstance(new Uint8Array(8)));
  const head = (ms: number, more: Partial<Head>): Head => ({
    ...{ version: stampAt(ms), id: parseWriteId(new Uint8Array(32)), tombstone: false, expiresAt: 0, leaf: grantZero, length: 1 },
    ...{ accepted: stampAt(ms), position: undefined, record: undefined },
    ...more,
  });

  it('G3: C10: is the greatest, unless that is a tombstone or has expired; a lesser one never shows', () => {
    const lesser = head(1, { leaf: grants[1] ?? grantZero });
    assert.equal(visibleHead(undefined, 0), undefined);
    const greatest = head(2, {});
    assert.equal(visibleHead([greatest, lesser], 10), greatest);
    assert.equal(visibleHead([head(2, { tombstone: true }), lesser], 10), undefined);
    const expiring = head(2, { expiresAt: 10 });
    assert.equal(visibleHead([expiring, lesser], 9), expiring);
    assert.equal(visibleHead([expiring, lesser], 10), undefined, 'expired from its very millisecond on');
  });
});
