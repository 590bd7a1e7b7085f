import assert from 'node:assert/strict';
import { MemoryDatabase } from '../../../src/store/memory/database.ts';
import { openMemoryStore } from '../../../src/store/memory/store.ts';
import { type Store } from '../../../src/store/store.ts';
import { FakeClock, seededRandom } from '../../support.ts';
import { copyOf, restore } from './database.ts';

function open(database: MemoryDatabase): Store {
  return openMemoryStore(database, { clock: new FakeClock(), random: seededRandom(1) });
}

async function stamp(store: Store): Promise<void> {
  await store.transact((tx) => {
    tx.setVersionstampedKey(Buffer.from('s'), new Uint8Array(0), Buffer.from('v'));
    return Promise.resolve();
  });
}

const all = { start: Buffer.of(0), end: Buffer.of(255) };

describe('simulation: copies of databases', () => {
  it('a copy holds what was there, is apart from then on, and stamps above it', async () => {
    const [database, restored] = [new MemoryDatabase(), new MemoryDatabase()];
    for (let i = 0; i < 3; i += 1) await stamp(open(database));
    const copy = copyOf(database);
    await stamp(open(database));
    restore(restored, copy);
    assert.deepEqual(copyOf(restored), copy);
    await stamp(open(restored));
    const rows = await open(restored).read((snapshot) => snapshot.range(all, { limit: 10 }));
    assert.equal(rows.length, 4);
    assert.deepEqual(rows.slice(0, 3), copy.rows);
    assert.equal(copyOf(database).rows.length, 4);
  });

  it('an empty one too', () => {
    const restored = new MemoryDatabase();
    restore(restored, copyOf(new MemoryDatabase()));
    assert.deepEqual(copyOf(restored), { version: 0, rows: [] });
  });
});
