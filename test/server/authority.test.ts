import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { RecordFiles, writeRecord } from '../../src/cli/recordFiles.ts';
import { hasCode } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/ports.ts';
import { Ledger } from '../../src/grant/ledger.ts';
import { type Job } from '../../src/replica/jobs.ts';
import { StoreAuthority } from '../../src/server/authority.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { type Store } from '../../src/store/store.ts';
import { anyOf, Mesh, person, signatures } from '../grant/world.ts';
import { FakeClock, seededRandom } from '../support.ts';

describe('T18: what an instance takes from its mesh directory', () => {
  const mesh = new Mesh();
  const settles = { settleAuthority: () => Promise.resolve({ judged: 0, swept: 0, givenUp: new Map<string, number>() }) };
  let folder: string;
  let store: Store;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'gkvmesh-authority-'));
    store = openMemoryStore(new MemoryDatabase(), { clock: new FakeClock(), random: seededRandom(1) });
    writeRecord(folder, anyOf(mesh.root));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  async function open(): Promise<{ authority: StoreAuthority; look: () => Promise<void>; told: string[] }> {
    const told: string[] = [];
    const log = { ...silentLog, warn: ({ err }: { err?: Error }, message: string) => void told.push(`${message}: ${err?.message ?? ''}`) };
    const files = new RecordFiles(folder, mesh.id);
    const granted = { meshId: mesh.id, signer: person('a'), news: () => files.news() };
    const authority = await StoreAuthority.open(store, granted, log, signatures);
    const job = authority.jobs(settles).find(({ name }) => name === 'records') as Job;
    return { authority, told, look: () => job.work(store, new AbortController().signal) };
  }

  it('records that wait for others are tried again, and what other instances have added is read, while a file is wrong, which is told once', async () => {
    const parent = mesh.grant('a');
    const child = mesh.given(parent, 'a', 'b');
    writeRecord(folder, anyOf(child));
    const { authority, look, told } = await open();
    writeFileSync(join(folder, 'x.grant'), 'half');
    await look();
    const other = await Ledger.open(store, mesh.id, signatures);
    await other.take([anyOf(parent)]);
    for (let looks = 0; looks < 3; looks += 1) await look();
    assert.notEqual(authority.ledger.known.grant(parent.id), undefined);
    assert.notEqual(authority.ledger.known.grant(child.id), undefined);
    assert.equal(told.length, 1);
    assert.match(told[0] ?? '', /mesh directory is wrong.*x\.grant/);
  });

  it('a record that is refused for good is told of once', async () => {
    const { look, told } = await open();
    const parent = mesh.grant('a');
    for (const record of [parent, mesh.given(parent, 'b', 'c')]) writeRecord(folder, anyOf(record));
    for (let looks = 0; looks < 3; looks += 1) await look();
    assert.deepEqual(told, ['a record of the mesh directory is refused: ']);
  });

  it('a start does not go by a directory with a file that is wrong', async () => {
    writeFileSync(join(folder, 'x.grant'), 'half');
    await assert.rejects(open(), (error) => hasCode(error, 'malformed') && error.message.includes('x.grant'));
  });
});
