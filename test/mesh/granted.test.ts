import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { decodeEntry, encodeEntry } from '../../src/core/entry.ts';
import { hasCode, type GkvError } from '../../src/core/errors.ts';
import { clusterPartOf } from '../../src/core/frontier.ts';
import { uuidText } from '../../src/core/uuid.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { type Revocation } from '../../src/grant/revocation.ts';
import { rightsOf } from '../../src/grant/rights.ts';
import { partOf } from '../../src/mesh/words.ts';
import { headKey } from '../../src/replica/change.ts';
import { setLapsed } from '../../src/replica/lapsed.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { assertTree } from '../aae/oracle.ts';
import { key, remove, set } from '../aae/world.ts';
import { anyOf, Mesh, patternsOf, person } from '../grant/world.ts';
import { until } from '../support.ts';
import { memberOp, Network, openCluster, untilEqual, type Cluster } from './world.ts';

const mesh = new Mesh();
const forEver = { notBeforeMs: 0, expiresMs: 2 ** 48 };
const held = mesh.grant('a', forEver);
/** Beside what each may write: that it may send and be sent everything. */
const replicates = (name: string): Grant => mesh.grant(name, { ...forEver, rights: rightsOf(['replicate']), depth: 0 });
const [replicatesA, replicatesB] = [replicates('a'), replicates('writer')];
const french = mesh.given(held, 'a', 'writer', { patterns: patternsOf('/cities/FR/**', '@system/**') });

interface GrantedWorld extends AsyncDisposable {
  readonly network: Network;
  readonly a: Cluster;
  readonly b: Cluster;
}

/** Region a, which may do everything, and b, whose key is confined. Only a is told of grants, but for the root and b's own chain. */
async function openTwo(more: Partial<Parameters<typeof openCluster>[2]> = {}): Promise<GrantedWorld> {
  const network = new Network();
  const records = [mesh.root, held, french, replicatesA, replicatesB].map(anyOf);
  const open = (n: number, signer: string): Promise<Cluster> =>
    openCluster(network, n, { jobs: 'run', granted: { meshId: mesh.id, records, signer: person(signer) }, ...more });
  const [a, b] = [await open(1, 'a'), await open(2, 'writer')];
  for (const { replica } of [a, b]) await replica.write([memberOp(a), memberOp(b)]);
  const close = async (): Promise<void> => {
    await Promise.all([a, b].map((each) => each[Symbol.asyncDispose]()));
  };
  return { network, a, b, [Symbol.asyncDispose]: close };
}

async function read({ replica }: Cluster, name: string): Promise<string | undefined> {
  const { exists, value } = await replica.get(key(name));
  return exists ? Buffer.from(value).toString() : undefined;
}

const errorOf = (fields: object): unknown => ('err' in fields ? fields.err : undefined);

async function learn({ ledger }: Cluster, ...records: readonly (Grant | Revocation)[]): Promise<void> {
  assert.deepEqual(
    await ledger?.take(records.map(anyOf)),
    records.map(() => undefined),
  );
}

