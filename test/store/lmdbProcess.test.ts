/** What takes a process of its own to show: crashes, locks, file permissions, a full disk. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLmdbStore } from '../../src/store/lmdb/store.ts';
import { scanned } from './scanned.ts';
import { type Store } from '../../src/store/store.ts';
import { Child } from './child.ts';
import { restricted, seededRandom, TestClock, withoutWriting } from '../support.ts';
import { bytes, getText, put, rejectsWith, span, text } from './suite/stores.ts';

describe('Li22: store: lmdb and the machine', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'gkvmesh-lmdb-'));
  });
  afterEach(() => {
    rmSync(dir, { recursive: true });
  });

  const open = (): Promise<Store> => openLmdbStore({ dir, clock: new TestClock(), random: seededRandom(1) });

  it('C2: L4: keeps what was acknowledged, and each transaction whole, when the process is killed', async () => {
    const acknowledged = new Set<string>();
    for (let round = 0; round < 6; round += 1) {
      const child = new Child('write', dir);
      assert.equal(await child.line(), 'open');
      for (let lines = 0; lines < 40 + round * 97; lines += 1) acknowledged.add((await child.line())!);
      await child.kill();
      for (const line of await child.rest()) acknowledged.add(line);

      const store = await open();
      const [left, right, log] = await Promise.all([idsUnder(store, 'left/'), idsUnder(store, 'right/'), valuesUnder(store, 'log/')]);
      const stored = new Set(left);
      for (const id of acknowledged) assert(stored.has(id), `${id} was acknowledged and is gone`);
      assert.deepEqual(left, right);
      assert.deepEqual(new Set(log), stored);
      assert.equal(log.length, stored.size);
      const count = await store.read((snapshot) => snapshot.get(bytes('count')));
      assert.equal(Buffer.from(count!).readUInt32LE(), stored.size);
      await store[Symbol.asyncDispose]();
    }
  }).timeout(120_000);

  it('L8: refuses a directory that another process has, until that one is gone', async () => {
    const holder = new Child('hold', dir);
    assert.equal(await holder.line(), 'open');
    await rejectsWith(open(), 'data_locked');
    const second = new Child('hold', dir);
    assert.equal(await second.line(), 'data_locked');
    await second.finish();
    await holder.kill();
    const store = await open();
    await rejectsWith(open(), 'data_locked');
    await store[Symbol.asyncDispose]();
    const again = await open();
    await again[Symbol.asyncDispose]();
  }).timeout(30_000);

  it('L8: locks by a socket where there is no flock program', async () => {
    const through = ['env', 'PATH=/nonexistent'];
    const holder = new Child('hold', dir, { through });
    assert.equal(await holder.line(), 'open');
    const second = new Child('hold', dir, { through });
    assert.equal(await second.line(), 'data_locked');
    await second.finish();
    await holder.kill();
    const third = new Child('hold', dir, { through });
    assert.equal(await third.line(), 'open');
    await third.finish();
  }).timeout(30_000);

  it('L9: refuses a directory that it may not write, with read_only', async () => {
    const store = await open();
    await store[Symbol.asyncDispose]();
    await withoutWriting(dir, async () => {
      const child = new Child('hold', dir, restricted);
      assert.equal(await child.line(), 'read_only');
      await child.finish();
    });
  }).timeout(30_000);

  it('L10: rejects with disk_full, goes on reading, and writes again when there is room', async () => {
    const child = new Child('fill', dir, { through: ['bash', '-c', 'ulimit -S -f 4096; exec "$@"', '-'] });
    assert.equal(await child.line(), 'open');
    assert.equal(await child.line(), 'full disk_full');
    assert.equal(await child.line(), 'kept true');
    spawnSync('prlimit', ['--pid', String(child.pid), '--fsize=unlimited:unlimited']);
    child.tell('there is room');
    assert.equal(await child.line(), 'stored again');
    await child.finish();
    const store = await open();
    assert.equal((await getText(store, 'after'))?.length, 50_000);
    await store[Symbol.asyncDispose]();
  }).timeout(30_000);

  it('L12: refuses a newer format, and one that it does not know', async () => {
    const store = await open();
    await put(store, { a: '1' });
    await store[Symbol.asyncDispose]();
    assert.equal(readFileSync(join(dir, 'format'), 'utf8'), '1\n');
    writeFileSync(join(dir, 'format'), '2\n');
    await rejectsWith(open(), 'format_unknown');
    rmSync(join(dir, 'format'));
    await rejectsWith(open(), 'format_unknown');
    writeFileSync(join(dir, 'format'), '1\n');
    const again = await open();
    assert.equal(await getText(again, 'a'), '1');
    await again[Symbol.asyncDispose]();
  });

  it('L12: refuses a file that is not a store, or cut off, with corrupt', async () => {
    const store = await open();
    await put(store, Object.fromEntries(Array.from({ length: 1_000 }, (_, at) => [`k${at}`, 'x'.repeat(1_000)])));
    await store[Symbol.asyncDispose]();
    truncateSync(join(dir, 'data.mdb'), 40_960);
    await rejectsWith(open(), 'corrupt');
    writeFileSync(join(dir, 'data.mdb'), Buffer.alloc(100_000, 7));
    await rejectsWith(open(), 'corrupt');
  });
});

async function valuesUnder(store: Store, prefix: string): Promise<string[]> {
  return rowsUnder(store, prefix, ({ value }) => text(value)!);
}

async function idsUnder(store: Store, prefix: string): Promise<string[]> {
  return rowsUnder(store, prefix, ({ key }) => text(key)!.slice(prefix.length));
}

function rowsUnder(store: Store, prefix: string, pick: (row: { key: Uint8Array; value: Uint8Array }) => string): Promise<string[]> {
  return store.read(async (snapshot) => {
    const all: string[] = [];
    for await (const row of scanned(snapshot, span(prefix, `${prefix}~`))) all.push(pick(row));
    return all;
  });
}
