import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { hasCode } from '../../src/core/errors.ts';
import { compareStamps } from '../../src/core/stamp.ts';
import { rightsOf } from '../../src/grant/rights.ts';
import { scopeOfChain } from '../../src/grant/replicate.ts';
import { removedOp } from '../../src/mesh/removal.ts';
import { headKey } from '../../src/replica/change.ts';
import { type WriteOp } from '../../src/replica/proposal.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { key, remove, set } from '../aae/world.ts';
import { anyOf, Mesh, patternsOf, person } from '../grant/world.ts';
import { always } from '../replica/grantedHistory.ts';
import { TestClock, until } from '../support.ts';
import { stampAt } from './hostile.ts';
import { memberOp, membersOf, Network, openCluster, openWorld, untilEqual, type Cluster } from './world.ts';

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const never = new AbortController().signal;

function removal({ clusterId }: Pick<Cluster, 'clusterId'>, name: string): WriteOp {
  return removedOp({ clusterId, incarnation: 1, removal: name, settled: false }, { kind: 'any' });
}

async function settled({ mesh }: Cluster, of: Pick<Cluster, 'clusterId'>): Promise<boolean | undefined> {
  return (await mesh.view()).removed.find(({ clusterId }) => Buffer.compare(clusterId, of.clusterId) === 0)?.settled;
}

describe('M28: a removal that somebody overwrote', () => {
  it('M30: is settled if it was: nobody counts slots again that the floor has passed', async () => {
    const network = new Network();
    const clock = new TestClock();
    const database = new MemoryDatabase();
    const first = await openCluster(network, 1, { clock, jobs: 'run', database });
    await using b = await openCluster(network, 2, { clock, jobs: 'run' });
    await using c = await openCluster(network, 3, { clock, jobs: 'run' });
    await using d = await openCluster(network, 4, { clock, jobs: 'run' });
    await using e = await openCluster(network, 5, { clock, jobs: 'run' });
    const all = [first, b, c, d, e];
    for (const { replica } of all) await replica.write(all.map((each) => memberOp(each)));
    for (const { mesh } of [first, b, d]) await until(async () => (await mesh.view()).members.every(({ low }) => low !== undefined));
    await pause(300);
    await first.replica.write([removal(c, 'r1')]);
    for (const each of [first, b, d, e]) await until(async () => (await settled(each, c)) === true);
    await c[Symbol.asyncDispose]();
    const before = await first.replica.floor();
    clock.advance(60_000);
    for (const { replica } of [first, b, d]) await until(async () => compareStamps(await replica.floor(), before) > 0);
    await pause(500);
    // So nobody is level at the new epoch.
    for (const each of [first, b]) network.cut(each, d);
    await first.replica.write([removal(e, 'r2')]);
    await until(async () => (await settled(b, e)) === false);
    await e[Symbol.asyncDispose]();
    await b.replica.write([memberOp(c)]);
    await pause(500);
    for (const each of [first, b]) assert.equal(await settled(each, c), true);
    await first[Symbol.asyncDispose]();
    await using again = await openCluster(network, 1, { clock, jobs: 'run', database, seed: 99 });
    await pause(1_000);
    assert.deepEqual([again.mesh.fault(), b.mesh.fault(), await settled(again, c)], [undefined, undefined, true]);
  });

  it('G31: nor is it added again, though its record was deleted by hand', async () => {
    await using world = await openWorld(3);
    const [a, b, c] = world.clusters as [Cluster, Cluster, Cluster];
    await a.replica.write([removal(c, 'r1')]);
    for (const { mesh } of [a, b]) await until(() => mesh.refusalOf(c.name) !== undefined);
    await a.replica.write([remove(Buffer.from(removal(c, '').key).toString())]);
    await assert.rejects(membersOf(a, world.network).add(c.address, undefined, never), (error) => hasCode(error, 'must_bootstrap'));
  });

  it('who may not write it again collects all the same', async () => {
    const mesh = new Mesh();
    const replicates = (name: string): ReturnType<Mesh['grant']> =>
      mesh.grant(name, { ...always, rights: rightsOf(['replicate']), depth: 0, patterns: patternsOf('**') });
    const [full, part] = [replicates('f'), replicates('n')];
    const records = [mesh.root, mesh.grant('f', always), mesh.grant('n', { ...always, patterns: patternsOf('/n/**') }), full, part].map(
      anyOf,
    );
    const [network, clock] = [new Network(), new TestClock()];
    const shared = { clock, jobs: 'run' } as const;
    const grantedTo = (name: string, chain: typeof full): object => ({
      meshId: mesh.id,
      records,
      signer: person(name),
      scope: scopeOfChain([chain]),
    });
    await using f = await openCluster(network, 1, { ...shared, granted: grantedTo('f', full) as never });
    await using n = await openCluster(network, 2, { ...shared, granted: grantedTo('n', part) as never });
    const toOther = async (): Promise<void> => {
      const { writes } = await f.replica.feedPage(new Uint8Array(12), new Map());
      await n.replica.receive(writes, f.name);
    };
    await f.replica.write([memberOp(f), memberOp(n)]);
    await toOther();
    await until(() => n.mesh.isMember(f.name) && f.mesh.isMember(n.name));
    const gone = { clusterId: new Uint8Array(16).fill(9), address: { host: 'cluster', port: 9 } };
    await f.replica.write([removal(gone, 'r9')]);
    for (const each of [f, n]) await until(async () => (await settled(each, gone)) === true);
    await f.replica.write([set('gone', 'v')]);
    await f.replica.write([remove('gone')]);
    const holds = (): Promise<boolean> => n.store.read(async (snapshot) => (await snapshot.get(headKey(key('gone')))) !== undefined);
    await untilEqual([f, n]);
    await until(holds);
    await f.replica.write([memberOp(gone)]);
    await toOther();
    network.cut(f, n);
    await n.mesh.readMembers();
    assert.equal(n.mesh.isMember('09'.repeat(16)), false);
    await n.replica.raiseFloor(stampAt(clock.now() + 1_000));
    const floor = n.mesh.memberJobs.find(({ name }) => name === 'floor');
    await assert.rejects(
      async () => floor?.work(n.store, never),
      (error) => hasCode(error, 'key_denied'),
    );
    assert.equal(await holds(), false);
  });
});
