import assert from 'node:assert/strict';
import { toHex } from '../../src/core/bytes.ts';
import { hasCode, type ErrorCode } from '../../src/core/errors.ts';
import { openMesh } from '../../src/crypto/mesh.ts';
import { sha256 } from '../../src/crypto/digest.ts';
import { uuidText } from '../../src/core/uuid.ts';
import { isBeingFilled } from '../../src/server/joining.ts';
import { settleIdentity } from '../../src/server/identity.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { storeKey, tables } from '../../src/store/keyspace.ts';
import { type Store } from '../../src/store/store.ts';
import { FakeClock, seededRandom } from '../support.ts';

const row = storeKey(tables.meta, Buffer.from('identity'));
const unnamed = { kind: 'open', meshId: undefined, meshKey: undefined } as const;
const own = { kind: 'open' as const, meshId: Buffer.alloc(32, 3), meshKey: Buffer.alloc(32, 4) };
const other = Buffer.alloc(32, 5);

function openStore(database = new MemoryDatabase()): Store {
  return openMemoryStore(database, { clock: new FakeClock(), random: seededRandom(1) });
}

async function storedHex(store: Store): Promise<string> {
  return toHex((await store.read((snapshot) => snapshot.get(row))) ?? new Uint8Array(0));
}

function refusal(code: ErrorCode, message: RegExp): (error: unknown) => boolean {
  return (error) => hasCode(error, code) && message.test(error.message);
}

describe('identity of a cluster', () => {
  it('is made at the first start: a random UUID, incarnation 1, and the public mesh where none is named', async () => {
    const { clusterId, ...rest } = await settleIdentity(openStore(), unnamed, seededRandom(1));
    assert.match(uuidText(clusterId), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.deepEqual(rest, { incarnation: 1, meshId: openMesh.id, meshKey: openMesh.key, kind: 'open' });
    const another = await settleIdentity(openStore(), unnamed, seededRandom(2));
    assert.notDeepEqual(another.clusterId, clusterId);
  });

  it('is stored as format, cluster id, incarnation, mesh id and the digest of the mesh key, and never the key', async () => {
    const store = openStore();
    const { clusterId } = await settleIdentity(store, own, seededRandom(1));
    assert.equal(await storedHex(store), `01${toHex(clusterId)}${'0'.repeat(15)}1${toHex(own.meshId)}${toHex(sha256(own.meshKey))}`);
  });

  it('is the same at every start after the first, whether its mesh is named again or not', async () => {
    const store = openStore();
    const first = await settleIdentity(store, own, seededRandom(1));
    const bytes = await storedHex(store);
    const { meshKey } = own;
    for (const wanted of [own, { ...own, meshId: undefined, meshKey }]) {
      assert.deepEqual(await settleIdentity(store, wanted, seededRandom(2)), first);
    }
    assert.equal(await storedHex(store), bytes);
  });

  it('M17: is made together with the mark that it is to be filled, and no later start makes that', async () => {
    const store = openStore();
    await settleIdentity(store, own, seededRandom(1), { host: 'donor', port: 1 });
    assert.equal(await isBeingFilled(store), true);
    const served = openStore();
    await settleIdentity(served, own, seededRandom(1));
    await settleIdentity(served, own, seededRandom(1), { host: 'donor', port: 1 });
    assert.equal(await isBeingFilled(served), false);
  });

  it('is one, for instances that start on an empty store at once', async () => {
    const database = new MemoryDatabase();
    const settled = await Promise.all([1, 2, 3].map((seed) => settleIdentity(openStore(database), own, seededRandom(seed))));
    assert.equal(new Set(settled.map(({ clusterId }) => toHex(clusterId))).size, 1);
  });

  it('refuses another mesh id with bad_config, and names the one that it has', async () => {
    const store = openStore();
    await settleIdentity(store, own, seededRandom(1));
    const wanted = { ...own, meshId: other };
    await assert.rejects(
      settleIdentity(store, wanted, seededRandom(1)),
      refusal('bad_config', new RegExp(`mesh-id.* ${toHex(own.meshId)}`)),
    );
  });

  it('refuses another mesh key, or none where it has its own, with bad_config, and shows neither', async () => {
    const store = openStore();
    await settleIdentity(store, own, seededRandom(1));
    for (const meshKey of [other, undefined]) {
      await assert.rejects(
        settleIdentity(store, { ...own, meshKey }, seededRandom(1)),
        refusal('bad_config', /^--mesh-key: (?!.*0[45]0[45])/),
      );
    }
  });

  it('T18: is of an open mesh or of a granted one, for good: it is never started as the other', async () => {
    for (const [kind, other, format] of [
      ['open', 'granted', '01'],
      ['granted', 'open', '02'],
    ] as const) {
      const store = openStore();
      const first = await settleIdentity(store, { ...own, kind }, seededRandom(1));
      assert.equal((await storedHex(store)).slice(0, 2), format);
      await assert.rejects(
        settleIdentity(store, { ...own, kind: other }, seededRandom(1)),
        refusal('bad_config', new RegExp(` ${kind} mesh`)),
      );
      assert.deepEqual(await settleIdentity(store, { ...own, kind }, seededRandom(2)), first);
    }
  });

  it('of a newer format is refused with format_unknown; one that is cut or goes on behind its end, as malformed', async () => {
    const store = openStore();
    await settleIdentity(store, own, seededRandom(1));
    const good = Buffer.from(await storedHex(store), 'hex');
    const cases: readonly [Uint8Array, ErrorCode][] = [
      [Buffer.concat([Buffer.of(3), good.subarray(1)]), 'format_unknown'],
      [good.subarray(0, good.length - 1), 'malformed'],
      [Buffer.concat([good, Buffer.of(0)]), 'malformed'],
    ];
    for (const [bytes, code] of cases) {
      await store.transact((tx) => {
        tx.set(row, bytes);
        return Promise.resolve();
      });
      await assert.rejects(settleIdentity(store, own, seededRandom(1)), refusal(code, /identity/));
    }
  });
});