describe('a granted mesh', () => {
  it('I2: M32: regions take in what the other signed, and nothing that its key may not', async () => {
    await using world = await openTwo();
    const { a, b } = world;
    await a.replica.write([set('/cities/FR/1', 'a'), set('/cities/DE/1', 'a'), set('/large', 'x'.repeat(5_000))]);
    await until(async () => (await read(b, '/cities/FR/1')) === 'a');
    await b.replica.write([set('/cities/FR/1', 'b'), set('/cities/FR/2', 'b')]);
    await a.replica.write([remove('/cities/FR/2')]);
    await assert.rejects(b.replica.write([set('/cities/DE/1', 'b')]), (error) => hasCode(error, 'key_denied'));
    await until(async () => (await read(b, '/large')) !== undefined && (await read(a, '/cities/FR/1')) === 'b');
    await untilEqual([a, b]);
    for (const each of [a, b]) {
      assert.deepEqual([await read(each, '/cities/DE/1'), await read(each, '/large')], ['a', 'x'.repeat(5_000)]);
      assert.equal((await each.replica.parkedCount()).writes, 0);
      await assertTree(each.store, each.digests);
    }
  });

  it('I7: R31: M8: of a peer that has lapsed no page is joined; the next exchange makes it good, and all goes on', async () => {
    await using world = await openTwo({ times: { repairMs: 200 } });
    const { a, b } = world;
    await a.replica.write([set('/cities/FR/1', 'a')]);
    await until(async () => (await read(b, '/cities/FR/1')) === 'a');
    await b.store.transact((tx) => setLapsed(tx, a.name, 1));
    const [before] = await a.replica.write([set('/cities/FR/2', 'a')]);
    await until(async () => (await b.replica.lapsedCount()) === 0);
    assert.ok(before !== undefined && (await b.replica.waitFor(before.accepted, 5_000, new AbortController().signal)));
    const [after] = await a.replica.write([set('/cities/FR/3', 'a')]);
    assert.ok(after !== undefined && (await b.replica.waitFor(after.accepted, 5_000, new AbortController().signal)));
    await untilEqual([a, b]);
  });

  it('K10: M32: a revocation that one region is told ends the writer in both, and takes away what it wrote', async () => {
    await using world = await openTwo();
    const { a, b } = world;
    await a.replica.write([set('/cities/FR/1', 'of a, before')]);
    await until(async () => (await read(b, '/cities/FR/1')) === 'of a, before');
    await b.replica.write([set('/cities/FR/1', 'of b'), set('/cities/FR/2', 'of b'), set('/cities/FR/3', 'x'.repeat(1_000))]);
    await until(async () => (await read(a, '/cities/FR/3')) !== undefined);
    await learn(a, mesh.revocation(french, 'a'));
    await until(async () => (await read(b, '/cities/FR/2')) === undefined);
    for (const each of [a, b]) {
      await until(async () => (await each.replica.candidates(key('/cities/FR/3'))).length === 0);
      assert.deepEqual([await read(each, '/cities/FR/1'), await read(each, '/cities/FR/2')], ['of a, before', undefined]);
      assert.equal((await each.replica.candidates(key('/cities/FR/1'))).length, 1);
    }
    await assert.rejects(b.replica.write([set('/cities/FR/1', 'again')]), (error) => hasCode(error, 'grant_revoked'));
    await untilEqual([a, b]);
    for (const { store, digests } of [a, b]) await assertTree(store, digests);
  });

  it('M10: K10: who was made a member by another, as by the first that joined it, is one still when the grant of that one ends', async () => {
    const network = new Network();
    const records = [mesh.root, held, french, replicatesA, replicatesB].map(anyOf);
    const options = { jobs: 'run', times: { dayMs: 2_400, repairMs: 200 } } as const; // the floor is looked at ten times a second
    const open = (n: number, signer: string): Promise<Cluster> =>
      openCluster(network, n, { ...options, granted: { meshId: mesh.id, records, signer: person(signer) } });
    await using a = await open(1, 'a');
    await using b = await open(2, 'writer');
    await b.replica.write([memberOp(a), memberOp(b)]);
    const own = key(`@system/peers/${uuidText(a.clusterId)}`);
    const isOwn = async (): Promise<boolean> => {
      const { version } = await a.replica.get(own);
      return version !== null && clusterPartOf(version) === partOf({ clusterId: a.clusterId, incarnation: 1 });
    };
    await until(async () => (await b.replica.candidates(own)).length > 0 && (await isOwn()));
    await learn(a, mesh.revocation(french, 'a'));
    await until(async () => (await a.replica.candidates(key(`@system/peers/${uuidText(b.clusterId)}`))).length === 0);
    await a.mesh.readMembers();
    assert.deepEqual([a.mesh.isMember(a.name), a.mesh.isMember(b.name)], [true, false]);
    assert.equal((await a.replica.candidates(own)).length, 1);
    const { version } = await a.replica.get(own);
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.deepEqual((await a.replica.get(own)).version, version, 'its own it leaves as it is');
  });

  it('M32: a grant is where its writes are: it comes ahead of them, and nothing waits', async () => {
    await using world = await openTwo();
    const { network, a, b } = world;
    await untilEqual([a, b]);
    network.cut(a, b);
    const renewed = mesh.given(held, 'a', 'writer');
    await learn(b, renewed);
    await b.replica.write(Array.from({ length: 50 }, (_, i) => set(`/anywhere/${i}`, 'b')));
    let parkedMost = 0;
    network.heal();
    await until(async () => {
      parkedMost = Math.max(parkedMost, (await a.replica.parkedCount()).writes);
      return (await read(a, '/anywhere/49')) === 'b';
    });
    assert.equal(parkedMost, 0);
    await untilEqual([a, b]);
  });

  it('M20: M32: a restored copy that was told of other grants since is refused as what it is, and none of them is taken in', async () => {
    const network = new Network();
    const records = [mesh.root, held, french, replicatesA, replicatesB].map(anyOf);
    const granted = { meshId: mesh.id, records };
    await using a = await openCluster(network, 1, { jobs: 'run', granted: { ...granted, signer: person('a') } });
    const database = new MemoryDatabase();
    const openB = (on: MemoryDatabase, jobs?: 'run'): Promise<Cluster> =>
      openCluster(network, 2, { ...(jobs && { jobs }), database: on, granted: { ...granted, signer: person('writer') } });
    const b = await openB(database, 'run');
    for (const { replica } of [a, b]) await replica.write([memberOp(a), memberOp(b)]);
    await untilEqual([a, b]);
    const copy = new MemoryDatabase(database);
    await learn(b, mesh.given(held, 'a', 'x'), mesh.given(held, 'a', 'y'));
    await b.replica.write([set('/cities/FR/1', 'b')]);
    await until(async () => (await read(a, '/cities/FR/1')) === 'b');
    await b[Symbol.asyncDispose]();
    // It asks nobody: what it is shows in its answers alone.
    await using restored = await openB(copy);
    const [first, second] = [mesh.given(held, 'a', 'z'), mesh.given(held, 'a', 'x')];
    const last = mesh.given(first, 'z', 'y');
    await learn(restored, first, second, last);
    await until(async () => (await a.mesh.view()).members[0]?.fault?.code === 'rollback_detected');
    assert.equal(a.ledger?.known.grant(last.id), undefined);
  });

  it('M17: M20: M32: so is one that takes the place of its original while a region is filled from that', async () => {
    const network = new Network();
    const granted = { meshId: mesh.id, records: [mesh.root, held, french, replicatesA, replicatesB].map(anyOf) };
    const database = new MemoryDatabase();
    const openDonor = (on: MemoryDatabase): Promise<Cluster> =>
      openCluster(network, 1, { database: on, granted: { ...granted, signer: person('a') } });
    await using donor = await openDonor(database);
    await using joiner = await openCluster(network, 2, { granted: { ...granted, signer: person('writer') } });
    await donor.replica.write([memberOp(donor), memberOp(joiner)]);
    const copy = new MemoryDatabase(database);
    await learn(donor, mesh.given(held, 'a', 'x'), mesh.given(held, 'a', 'y'));
    await donor.replica.write([set('k', 'later')]);
    const [first, second] = [mesh.given(held, 'a', 'z'), mesh.given(held, 'a', 'x')];
    const last = mesh.given(first, 'z', 'y');
    const restore = async (): Promise<void> => {
      network.closed.add('exchange');
      await until(() => joiner.mesh.donorError()?.code === 'peer_unreachable'); // it has heard the donor as a member
      await donor[Symbol.asyncDispose]();
      await learn(await openDonor(copy), first, second, last);
    };
    const restored = { done: Promise.resolve() };
    const joined = async (): Promise<void> => {
      await joiner.mesh.readMembers();
      restored.done = restore();
    };
    const stop = new AbortController();
    const members = { joining: () => Promise.resolve(), joined };
    const joining = joiner.mesh.join(donor.address, members, () => undefined, stop.signal);
    const judged = (): GkvError | undefined =>
      joiner.lines.map(({ fields }) => errorOf(fields)).find((error) => hasCode(error, 'rollback_detected', 'peer_protocol'));
    await until(() => judged() !== undefined);
    assert.equal(judged()?.code, 'rollback_detected');
    assert.equal(joiner.ledger?.known.grant(last.id), undefined);
    await restored.done;
    stop.abort();
    await assert.rejects(joining);
  });

  it('R26: M32: by exchanges alone writes may come before their grant: they wait, and come in with it', async () => {
    await using world = await openTwo({});
    const { network, a, b } = world;
    await untilEqual([a, b]);
    network.closed.add('feed');
    await learn(b, mesh.given(held, 'a', 'writer'));
    await b.replica.write([set('/anywhere', 'b')]);
    const { writes } = await b.replica.feedPage(new Uint8Array(12), new Map());
    await a.replica.receive(writes, b.name);
    assert.equal((await a.replica.parkedCount()).writes, 1);
    assert.equal(await read(a, '/anywhere'), undefined);
    network.closed.clear();
    await until(async () => (await read(a, '/anywhere')) === 'b');
    await until(async () => (await a.replica.parkedCount()).writes === 0);
    await untilEqual([a, b]);
  });

  it('M33: K10: a region that may replicate no more gets nothing, gives nothing, and is backed off from', async () => {
    await using world = await openTwo();
    const { network, a, b } = world;
    await a.replica.write([set('/cities/FR/1', 'before')]);
    await until(async () => (await read(b, '/cities/FR/1')) === 'before');
    await untilEqual([a, b]);
    await learn(a, mesh.revocationByRoot(replicatesB));
    const codeAt = async ({ mesh: view }: Cluster): Promise<string | undefined> => (await view.view()).members[0]?.health?.lastError?.code;
    for (const each of [a, b]) await until(async () => (await codeAt(each)) === 'grant_revoked');
    await a.replica.write([set('/cities/FR/1', 'of a, after')]);
    await b.replica.write([set('/cities/FR/2', 'of b, after')]);
    const asked = network.asked.length;
    await until(() => network.asked.length > asked + 3);
    assert.equal(await read(b, '/cities/FR/1'), 'before');
    assert.equal(await read(a, '/cities/FR/2'), undefined);
    const again = mesh.grant('writer', { ...forEver, notBeforeMs: 1, rights: rightsOf(['replicate']), depth: 0 });
    await learn(b, again);
    await until(async () => (await read(a, '/cities/FR/2')) === 'of b, after' && (await read(b, '/cities/FR/1')) === 'of a, after');
    await untilEqual([a, b]);
  });

  it('M33: M17: whoever joins brings what its writes rest on, so that its donor takes in its record, and follows it', async () => {
    const network = new Network();
    const open = (n: number, signer: string, ...records: readonly Grant[]): Promise<Cluster> =>
      openCluster(network, n, {
        jobs: 'run',
        granted: { meshId: mesh.id, records: [mesh.root, ...records].map(anyOf), signer: person(signer) },
      });
    await using a = await open(1, 'a', held, replicatesA);
    await using b = await open(2, 'writer', held, french, replicatesB);
    await b.replica.write([memberOp(a), memberOp(b), set('/cities/FR/1', 'of b')]);
    await until(async () => (await read(a, '/cities/FR/1')) === 'of b');
    await untilEqual([a, b]);
  });

  it('I4: M32: what a region changes in its store is not taken in by others', async () => {
    await using world = await openTwo();
    const { network, a, b } = world;
    await untilEqual([a, b]);
    network.cut(a, b);
    await until(async () => (await a.mesh.view()).members.every(({ health }) => health?.lastError !== undefined)); // nothing is on its way
    await b.replica.write([set('/cities/FR/1', 'signed'), set('/cities/FR/2', 'signed')]);
    await b.store.transact(async (tx) => {
      const row = headKey(key('/cities/FR/1'));
      const [head] = decodeEntry((await tx.get(row)) ?? new Uint8Array(0));
      assert.ok(head?.record !== undefined && head.position !== undefined);
      const record = Buffer.from(head.record);
      record.write('forged', record.length - 6);
      const entry = Buffer.from(encodeEntry([{ ...head, record }], () => 0));
      tx.set(row, entry);
    });
    assert.equal(await read(b, '/cities/FR/1'), 'forged');
    network.heal();
    await until(async () => (await read(a, '/cities/FR/2')) === 'signed');
    assert.deepEqual(await a.replica.candidates(key('/cities/FR/1')), []);
    await until(() => a.lines.some(({ message, fields }) => /tried again/.test(message) && /signatures/.test(String(errorOf(fields)))));
    await a.replica.write([set('/cities/FR/1', 'of a')]);
    await until(async () => (await read(b, '/cities/FR/1')) === 'of a');
  });
});
