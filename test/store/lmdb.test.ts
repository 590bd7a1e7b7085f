import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLmdbStore } from '../../src/store/lmdb/store.ts';
import { describeTransactionTime } from './optimisticSuite.ts';
import { seededRandom, TestClock } from '../support.ts';
import { describeStore } from './suite.ts';

async function openTemporary() {
  const dir = mkdtempSync(join(tmpdir(), 'gkvmesh-lmdb.')); // what lmdb-js would take for a file
  const clock = new TestClock();
  const store = await openLmdbStore({ dir, clock, random: seededRandom(1) });
  const close = async (): Promise<void> => {
    await store[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true });
  };
  return { store, other: store, clock, [Symbol.asyncDispose]: close };
}

describeStore('lmdb', openTemporary);
describeTransactionTime('lmdb', openTemporary);
