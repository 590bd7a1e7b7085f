import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { encodeRequest } from '../../src/aae/frame.ts';
import { encodeAsk } from '../../src/aae/message.ts';
import { toHex } from '../../src/core/bytes.ts';
import { frontierZero } from '../../src/core/frontier.ts';
import { allKeys } from '../../src/core/key.ts';
import { limits } from '../../src/core/limits.ts';
import { compareStamps, stampZero } from '../../src/core/stamp.ts';
import { uuidText } from '../../src/core/uuid.ts';
import { encodeFeedAsk } from '../../src/mesh/feedMessage.ts';
import { Peers } from '../../src/mesh/peers.ts';
import { type Statement } from '../../src/mesh/statement.ts';
import { Words } from '../../src/mesh/words.ts';
import { positionZero } from '../../src/replica/cursor.ts';
import { encodeWrites } from '../../src/replica/wire.ts';
import { storeKey, tables } from '../../src/store/keyspace.ts';
import { key, openInstance, remove, set } from '../aae/world.ts';
import { received } from '../replica/received.ts';
import { until } from '../support.ts';
import { epochNone } from '../../src/mesh/epoch.ts';
import { askFrame, readerHeader, saysNothing, stampAt } from './hostile.ts';
import { memberOp, Network, openCluster, openWorld, recordingLog, type Cluster } from './world.ts';

const uuid = (n: number): string => uuidText(new Uint8Array(16).fill(n));
const record = (n: number): string => `@system/peers/${uuid(n)}`;

describe('M9: records of members', () => {
  it('G31: what cannot be read is skipped with one warning a version, and known to be a member where its key says so', async () => {
    const { replica } = await openInstance();
    const lines: Cluster['lines'] = [];
    const peers = new Peers((query) => replica.list(query), recordingLog(lines));
    const bad = ['{', '[]', '{}', '{"address":"nowhere"}', '{"address":"h:0"}', '{"address":"h:1","upstreams":"all"}', '\xff\0'];
    await replica.write(bad.map((text, n) => set(record(n + 1), text)));
    await replica.write([set('@system/peers/NOT-A-UUID', '{"address":"h:1"}'), set(record(200), '{"address":"[::1]:6200","more":1}')]);
    for (let i = 0; i < 3; i += 1) {
      const { records, unreadable } = await peers.read();
      assert.deepEqual(
        records.map(({ clusterId, address, upstreams, regionName }) => [uuidText(clusterId), address, upstreams, regionName]),
        [[uuid(200), { host: '::1', port: 6200 }, undefined, '']],
      );
      assert.equal(unreadable.length, bad.length);
      assert.equal(lines.length, bad.length + 1);
    }
    await replica.write([set(record(1), 'still bad')]);
    await peers.read();
    assert.equal(lines.length, bad.length + 2);
  });

  it('all are read, however large they are', async () => {
    const { replica } = await openInstance();
    const padding = 'x'.repeat(1_000_000);
    for (let n = 1; n <= 12; n += 1) await replica.write([set(record(n), JSON.stringify({ address: 'h:1', padding }))]);
    const { records } = await new Peers((query) => replica.list(query), recordingLog([])).read();
    assert.equal(records.length, 12);
  });
});

describe('M9: members come and go', () => {
  const follows = async ({ mesh }: Cluster, other: Cluster): Promise<boolean> =>
    (await mesh.view()).members.some(({ record, health }) => toHex(record.clusterId) === other.name && health !== undefined);

  it('G31: Li5: one is added, moves, and is removed, by records alone', async () => {
    await using world = await openWorld(2);
    const [a, b] = world.clusters as [Cluster, Cluster];
    const { network, clock } = world;
    const moved = { host: 'elsewhere', port: 3 };
    await using c = await openCluster(network, 3, { clock, jobs: 'run' });
    await c.replica.write([memberOp(a), memberOp(b), memberOp(c), set('c1', 'v')]);
    await a.replica.write([memberOp(c)]);
    for (const each of [a, b]) await until(() => follows(each, c));
    await until(async () => (await b.replica.get(key('c1'))).exists);
    network.leave(c.address);
    network.serve(moved, { feed: (frame) => c.mesh.feedServer.answer(frame), exchange: (frame) => c.responder.answer(frame) });
    await c.replica.write([set('c2', 'v')]);
    await a.replica.write([memberOp({ ...c, address: moved })]);
    await until(async () => (await b.replica.get(key('c2'))).exists);
    // It may have come by way of the other: both must have seen that it moved before it goes.
    const ends = ({ lines }: Cluster): number => lines.filter(({ message }) => message === 'not followed any more').length;
    for (const each of [a, b]) await until(() => ends(each) === 1);
    await a.replica.write([remove(record(3))]);
    for (const { mesh } of [a, b]) await until(() => !mesh.isMember(c.name));
    for (const each of [a, b]) await until(() => ends(each) === 2);
    // An exchange that it drives itself still brings what it has: nobody refuses it before its removal is written as one.
    for (const each of [a, b]) network.cutWay(c, each);
    await c.replica.write([set('c3', 'v')]);
    await a.replica.write([set('a3', 'v')]);
    await until(async () => (await b.replica.get(key('a3'))).exists);
    assert.equal((await b.replica.get(key('c3'))).exists, false);
  });

  it('G31: a cluster pulls from the upstreams that its own record names, and from all where it names none', async () => {
    await using world = await openWorld(3);
    const [a, b, c] = world.clusters as [Cluster, Cluster, Cluster];
    for (const other of [b, c]) await until(() => follows(a, other));
    await a.replica.write([memberOp(a, { upstreams: [uuid(3)] })]);
    await until(async () => !(await follows(a, b)));
    await until(() => follows(a, c));
    await b.replica.write([set('b', 'v')]);
    await until(async () => (await a.replica.get(key('b'))).exists);
  });
});

