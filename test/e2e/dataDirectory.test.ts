import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, describe, it } from 'mocha';
import { realClock } from '../../src/server/real.ts';
import { restricted, seededRandom, withoutWriting } from '../support.ts';
import { openLmdbStore } from '../../src/store/lmdb/store.ts';
import { storeKey, tables } from '../../src/store/keyspace.ts';
import { command } from '../region.ts';
import { b64, errorIn, Scene, serveArgs } from './server.ts';

describe('the data directory', () => {
  let scene = new Scene();
  afterEach(async () => {
    await scene.close();
    scene = new Scene();
  });

  it('held by another process is refused with data_locked, and that process goes on', async () => {
    const first = await scene.server();
    const { code, stderr, stdout } = await scene.run(serveArgs(first.data));
    assert.deepEqual([code, stdout.toString()], [1, '']);
    assert.match(stderr, /^gkvmesh: data_locked: .+/m);
    await first.set('still', 'here');
    assert.equal(await first.read('still'), 'here');
  });

  it('is free again at once after kill -9 of its holder', async () => {
    const first = await scene.server();
    await first.set('kept', 'v');
    await first.crash();
    assert.equal(await (await scene.server(first.data)).read('kept'), 'v');
  });

  it('that may not be written by this user is refused with read_only, whether it is there yet or not', async () => {
    const dir = scene.dir();
    await withoutWriting(dir, async () => {
      for (const data of [join(dir, 'data'), dir]) {
        const { code, stderr } = await scene.run(serveArgs(data), { ...restricted, cwd: '/' });
        assert.equal(code, 1);
        assert.match(stderr, /^gkvmesh: read_only: .+/m);
      }
    });
  });

  it('with a store that may not be written by this user is refused with read_only, and holds what it held', async () => {
    const server = await scene.server();
    await server.set('kept', 'v');
    await server.stop();
    chmodSync(join(server.data, '..'), 0o755);
    await withoutWriting(server.data, async () => {
      const { code, stderr } = await scene.run(serveArgs(server.data), { ...restricted, cwd: '/' });
      assert.equal(code, 1);
      assert.match(stderr, /^gkvmesh: read_only: .+/m);
    });
    assert.equal(await (await scene.server(server.data)).read('kept'), 'v');
  });

  it('on a full disk: writes are answered 507 disk_full, reads go on, and everything acknowledged is there afterwards', async function () {
    this.timeout(120_000);
    const data = join(scene.dir(), 'data');
    const limited = `trap '' XFSZ; ulimit -f 16384; exec "$@"`;
    const server = await scene.wrapped('bash', ['-c', limited, 'bash', process.execPath, command, ...serveArgs(data)], data);
    const value = b64(Buffer.alloc(262_144, 7));
    const acknowledged: string[] = [];
    let full: Awaited<ReturnType<typeof server.post>> | undefined;
    for (let i = 0; i < 200 && full === undefined; i += 1) {
      const answer = await server.post('/data/set', { key: b64(`fill/${i}`), value });
      if (answer.status === 200) acknowledged.push(`fill/${i}`);
      else full = answer;
    }
    assert.ok(full !== undefined, 'the disk became full');
    assert.deepEqual([full.status, errorIn(full).code], [507, 'disk_full'], full.text);
    assert.ok(acknowledged.length > 10);
    assert.equal((await server.get('/livez')).status, 200);
    const listed = async (from: typeof server): Promise<string[]> => {
      const keys: string[] = [];
      for (let start: string | null = b64('fill/'); start !== null;) {
        const page = await from.list({ start, keysOnly: true, limit: 1_000 });
        keys.push(...page.entries.map((entry) => Buffer.from(entry.key, 'base64').toString()));
        start = page.next;
      }
      return keys;
    };
    assert.deepEqual(await listed(server), acknowledged.toSorted());
    const again = await server.post('/data/set', { key: b64('fill/again'), value });
    assert.deepEqual([again.status, errorIn(again).code], [507, 'disk_full']);
    assert.equal((await server.stop()).code, 0);
    const roomy = await scene.server(data);
    assert.deepEqual(await listed(roomy), acknowledged.toSorted());
    await roomy.set('room', 'again');
    assert.equal(await roomy.read('room'), 'again');
  });

  it('of a newer identity format is refused with format_unknown', async () => {
    const server = await scene.server();
    await server.stop();
    const key = storeKey(tables.meta, Buffer.from('identity'));
    const store = await openLmdbStore({ dir: server.data, clock: realClock, random: seededRandom(1) });
    await store.transact(async (tx) => {
      const bytes = Buffer.from((await tx.get(key)) ?? []);
      bytes[0] = 99;
      tx.set(key, bytes);
    });
    await store[Symbol.asyncDispose]();
    const { code, stderr } = await scene.run(serveArgs(server.data));
    assert.equal(code, 1);
    assert.match(stderr, /^gkvmesh: format_unknown: .*99.*newer/m);
  });

  it('of which a file holds garbage is refused, not overwritten', async () => {
    const server = await scene.server();
    await server.stop();
    const file = readdirSync(server.data).find((name) => name.endsWith('.mdb') && !name.includes('lock'));
    assert.ok(file !== undefined, readdirSync(server.data).join());
    writeFileSync(join(server.data, file), Buffer.alloc(65_536, 0x67));
    const { code, stderr } = await scene.run(serveArgs(server.data));
    assert.equal(code, 1);
    assert.match(stderr, /^gkvmesh: (store_unreadable|corrupt|format_unknown): .+/m);
  });

  it('that is a file is refused', async () => {
    const path = join(scene.dir(), 'file');
    writeFileSync(path, 'not a directory');
    const { code, stderr } = await scene.run(serveArgs(path));
    assert.equal(code, 1);
    assert.match(stderr, /^gkvmesh: [a-z_]+: .+/m);
    assert.doesNotMatch(stderr, /internal|at .*\.js:\d+/);
  });

  it('that cannot be made because the system has none there is refused, and not waited for', async () => {
    const { code, stderr } = await scene.run(serveArgs('/proc/gkvmesh/data'));
    assert.equal(code, 1);
    assert.match(stderr, /^gkvmesh: [a-z_]+: \/proc\/gkvmesh\/data cannot be opened: ENOENT: [^\n]+\n$/);
  });

  it('is made, with those above it', async () => {
    const data = join(scene.dir(), 'a', 'b', 'data');
    await scene.server(data);
    assert.ok(existsSync(data));
  });

  it('made for one mesh id is refused with another, and started without one', async () => {
    const id = 'ab'.repeat(32);
    const first = await scene.server(undefined, ['--mesh-id', id]);
    assert.equal(first.meshId, id);
    await first.stop();
    const other = await scene.run([...serveArgs(first.data), '--mesh-id', 'cd'.repeat(32)]);
    assert.equal(other.code, 2);
    assert.match(other.stderr, /^gkvmesh: bad_config: --mesh-id: .*abab/m);
    assert.equal((await scene.server(first.data)).meshId, id);
  });

  it('made with one mesh key is refused with another, and with none', async () => {
    const dir = scene.dir();
    mkdirSync(join(dir, 'keys'));
    const keyFile = (name: string, hex: string): string => {
      const path = join(dir, 'keys', name);
      writeFileSync(path, `${hex}\n`);
      return path;
    };
    const right = keyFile('right', '11'.repeat(32));
    const first = await scene.server(join(dir, 'data'), ['--mesh-key', right]);
    await first.set('kept', 'v');
    await first.stop();
    for (const flags of [['--mesh-key', keyFile('wrong', '22'.repeat(32))], []]) {
      const { code, stderr } = await scene.run([...serveArgs(first.data), ...flags]);
      assert.equal(code, 2);
      assert.match(stderr, /^gkvmesh: bad_config: --mesh-key: /m);
      assert.doesNotMatch(stderr, /1111|2222/, 'no key is shown');
    }
    assert.equal(await (await scene.server(first.data, ['--mesh-key', right])).read('kept'), 'v');
  });

  after(() => scene.close());
});
