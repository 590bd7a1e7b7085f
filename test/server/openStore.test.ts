import assert from 'node:assert/strict';
import { mayBeLarge } from '../../src/server/openStore.ts';
import { storeKey, tables } from '../../src/store/keyspace.ts';

describe('rows of a store that is shared', () => {
  it('may be large where they hold a value, or a write that waits for the clock or for its grants', () => {
    const large = Object.values(tables).filter((table) => mayBeLarge(storeKey(table)));
    assert.deepEqual(large, [tables.value, tables.leafValue, tables.parked, tables.unproven]);
  });
});