describe('M3: words', () => {
  const own = { clusterId: new Uint8Array(16).fill(1), incarnation: 1 };
  const unknown = { epoch: epochNone, isLevel: false };
  const all = (): boolean => true;
  const words = (...members: Statement['members']): Statement => ({ ...saysNothing, members });
  const told = (...members: Statement['members']): Statement => words(...saysNothing.members, ...members);
  const word = (n: number, incarnation: number, ms: number): Statement['members'][number] => ({
    clusterId: new Uint8Array(16).fill(n),
    incarnation,
    low: stampAt(ms),
    ...unknown,
  });

  const relaying = new Uint8Array(16).fill(9);

  it('the greatest of each is kept: by incarnation, then by low, in any order; ours is our own', () => {
    const heard = [word(2, 1, 50), word(2, 1, 40), word(2, 2, 10), word(2, 1, 90), word(1, 9, 9)];
    for (const order of [heard, [...heard].reverse()]) {
      const kept = new Words(own, 86_400_000);
      for (const each of order) kept.hear(relaying, words(each), all, 0);
      assert.deepEqual(kept.of('02'.repeat(16)), word(2, 2, 10));
      assert.deepEqual(kept.all({ low: stampAt(7), ...unknown }), [{ ...own, low: stampAt(7), ...unknown }, word(2, 2, 10)]);
    }
  });

  it('M24: what others say of a member does not stand against its own word of the last minute', () => {
    const kept = new Words(own, 86_400_000);
    const name = '02'.repeat(16);
    const itself = new Uint8Array(16).fill(2);
    const lies = [word(2, 4_294_967_295, 1), word(2, 1, 900)];
    for (const nowMs of [1_000, 60_000]) {
      kept.hear(itself, words(word(2, 1, 50)), all, nowMs);
      for (const lie of lies) kept.hear(relaying, words(lie), all, nowMs + 59_999);
      assert.deepEqual(kept.of(name), word(2, 1, 50));
    }
    kept.hear(relaying, words(word(2, 2, 1)), all, 120_000); // of who is heard by others alone by now
    assert.deepEqual(kept.of(name), word(2, 2, 1));
    const soon = new Words(own, 6_000);
    soon.hear(itself, words(word(2, 1, 50)), all, 1_000);
    soon.hear(relaying, words(word(2, 2, 1)), all, 1_060);
    assert.deepEqual(soon.of(name), word(2, 2, 1), 'where a day is short, what we have of it is soon too old');
  });

  it('M24: what others said of a member gives way to its own word once nobody has said so for a minute', () => {
    const kept = new Words(own, 86_400_000);
    const name = '02'.repeat(16);
    const itself = new Uint8Array(16).fill(2);
    kept.hear(relaying, words(word(2, 4_294_967_295, 1)), all, 1_000);
    for (const nowMs of [2_000, 31_000, 60_999]) {
      kept.hear(itself, words(word(2, 2, 50)), all, nowMs);
      kept.hear(relaying, words(word(2, 4_294_967_295, 1)), all, nowMs);
      assert.equal(kept.of(name)?.incarnation, 4_294_967_295, 'its own may have been under way for so long');
    }
    kept.hear(itself, words(word(2, 2, 50)), all, 61_000);
    assert.deepEqual(kept.of(name), word(2, 2, 50));
    kept.hear(itself, words(word(2, 1, 90)), all, 200_000);
    assert.deepEqual(kept.of(name), word(2, 2, 50), 'of its own words the greatest counts, however late');
  });

  it('I9: nothing is kept or told of clusters that are no members', () => {
    const kept = new Words(own, 86_400_000);
    kept.hear(relaying, words(word(2, 1, 1), word(3, 1, 1)), (name) => name.startsWith('02'), 0);
    assert.equal(kept.all({ low: stampZero, ...unknown }).length, 2);
    kept.keep(() => false);
    assert.equal(kept.all({ low: stampZero, ...unknown }).length, 1);
  });

  it('I9: a thousand made up members in a statement do not make ours too long for others', async () => {
    const network = new Network();
    await using a = await openCluster(network, 1, { jobs: 'run' });
    await using b = await openCluster(network, 2, { jobs: 'run' });
    const members = Array.from({ length: limits.membersMax - saysNothing.members.length }, (_, i) => {
      const clusterId = Buffer.alloc(16, 7);
      clusterId.writeUInt32BE(i);
      return { clusterId, incarnation: 1, low: stampAt(i), ...unknown };
    });
    await a.mesh.feedServer.answer(askFrame({ statement: told(...members) }));
    for (const { replica } of [a, b]) await replica.write([memberOp(a), memberOp(b)]);
    await a.replica.write([set('k', 'v')]);
    await until(async () => (await b.replica.get(key('k'))).exists && (await b.replica.cursor(a.clusterId)) !== undefined);
  });

  it('an incarnation that no stamp can carry is malformed, and does not stop the mesh', async () => {
    await using world = await openWorld(2);
    const [a, b] = world.clusters as [Cluster, Cluster];
    await until(() => a.mesh.isMember(b.name));
    const lie = told({ clusterId: b.clusterId, incarnation: 2 ** 32, low: stampZero, ...unknown });
    await assert.rejects(a.mesh.feedServer.answer(askFrame({ statement: lie })), /incarnation 4294967296/);
    await until(async () => compareStamps((await a.mesh.view()).low, stampZero) > 0);
    await a.mesh.feedServer.answer(askFrame({ statement: told(word(2, 0xffff_ffff, 1)) }));
    assert.ok(compareStamps((await a.mesh.view()).low, stampZero) > 0, 'b itself was heard (M24)');
  });

  it('M10: low is that of the members whose words were heard, and zero before', async () => {
    await using world = await openWorld(2);
    const [a, b] = world.clusters as [Cluster, Cluster];
    await until(async () => compareStamps((await a.mesh.view()).low, stampZero) > 0);
    await until(async () => (await b.mesh.view()).members.some(({ low }) => low !== undefined && compareStamps(low, stampZero) > 0));
    await a.replica.write([set(record(9), '{"address":"nobody:1"}')]);
    for (const { mesh } of [a, b]) await until(async () => compareStamps((await mesh.view()).low, stampZero) === 0);
  });
});

