import assert from 'node:assert/strict';
import { toHex } from '../../src/core/bytes.ts';
import { hasCode } from '../../src/core/errors.ts';
import { encodeAny, decodeAny, type AnyRecord } from '../../src/grant/anyRecord.ts';
import { standing } from '../../src/grant/authorise.ts';
import { Ledger, readRecordsPage } from '../../src/grant/ledger.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { feedTailKey, storeKey, tables } from '../../src/store/keyspace.ts';
import { type Store } from '../../src/store/store.ts';
import { FakeClock, seededRandom } from '../support.ts';
import { type Signatures } from '../../src/crypto/ed25519.ts';
import { rightsOf } from '../../src/grant/rights.ts';
import { anyOf, Mesh, patternsOf, person, signatures } from './world.ts';

const mesh = new Mesh();
const held = mesh.grant('a');
const given = mesh.given(held, 'a', 'b');
const ended = mesh.revocation(held, 'a');
const all = [mesh.root, held, given, ended].map(anyOf);

function openStore(database = new MemoryDatabase(), seed = 1): Store {
  return openMemoryStore(database, { clock: new FakeClock(), random: seededRandom(seed) });
}

const openLedger = (store: Store): Promise<Ledger> => Ledger.open(store, mesh.id, signatures);

async function codesOf(ledger: Ledger, ...records: AnyRecord[]): Promise<string[]> {
  return (await ledger.take(records)).map((refusal) => refusal?.code ?? 'taken');
}

async function idsIn(store: Store): Promise<string[]> {
  const { records } = await store.read((snapshot) => readRecordsPage(snapshot, 0, 1_000_000));
  return records.map((bytes) => toHex(decodeAny(bytes, mesh.id).record.id));
}

const idsOf = (records: readonly AnyRecord[]): string[] => records.map(({ record }) => toHex(record.id));

