import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { encodeRecords } from '../../src/backup/content.ts';
import { readBackup, verifyBackup } from '../../src/backup/read.ts';
import { hasCode, type ErrorCode } from '../../src/core/errors.ts';
import { makeStamp, parseInstance } from '../../src/core/stamp.ts';
import { type BackupResume } from '../../src/backup/source.ts';
import { type WriteOp } from '../../src/replica/proposal.ts';
import { readIdentity, settleIdentity, type ClusterIdentity } from '../../src/server/identity.ts';
import { renewStore } from '../../src/server/renew.ts';
import { type Store } from '../../src/store/store.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { realClock, realRandom } from '../../src/server/real.ts';
import { key, set } from '../aae/world.ts';
import { joinFrontiers } from '../core/frontiers.ts';
import { until } from '../support.ts';
import { areLevel, mesh, openStore, Region, startMesh } from '../mesh/region.ts';
import { Network } from '../mesh/world.ts';
import { backup, chunksOf, fileOf, records, recordsOf, restore, restoreFrom } from './backup.ts';

function expiring(name: string, value: string): WriteOp {
  return { kind: 'set', key: key(name), value: Buffer.from(value), expiresInMs: 3_600_000, expected: { kind: 'any' } };
}

const hasOne = (code: ErrorCode) => (error: unknown) => hasCode(error, code);

