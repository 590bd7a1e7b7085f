import assert from 'node:assert/strict';
import { toHex } from '../../src/core/bytes.ts';
import { decodeEntry } from '../../src/core/entry.ts';
import { allKeys } from '../../src/core/key.ts';
import { addInto, zeroSum, type Sum } from '../../src/core/sum.ts';
import { type MeshDigests } from '../../src/crypto/mesh.ts';
import { readTreeState } from '../../src/aae/records.ts';
import { entrySum } from '../../src/aae/sums.ts';
import { keyWithin, tableKeys, tableRange, tables } from '../../src/store/keyspace.ts';
import { scanned } from '../store/scanned.ts';
import { type Snapshot, type Store } from '../../src/store/store.ts';

/** Every stored bound and sum, as `level:key → sum`, levels 1 to the highest active one; a bound without a sum shows as such. */
async function storedTree(snapshot: Snapshot, active: number): Promise<Map<string, string>> {
  const tree = new Map<string, string>();
  for (let level = 1; level <= active; level += 1) {
    for await (const row of scanned(snapshot, tableKeys(tables.bound, allKeys, Uint8Array.of(level)))) {
      tree.set(`${level}:${toHex(keyWithin(row.key, 1))}`, 'no sum');
    }
    for await (const row of scanned(snapshot, tableKeys(tables.sum, allKeys, Uint8Array.of(level)))) {
      const name = `${level}:${toHex(keyWithin(row.key, 1))}`;
      tree.set(name, tree.has(name) ? toHex(row.value) : `no bound, ${toHex(row.value)}`);
    }
  }
  return tree;
}

/** What the tree should be: worked out from the heads alone, one key at a time. */
async function rebuiltTree(snapshot: Snapshot, digests: MeshDigests, active: number): Promise<Map<string, string>> {
  const tree = new Map<string, string>();
  for (let level = 1; level <= active; level += 1) {
    let sum: Sum = zeroSum();
    let name = `${level}:`;
    for await (const row of scanned(snapshot, tableRange(tables.head))) {
      const key = keyWithin(row.key);
      if (digests.boundLevel(key) >= level) {
        tree.set(name, toHex(sum));
        sum = zeroSum();
        name = `${level}:${toHex(key)}`;
      }
      addInto(sum, entrySum(decodeEntry(row.value), digests));
    }
    tree.set(name, toHex(sum));
  }
  return tree;
}

/** I5: the tree is the rebuilt tree. */
export async function assertTree(store: Store, digests: MeshDigests): Promise<void> {
  await store.read(async (snapshot) => {
    const { active } = await readTreeState(snapshot);
    assert.deepEqual(await storedTree(snapshot, active), await rebuiltTree(snapshot, digests, active));
  });
}