describe('T17: the ledger of a store', () => {
  it('keeps what holds, in the order in which it came, over a start, and once', async () => {
    const database = new MemoryDatabase();
    const ledger = await openLedger(openStore(database));
    assert.deepEqual(await codesOf(ledger, ...all), ['taken', 'taken', 'taken', 'taken']);
    assert.deepEqual(
      await codesOf(ledger, ...all, ...all),
      Array.from({ length: 8 }, () => 'taken'),
    );
    const again = await openLedger(openStore(database));
    assert.deepEqual(await idsIn(openStore(database)), idsOf(all));
    assert.deepEqual([again.number, again.lastEnding], [4, 4]);
    const answer = standing(again.known, given.id);
    assert.equal(answer.kind === 'refused' ? answer.refusal.code : answer.kind, 'grant_revoked');
  });

  it('T9: remembers what is refused for good, so what rests on that is refused with its code, in whatever takes and order they come', async () => {
    const top = mesh.grant('a', { patterns: patternsOf('/a/**') });
    const wide = mesh.given(top, 'a', 'b', { patterns: patternsOf('**'), depth: 3, rights: rightsOf(['write', 'delegate']) });
    const below = mesh.given(wide, 'b', 'c', { patterns: patternsOf('/x') });
    const records = [mesh.root, top, wide, below].map(anyOf);
    const refused = ['taken', 'taken', 'grant_wider', 'grant_wider'];
    assert.deepEqual(await codesOf(await openLedger(openStore()), ...records), refused);
    const ledger = await openLedger(openStore());
    const codes: string[] = [];
    for (const record of records) codes.push(...(await codesOf(ledger, record)));
    assert.deepEqual([codes, ledger.known.refused(wide.id)?.code], [refused, 'grant_wider']);
    const inAnyOrder = await (await openLedger(openStore())).takeAll(records.toReversed());
    assert.deepEqual(
      inAnyOrder.map(({ refusal }) => refusal.code),
      ['grant_wider', 'grant_wider'],
    );
  });

  it('opens though its signatures take longer to check than a transaction may', async () => {
    const clock = new FakeClock();
    const store = openMemoryStore(new MemoryDatabase(), { clock, random: seededRandom(1) });
    const grants = Array.from({ length: 400 }, () => anyOf(mesh.grant('a')));
    await (await openLedger(store)).takeAll([anyOf(mesh.root), ...grants]);
    const slow: Signatures = {
      ...signatures,
      verify: (...checked) => {
        clock.ms += 20;
        return signatures.verify(...checked);
      },
    };
    assert.equal((await Ledger.open(store, mesh.id, slow)).number, 401);
  });

  it('adds nothing of what is refused, and what waits for another once that is there', async () => {
    const store = openStore();
    const ledger = await openLedger(store);
    const forged = { ...given, signatures: [{ key: person('a').publicKey, signature: new Uint8Array(64).fill(1) }] };
    assert.deepEqual(await codesOf(ledger, anyOf(given), anyOf(ended), anyOf(mesh.root), anyOf(held), anyOf(forged)), [
      'grant_unknown',
      'grant_unknown',
      'taken',
      'taken',
      'grant_signature',
    ]);
    assert.equal(ledger.known.grant(given.id), undefined, 'the forged one is no grant');
    assert.deepEqual(await idsIn(store), idsOf([mesh.root, held].map(anyOf)));
    assert.deepEqual(await ledger.takeAll([...all].reverse()), []);
    assert.deepEqual((await idsIn(store)).sort(), idsOf(all).sort());
  });

  it('instances that share a store add at the same time and know the same', async () => {
    const database = new MemoryDatabase();
    const ledgers = await Promise.all([1, 2, 3].map((seed) => openLedger(openStore(database, seed))));
    const grants = ledgers.map((_, i) => mesh.grant(`holder ${i}`));
    await Promise.all(ledgers.map((ledger, i) => ledger.take([mesh.root, grants[i]!].map(anyOf))));
    await Promise.all(ledgers.map((ledger) => ledger.refresh()));
    assert.deepEqual((await idsIn(openStore(database))).sort(), idsOf([mesh.root, ...grants].map(anyOf)).sort());
    for (const ledger of ledgers) assert.equal(ledger.known.grants().length, 3);
  });

  it('a transaction that read it is not committed by what was known before', async () => {
    const store = openStore();
    const ledger = await openLedger(store);
    await ledger.take(all.slice(0, 3));
    let runs = 0;
    await store.transact(async (tx) => {
      await ledger.catchUp(tx);
      runs += 1;
      tx.set(Buffer.from('row'), Buffer.from(standing(ledger.known, given.id).kind));
      if (runs === 1) await ledger.take([anyOf(ended)]);
    });
    assert.equal(runs, 2);
    assert.equal(Buffer.from((await store.read((snapshot) => snapshot.get(Buffer.from('row')))) ?? []).toString(), 'refused');
  });

  it('a grant that comes with other signatures is there already; those of others than the root are not kept', async () => {
    const two = new Mesh(['r1', 'r2', 'r3'], 2);
    const store = openStore();
    const ledger = await Ledger.open(store, two.id, signatures);
    const grant = two.grant('a', {}, ['r1', 'r2', 'somebody']);
    const more = { ...grant, signatures: two.grant('a', { nonce: grant.body.nonce }, ['r2', 'r3']).signatures };
    await ledger.take([two.root, grant].map(anyOf));
    await ledger.take([anyOf(two.given(grant, 'a', 'b')), anyOf(more), anyOf(more), anyOf(grant)]);
    assert.equal(ledger.number, 3);
    const names = ledger.known.grant(grant.id)?.signatures.map(({ key }) => toHex(key)) ?? [];
    assert.deepEqual(names.sort(), ['r1', 'r2'].map((name) => toHex(person(name).publicKey)).sort());
    assert.equal((await Ledger.open(store, two.id, signatures)).known.grants().length, 2);
  });

  it('wakes who waits for the feed', async () => {
    const store = openStore();
    const ledger = await openLedger(store);
    const woken = store.watch(feedTailKey, new AbortController().signal);
    await ledger.take(all);
    await woken;
  });

  it('pages go on where the last one ended, and hold one record at least', async () => {
    const store = openStore();
    const ledger = await openLedger(store);
    await ledger.take(all);
    const found: string[] = [];
    for (let number = 0; number < ledger.number;) {
      const page = await store.read((snapshot) => readRecordsPage(snapshot, number, 1));
      assert.equal(page.records.length, 1);
      found.push(...page.records.map((bytes) => toHex(decodeAny(bytes, mesh.id).record.id)));
      number = page.number;
    }
    assert.deepEqual(found, idsOf(all));
    assert.deepEqual(await store.read((snapshot) => readRecordsPage(snapshot, 4, 1)), { records: [], number: 4 });
  });

  it('a record that is gone or damaged in the store is corrupt', async () => {
    for (const damage of [undefined, Buffer.concat([encodeAny(anyOf(held)), Buffer.of(0)]), encodeAny(anyOf(given))]) {
      const store = openStore();
      await (await openLedger(store)).take(all.slice(0, 2));
      await store.transact((tx) => {
        const row = storeKey(tables.record, Buffer.from('0000000000000002', 'hex'));
        if (damage === undefined) tx.clear(row);
        else tx.set(row, damage);
        return Promise.resolve();
      });
      await assert.rejects(openLedger(store), (error) => hasCode(error, 'corrupt'));
    }
  });

  it('T4: bytes that are not exactly one record of a known kind are malformed or too large', () => {
    const bytes = encodeAny(anyOf(held));
    for (const wrong of [Buffer.alloc(0), Buffer.of(3), bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.of(0)])]) {
      assert.throws(
        () => decodeAny(wrong, mesh.id),
        (error) => hasCode(error, 'malformed'),
      );
    }
    assert.throws(
      () => decodeAny(Buffer.alloc(49_153), mesh.id),
      (error) => hasCode(error, 'too_large'),
    );
  });
});