describe('M36: a frame in our own name', () => {
  it('is wrong_peer, nothing of it is taken in or noted, and our store is not said to be another', async () => {
    await using a = await openCluster(new Network(), 1);
    await a.replica.write([memberOp(a)]);
    await a.mesh.readMembers();
    const ofOurs = (service: 'feed' | 'exchange', body: Uint8Array): Uint8Array =>
      encodeRequest({ ...readerHeader, clusterId: a.clusterId }, body, a.digests, service);
    const write = encodeWrites([received(a.digests, 'theirs', stampAt(a.clock.now() - 1_000))]);
    const empty = { closing: 'more', spans: [], wants: [], fetch: undefined } as const;
    await assert.rejects(a.responder.answer(ofOurs('exchange', encodeAsk({ ...empty, scope: allKeys, writes: write }))), {
      code: 'wrong_peer',
    });
    assert.equal((await a.replica.get(key('theirs'))).exists, false);
    for (const incarnation of [9, 1]) {
      const members = saysNothing.members.map((word) => ({ ...word, clusterId: a.clusterId, incarnation }));
      const cursor = { incarnation: 1, position: positionZero };
      const ask = { waitMs: 0, cursor, frontier: frontierZero, statement: { ...saysNothing, members } };
      await assert.rejects(a.mesh.feedServer.answer(ofOurs('feed', encodeFeedAsk(ask))), { code: 'wrong_peer' });
    }
    assert.equal(await a.store.read((snapshot) => snapshot.get(storeKey(tables.member, a.clusterId))), undefined);
    assert.deepEqual(
      a.lines.filter(({ level }) => level === 'error'),
      [],
    );
    await a.mesh.feedServer.answer(askFrame());
  });
});
