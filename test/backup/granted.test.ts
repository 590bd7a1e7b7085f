import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { readBackup } from '../../src/backup/read.ts';
import { type RawRecord } from '../../src/backup/record.ts';
import { hasCode } from '../../src/core/errors.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { key, set } from '../aae/world.ts';
import { anyOf, Mesh, patternsOf, person } from '../grant/world.ts';
import { openStore, Region } from '../mesh/region.ts';
import { Network } from '../mesh/world.ts';
import { until } from '../support.ts';
import { backup, chunksOf, fileOf, recordsOf, restore } from './backup.ts';

const mesh = new Mesh();
const held = mesh.grant('a', { notBeforeMs: 0, expiresMs: 2 ** 48 });
const french = mesh.given(held, 'a', 'writer', { patterns: patternsOf('/cities/FR/**') });

describe('backups of a granted mesh', () => {
  const running = new Set<Region>();
  afterEach(async () => {
    await Promise.all([...running].map((region) => region.stop()));
    running.clear();
  });

  async function region(signer: string, database = new MemoryDatabase(), records = [mesh.root, held, french]): Promise<Region> {
    const granted = { meshId: mesh.id, records: records.map(anyOf), signer: person(signer) };
    const started = await Region.start({ network: new Network(), port: 1, database, granted });
    running.add(started);
    return started;
  }

  it('B8: hold the records that their writes rest on ahead of them, and a restored cluster knows and is the same', async () => {
    const one = await region('a');
    await one.replica.write([...Array.from({ length: 80 }, (_, i) => set(`k${i}`, 'v'.repeat(i * 5))), set('large', 'x'.repeat(5_000))]);
    await one.remove('k1');
    const file = await backup(one);
    const sum = await one.sum();
    assert.deepEqual(new Set((await recordsOf(file)).map(({ kind }) => kind)), new Set(['header', 'records', 'page', 'trailer']));
    const database = new MemoryDatabase();
    const store = openStore(database);
    const identity = await restore(file, store);
    await store[Symbol.asyncDispose]();
    assert.deepEqual([identity.kind, identity.incarnation], ['granted', 2]);
    const again = await region('a', database, []);
    assert.equal(await again.sum(), sum);
    assert.deepEqual([await again.read('large'), await again.read('k1')], ['x'.repeat(5_000), undefined]);
    assert.equal(again.cluster.ledger?.known.grants().length, 2);
    await again.set('k1', 'written on');
    assert.equal(await again.read('k1'), 'written on');
  });

  it('B8: I4: without their records, or with them behind the writes, a restore is corrupt, and begins no cluster', async () => {
    const one = await region('a');
    await one.set('k', 'v');
    const all = await recordsOf(await backup(one));
    const ofKind = (...kinds: RawRecord['kind'][]): RawRecord[] => all.filter(({ kind }) => kinds.includes(kind));
    for (const wrong of [
      ofKind('header', 'page', 'trailer'),
      [...ofKind('header'), ...ofKind('page'), ...ofKind('records'), ...ofKind('trailer')],
    ]) {
      await using store = openStore(new MemoryDatabase());
      await assert.rejects(restore(fileOf(wrong), store), (error) => hasCode(error, 'corrupt'));
    }
  });

  it('B8: I4: a value that is changed in the file, with digests that fit, is corrupt', async () => {
    const one = await region('a');
    await one.set('k', 'genuine');
    await one.set('other', 'genuine');
    const changed = (await recordsOf(await backup(one))).map((record) => {
      const payload = Buffer.from(record.payload);
      const at = payload.indexOf('genuine');
      if (record.kind === 'page') payload.write('changed', at);
      return { ...record, payload };
    });
    await using store = openStore(new MemoryDatabase());
    await assert.rejects(restore(fileOf(changed), store), (error) => hasCode(error, 'corrupt'));
  });

  it('B8: K9: what was revoked before the backup stays revoked, whatever its writes', async () => {
    const one = await region('writer');
    await one.set('/cities/FR/1', 'v');
    const before = await backup(one);
    await one.cluster.ledger?.take([anyOf(mesh.revocation(french, 'a'))]);
    await until(async () => (await one.replica.candidates(key('/cities/FR/1'))).length === 0);
    const after = await backup(one);
    // The writes of before behind the records of after.
    const [header, ...rest] = await recordsOf(after);
    const pages = (await recordsOf(before)).filter(({ kind }) => kind === 'page');
    const trailer = (await recordsOf(before)).filter(({ kind }) => kind === 'trailer');
    const file = fileOf([header!, ...rest.filter(({ kind }) => kind === 'records'), ...pages, ...trailer]);
    const database = new MemoryDatabase();
    const store = openStore(database);
    await restore(file, store);
    await store[Symbol.asyncDispose]();
    const again = await region('writer', database);
    assert.deepEqual(await again.replica.candidates(key('/cities/FR/1')), []);
    await assert.rejects(again.set('/cities/FR/1', 'again'), (error) => hasCode(error, 'grant_revoked'));
  });

  it('B8: the header of an open mesh has no byte for its kind, and one of a granted mesh has one', async () => {
    const open = await Region.start({ network: new Network(), port: 1 });
    running.add(open);
    const granted = await region('a');
    const lengths: number[] = [];
    for (const each of [open, granted]) {
      for await (const part of readBackup(chunksOf(await backup(each))))
        if (part.kind === 'header') lengths.push(part.record.payload.length);
    }
    assert.deepEqual(lengths, [128, 129]);
  });
});
