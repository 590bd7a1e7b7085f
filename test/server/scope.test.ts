import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { toHex } from '../../src/core/bytes.ts';
import { hasCode } from '../../src/core/errors.ts';
import { silentLog, type Clock, type Log } from '../../src/core/ports.ts';
import { areEqual, everything, scopeText, type Scope } from '../../src/core/scope.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { Ledger } from '../../src/grant/ledger.ts';
import { scopeOfChain } from '../../src/grant/replicate.ts';
import { rightsOf } from '../../src/grant/rights.ts';
import { grantLease, readLease } from '../../src/replica/leaseRecord.ts';
import { acquireSlot } from '../../src/replica/slot.ts';
import { fixedSlot, type SlotSource } from '../../src/replica/slots.ts';
import { settleScope, slotsWithin } from '../../src/server/scope.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { storeKey, tables } from '../../src/store/keyspace.ts';
import { key, openInstance, remove, set, type Instance } from '../aae/world.ts';
import { anyOf, Mesh, patternsOf, person, signatures } from '../grant/world.ts';
import { FakeClock } from '../support.ts';

const mesh = new Mesh();
const forEver = { notBeforeMs: 0, expiresMs: 2 ** 48 };
const replicates = (...patterns: readonly string[]): Grant =>
  mesh.grant('a', { ...forEver, rights: rightsOf(['replicate']), depth: 0, patterns: patternsOf(...patterns) });
const [writes, eu, us, whole] = [mesh.grant('a', forEver), replicates('/eu/**'), replicates('/us/**'), replicates('**')];
const row = storeKey(tables.meta, Buffer.from('scope'));

/** A start of an instance that knows of these grants; of a shared store, by this clock. */
async function settle({ store }: Pick<Instance, 'store'>, grants: readonly Grant[], shared?: Clock, log: Log = silentLog): Promise<Scope> {
  const ledger = await Ledger.open(store, mesh.id, signatures);
  await ledger.takeAll([mesh.root, writes, ...grants].map(anyOf));
  return settleScope({
    ...{ ledger, signer: person('a'), log },
    opened: { store, isShared: shared !== undefined },
    clock: shared ?? new FakeClock(),
  });
}

const clockOf = (clock: Clock): Omit<Clock, 'sleep'> => ({ now: () => clock.now(), monotonic: () => clock.monotonic() });
const open = (database = new MemoryDatabase()): Promise<Instance> =>
  openInstance({ database, granted: { meshId: mesh.id, records: [mesh.root, writes].map(anyOf), signer: person('a') } });

const slotsOf = ({ store }: Instance, scope: Scope): SlotSource => slotsWithin(fixedSlot(store, 0), store, scope);