describe('backup and restore', function () {
  this.timeout(120_000);
  const running = new Set<Region>();
  let network = new Network();
  afterEach(async () => {
    await Promise.all([...running].map((region) => region.stop()));
    running.clear();
    network = new Network();
  });

  async function region(database?: MemoryDatabase, port = 1): Promise<Region> {
    const started = await Region.start({ network, port, ...(database === undefined ? {} : { database }) });
    running.add(started);
    return started;
  }

  async function stop(stopped: Region): Promise<void> {
    running.delete(stopped);
    await stopped.stop();
  }

  async function rowsIn(database: MemoryDatabase): Promise<number> {
    await using store = openStore(database);
    return (await store.read((snapshot) => snapshot.range({ start: Uint8Array.of(0), end: Uint8Array.of(0xff) }, { limit: 10_000 })))
      .length;
  }

  async function restored(file: Uint8Array): Promise<MemoryDatabase> {
    const database = new MemoryDatabase();
    await using store = openStore(database);
    await restore(file, store);
    return database;
  }

  it('B1: a round trip keeps every candidate: tombstones, expiring writes, large and empty values, with their accepted stamps', async () => {
    const one = await region();
    await one.set('a', '1');
    await one.set('empty', '');
    await one.set('gone', 'x');
    await one.remove('gone');
    await one.set('large', 'x'.repeat(1_048_576));
    await one.set('inline', 'x'.repeat(200));
    await one.replica.write([expiring('soon', 'x'), set('last', '2')]);
    for (let i = 0; i < 1_500; i += 1)
      if (i % 100 === 0) await one.replica.write(Array.from({ length: 100 }, (_, j) => set(`k${i + j}`, `v${i + j}`)));
    const file = await backup(one);
    const sum = await one.sum();
    const frontier = await one.replica.frontier();
    await stop(one);
    const again = await region(await restored(file));
    assert.equal(await again.sum(), sum);
    assert.equal(await again.read('large'), 'x'.repeat(1_048_576));
    assert.equal(await again.read('gone'), undefined);
    assert.equal(again.own.incarnation, 2);
    assert.equal(again.name, one.name);
    const part = [...frontier.keys()][0] ?? '';
    const claimed = (await again.replica.frontier()).get(part);
    assert(claimed !== undefined, 'what the old incarnation took in is claimed');
    assert.deepEqual(joinFrontiers(new Map([[part, claimed]]), frontier), frontier);
  });

  it('B1: an empty cluster, and one under a new cluster id', async () => {
    const one = await region();
    const file = await backup(one);
    const database = new MemoryDatabase();
    await using store = openStore(database);
    const identity = await restore(file, store, 'new cluster');
    assert.equal(identity.incarnation, 1);
    assert.notDeepEqual(identity.clusterId, one.own.clusterId);
    const again = await region(database, 2);
    assert.equal(await again.sum(), await one.sum());
  });

  it('B2: every flipped byte and every truncation is corrupt, and changes nothing', async () => {
    const one = await region();
    await one.set('a', '1');
    await one.remove('b');
    const file = await backup(one);
    const database = new MemoryDatabase();
    await using store = openStore(database);
    for (let at = 0; at < file.length; at += 1) {
      const flipped = Buffer.from(file);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
      await assert.rejects(restore(flipped, store), hasOne('corrupt'), `byte ${at} flipped`);
      await assert.rejects(restore(file.subarray(0, at), store), hasOne('corrupt'), `cut at ${at}`);
    }
    await assert.rejects(restore(Buffer.concat([file, Buffer.of(0)]), store), hasOne('corrupt'));
    await assert.rejects(restore(Buffer.concat([file, file.subarray(18)]), store), hasOne('corrupt'));
    assert.equal(await rowsIn(database), 0);
    await restore(file, store);
  });

  it('B2: pages that are not in the order of the feed, and records of authority of an open mesh, are corrupt, though their digests fit', async () => {
    const one = await region();
    for (const letter of ['a', 'b']) await one.replica.write(Array.from({ length: 400 }, (_, i) => set(`${letter}${i}`, letter)));
    const [header, first, second, trailer, ...more] = await recordsOf(await backup(one));
    assert.ok(header && first && second && trailer && more.length === 0);
    const ofNone = { kind: 'records', payload: Buffer.from(encodeRecords([])) } as const;
    const verify = (...of: Parameters<typeof fileOf>[0][number][]): Promise<unknown> => verifyBackup(chunksOf(fileOf(of)), () => undefined);
    await verify(header, first, second, trailer);
    await assert.rejects(verify(header, second, first, trailer), hasOne('corrupt'));
    await assert.rejects(verify(header, first, first, trailer), hasOne('corrupt'));
    await assert.rejects(verify(header, ofNone, first, second, trailer), hasOne('corrupt'));
    await assert.rejects(verify(header, first, second, ofNone, trailer), hasOne('corrupt'));
  });

  it('B2: I11: a floor or a frontier from more than 5 s ahead of our clock is refused, and changes nothing', async () => {
    const one = await region();
    await one.set('a', '1');
    const file = await backup(one);
    const ahead = makeStamp(realClock.now() + 60_000, 0, parseInstance(new Uint8Array(8)));
    const verified = await verifyBackup(chunksOf(file), () => undefined);
    const database = new MemoryDatabase();
    await using store = openStore(database);
    const { floor, frontier } = verified.trailer;
    const part = [...frontier.keys()][0] ?? '';
    const claims = [
      { ...verified.trailer, floor: ahead },
      { ...verified.trailer, frontier: new Map([[part, { base: floor, slots: new Map([[1, ahead]]) }]]) },
    ];
    for (const trailer of claims) {
      await assert.rejects(restoreFrom({ ...verified, trailer }, chunksOf(file), store), hasOne('version_future'));
      assert.equal(await rowsIn(database), 0);
    }
    await restoreFrom(verified, chunksOf(file), store);
  });

  it('B3: what was acknowledged before the backup began is in it, with writers at work; so is all that its frontier covers', async () => {
    const one = await region();
    for (let i = 0; i < 20; i += 1) await one.replica.write(Array.from({ length: 100 }, (_, j) => set(`k${i * 100 + j}`, 'before')));
    let isOver = false;
    const accepted: { name: string; stamp: Awaited<ReturnType<Region['set']>> }[] = [];
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      for (let i = 0; !isOver; i += 1) {
        const [name, value] = [`k${(i * 37 + writer * 500) % 2_000}`, `${writer}-${i}`];
        accepted.push({ name, stamp: await one.set(name, value) });
        await new Promise((resolve) => setImmediate(resolve)); // in memory nothing else would get a turn
      }
    });
    await until(() => accepted.length > 100);
    const acknowledged = accepted.length;
    const file = await backup(one);
    isOver = true;
    await Promise.all(writers);
    const { trailer } = await verifyBackup(chunksOf(file), () => undefined);
    const again = await region(await restored(file), 2);
    const held = new Map<string, Buffer>();
    for (const { name, stamp } of accepted.slice(0, acknowledged)) held.set(name, Buffer.from(stamp));
    for (const [name, stamp] of held) {
      const { version } = await again.replica.get(key(name));
      assert(version !== null && Buffer.compare(version, stamp) >= 0, `${name} is older than what was acknowledged`);
    }
    const [slot] = [...trailer.frontier.values()].flatMap(({ slots }) => [...slots.values()]);
    assert(slot !== undefined);
    const covered = accepted.filter(({ stamp }) => Buffer.compare(stamp, slot) <= 0);
    for (const { name, stamp } of covered) {
      const { version } = await again.replica.get(key(name));
      assert(version !== null && Buffer.compare(version, stamp) >= 0, `${name} is covered and missing`);
    }
  });

  it('B4: in a mesh, what came after the backup comes back from peers, no delete is undone, and no exchange finds a defect', async () => {
    const [one, two] = await startMesh(network, 2);
    assert(one !== undefined && two !== undefined);
    for (const each of [one, two]) running.add(each);
    await one.set('kept', '1');
    await one.set('gone', '2');
    await until(() => areLevel([one, two]));
    const file = await backup(one);
    await one.set('later', '3');
    await one.remove('gone');
    await two.set('elsewhere', '4');
    await until(() => areLevel([one, two]));
    await stop(one);
    const again = await region(await restored(file));
    await until(async () => (await again.read('later')) === '3' && (await areLevel([again, two])));
    assert.equal(await again.read('gone'), undefined);
    assert.equal(await two.read('kept'), '1');
    const accepted = await again.set('new', '5');
    assert.equal(await two.replica.waitFor(accepted, 10_000, new AbortController().signal), true);
    assert.equal(again.mesh.faults() + two.mesh.faults(), 0);
    assert.deepEqual(
      (await again.mesh.view()).members.map(({ health }) => health?.defects),
      [0],
    );
  });

  it('B5: it goes on behind its last whole page; not for another store', async () => {
    const one = await region();
    for (let i = 0; i < 12; i += 1) await one.replica.write(Array.from({ length: 200 }, (_, j) => set(`k${i * 200 + j}`, 'v'.repeat(300))));
    const parts: Buffer[] = [];
    let resume: BackupResume | undefined;
    const whole = records(one);
    for await (const part of readBackup(whole)) {
      parts.push(part.record.bytes);
      const { digest } = part.record;
      if (part.kind === 'header') resume = { header: part.header, progress: { pages: 0, writes: 0, digest, position: undefined } };
      else if (part.kind === 'page' && resume !== undefined) {
        const { position, count } = part.page;
        resume = {
          header: resume.header,
          progress: { pages: resume.progress.pages + 1, writes: resume.progress.writes + count, digest, position },
        };
      }
      if (parts.length === 3) break;
    }
    await one.set('k0', 'changed');
    await one.remove('k1');
    for await (const part of records(one, resume)) parts.push(part);
    const sum = await one.sum();
    const again = await region(await restored(Buffer.concat(parts)), 2);
    assert.equal(await again.sum(), sum);
    const other = await region(undefined, 3);
    await assert.rejects(records(other, resume).next(), hasOne('malformed'));
  });

  it('B5: a backup that deletes may have been collected during is below_floor', async () => {
    const one = await region();
    await one.set('a', '1');
    const at = (ms: number): ReturnType<typeof makeStamp> => makeStamp(ms, 0, parseInstance(new Uint8Array(8)));
    const backingUp = records(one, undefined, at(Date.now()));
    await backingUp.next();
    await one.replica.raiseFloor(at(Date.now()));
    const rest = async (): Promise<void> => {
      while ((await backingUp.next()).done !== true);
    };
    await assert.rejects(rest(), hasOne('below_floor'));
  });

  it('B6: only an empty store is restored into, under the right mesh key; a restore that was cut is begun again with the same file alone', async () => {
    const one = await region();
    for (let i = 0; i < 10; i += 1) await one.replica.write(Array.from({ length: 200 }, (_, j) => set(`k${i * 200 + j}`, 'v'.repeat(300))));
    const file = await backup(one);
    const sum = await one.sum();
    await assert.rejects(restore(file, one.store), hasOne('bad_config'));
    const database = new MemoryDatabase();
    {
      await using store = openStore(database);
      const { restoreStore } = await import('../../src/server/restore.ts');
      const verified = await verifyBackup(chunksOf(file), () => undefined);
      const deps = { store, feedPartitions: 1, clock: realClock, random: realRandom, onProgress: () => undefined } as const;
      await assert.rejects(
        restoreStore(verified, chunksOf(file), 'same cluster', { ...deps, meshKey: new Uint8Array(32) }),
        hasOne('bad_config'),
      );
      const cut = chunksOf(file.subarray(0, file.length / 2));
      await assert.rejects(restoreStore(verified, cut, 'same cluster', { ...deps, meshKey: mesh.key }), hasOne('corrupt'));
    }
    assert.equal((await rowsIn(database)) > 200, true);
    await using store = openStore(database);
    await assert.rejects(settleIdentity(store, { kind: 'open', meshId: undefined, meshKey: mesh.key }, realRandom), hasOne('bad_config'));
    await assert.rejects(renewStore(store, realClock), { code: 'bad_config', message: /restore into this store was cut short/ });
    await assert.rejects(restore(await backup(one), store), hasOne('bad_config'));
    await restore(file, store);
    await assert.rejects(restore(file, store), hasOne('bad_config'));
    assert.equal(await (await region(database, 2)).sum(), sum);
  });

  it('B6: of restores of one file at a time one makes the cluster; another that comes to its end later is refused', async () => {
    const one = await region();
    await one.set('a', '1');
    const file = await backup(one);
    const verified = await verifyBackup(chunksOf(file), () => undefined);
    const database = new MemoryDatabase();
    await using store = openStore(database);
    const made: ClusterIdentity[] = [];
    async function* overtaken(): AsyncGenerator<Uint8Array> {
      yield* chunksOf(file);
      made.push(await restoreFrom(verified, chunksOf(file), store, 'new cluster'));
    }
    await assert.rejects(restoreFrom(verified, overtaken(), store, 'new cluster'), hasOne('bad_config'));
    const stored = await store.read(readIdentity);
    assert.deepEqual([stored?.identity], made);
  });

  it('B6: the end of a restore that is run again after it was committed, as where its answer was lost, changes nothing', async () => {
    const one = await region();
    await one.set('a', '1');
    const file = await backup(one);
    await using store = openStore(new MemoryDatabase());
    let again = 0;
    const losing: Store = {
      transact: async (work, options) => {
        const result = await store.transact(work, options);
        if ((await store.read(readIdentity)) === undefined) return result;
        again += 1;
        return store.transact(work, options);
      },
      read: (work) => store.read(work),
      watch: (row, signal) => store.watch(row, signal),
      approximateBytes: (range) => store.approximateBytes(range),
      diskBytes: () => store.diskBytes(),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    const identity = await restore(file, losing, 'new cluster');
    assert.deepEqual([again, (await store.read(readIdentity))?.identity], [1, identity]);
  });
});
