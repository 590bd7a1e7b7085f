import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { fixedSlot } from '../../src/replica/slots.ts';
import { loadDriver, openDatabase } from '../../src/store/fdb/driver.ts';
import { Layout } from '../../src/store/fdb/layout.ts';
import { key, openInstance } from '../aae/world.ts';
import { clusterFile, freshPrefix, openTestStore, testCluster } from './cluster.ts';

if (testCluster !== undefined) {
  describe('large values on FoundationDB', () => {
    const value = (bytes: number): Buffer => Buffer.alloc(bytes, bytes % 251);

    it('F2: read back whole, whatever lay there before, and leave no parts behind', async () => {
      const prefix = freshPrefix();
      await using store = await openTestStore(prefix);
      const { replica } = await openInstance({ store, slots: fixedSlot(store, 0) });
      const parts = async (): Promise<number> => {
        const database = openDatabase(await loadDriver(), clusterFile());
        const { start, end } = new Layout(prefix).partsIn({ start: Buffer.of(0), end: Buffer.of(0xff) });
        const found = await database.doTn((tn) => tn.getRangeAll(start, end));
        database.close();
        return found.length;
      };
      for (const [bytes, expected] of [
        [1_048_576, 11],
        [300, 0],
        [200_000, 2],
        [10, 0], // part of the head
        [500_000, 5],
        [100_000, 1],
        [89_997, 0], // with the signature block's three bytes: a first part that is full
        [89_996, 0],
        [400_000, 4],
      ] as const) {
        await replica.write([{ kind: 'set', key: key('k'), value: value(bytes), expiresInMs: undefined, expected: { kind: 'any' } }]);
        const read = await replica.get(key('k'));
        assert(value(bytes).equals(read.value), `${bytes}`);
        assert.equal(await parts(), expected, `parts of ${bytes}`);
      }
      await replica.write([{ kind: 'delete', key: key('k'), expected: { kind: 'any' } }]);
      assert.equal(await parts(), 0);
      assert.equal((await replica.get(key('k'))).exists, false);
    });
  });
}