describe('T22: what a store is for', () => {
  it('is fixed when it is first started with a grant on some keys, and stays so whatever is given later', async () => {
    const instance = await open();
    assert.ok(areEqual(await settle(instance, [eu]), scopeOfChain([eu])));
    const stored = await instance.store.read((snapshot) => snapshot.get(row));
    const edges = ['/eu', '/eu\0', '/eu/', '/eu0', '@system/peers/', '@system/peers0'];
    const expected = edges.map((edge) => edge.length.toString(16).padStart(4, '0') + toHex(Buffer.from(edge))).join('');
    assert.equal(toHex(stored ?? new Uint8Array(0)), `0103${expected}`);
    for (const later of [[eu], [us], [whole], []]) assert.ok(areEqual(await settle(instance, later), scopeOfChain([eu])));
    await slotsOf(instance, scopeOfChain([eu])).take();
    await assert.rejects(slotsOf(instance, everything).take(), (error) => hasCode(error, 'data_locked'));
  });

  it('is everything where a grant on ** stands, or none to replicate; then no row is written', async () => {
    for (const grants of [[], [whole], [eu, whole]]) {
      const instance = await open();
      assert.equal(await settle(instance, grants), everything);
      assert.equal(await instance.store.read((snapshot) => snapshot.get(row)), undefined);
      await slotsOf(instance, everything).take();
    }
  });

  it('a grant on some keys beside one on ** is passed over, and a warning says so', async () => {
    const more = Array.from({ length: 3 }, (_, i) => mesh.grant('a', { ...whole.body, notBeforeMs: 1 + i }));
    for (const [grants, count] of [
      [[whole], 0],
      [[whole, ...more], 0],
      [[eu], 0],
      [[eu, whole], 1],
      [[eu, whole, ...more], 1],
    ] as const) {
      const warned: object[] = [];
      await settle(await open(), grants, undefined, { ...silentLog, warn: (fields) => warned.push(fields) });
      assert.deepEqual(
        warned,
        Array.from({ length: count }, () => ({ scope: scopeText(scopeOfChain([eu])) })),
      );
    }
  });

  it('is everything, which its grant does not give, where other keys are in it, deleted ones too', async () => {
    for (const name of ['/us/1', '/eu0', '@system/other']) {
      const instance = await open();
      await instance.replica.write([set('/eu/1', 'v'), set(name, 'v')]);
      assert.equal(await settle(instance, [eu]), everything);
      await instance.replica.write([remove(name)]);
      assert.equal(await settle(instance, [eu]), everything);
    }
    const within = await open();
    await within.replica.write([set('/eu/1', 'v'), set('@system/peers/x', '{}')]);
    assert.deepEqual(scopeText(await settle(within, [eu])), ['/eu', '/eu/**', '@system/peers/**']);
  });

  it('on a shared store it is not fixed while another instance serves: data_locked, unless that one has fixed it', async () => {
    const instance = await open();
    const { store } = instance;
    const beat = (n: number): Promise<void> =>
      store.transact((tx) => {
        tx.set(storeKey(tables.leaseBeat, Buffer.from('slot/0')), Buffer.alloc(8, n));
        return Promise.resolve();
      });
    await store.transact(async (tx) => void grantLease(tx, 'slot/0', await readLease(tx, 'slot/0'), new Uint8Array(16).fill(7)));
    await beat(1);
    const meanwhile = (work: () => Promise<unknown>): Clock => ({ ...clockOf(new FakeClock()), sleep: () => work().then(() => undefined) });
    await assert.rejects(settle(instance, [eu], meanwhile(() => beat(2))), (error) => hasCode(error, 'data_locked')); // prettier-ignore
    const other = await open();
    await settle(other, [us]);
    const fixed = (await other.store.read((snapshot) => snapshot.get(row))) ?? new Uint8Array(0);
    const fixes = meanwhile(async () => {
      await beat(3);
      await store.transact((tx) => {
        tx.set(row, fixed);
        return Promise.resolve();
      });
    });
    assert.ok(areEqual(await settle(instance, [eu], fixes), scopeOfChain([us])), 'another has fixed it meanwhile');
  });

  it('an instance that stood still while it was fixed takes nothing in any more', async () => {
    const { store } = await open();
    const slots = slotsWithin(fixedSlot(store, 0), store, everything);
    const late = await openInstance({
      store,
      slots,
      granted: { meshId: mesh.id, records: [mesh.root, writes].map(anyOf), signer: person('a') },
    });
    await late.replica.write([set('/eu/1', 'v')]);
    await settle(late, [eu], new FakeClock());
    await acquireSlot(store, 0); // its lease is another's
    for (let i = 0; i < 3; i += 1) await assert.rejects(late.replica.write([set('/us/1', 'v')]), (error) => hasCode(error, 'unavailable'));
    assert.equal((await late.replica.get(key('/us/1'))).exists, false);
  });

  it('on a shared store an instance whose beat stands still is ended before', async () => {
    const instance = await open();
    const { store } = instance;
    await store.transact(async (tx) => void grantLease(tx, 'slot/0', await readLease(tx, 'slot/0'), new Uint8Array(16).fill(7)));
    assert.ok(areEqual(await settle(instance, [eu], new FakeClock()), scopeOfChain([eu])));
    const { number, holder } = await store.transact((tx) => readLease(tx, 'slot/0'));
    assert.deepEqual([number, toHex(holder)], [2, '00'.repeat(16)]);
  });
});
