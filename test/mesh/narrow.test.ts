import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { hasCode } from '../../src/core/errors.ts';
import { covers } from '../../src/core/frontier.ts';
import { decodeAnswer, decodeRequest, encodeAnswer } from '../../src/aae/frame.ts';
import { allKeys } from '../../src/core/key.ts';
import { everything, isInScope, scopeText, type Scope } from '../../src/core/scope.ts';
import { compareStamps, makeStamp, parseInstance, stampZero, type Stamp } from '../../src/core/stamp.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { scopeOfChain } from '../../src/grant/replicate.ts';
import { rightsOf } from '../../src/grant/rights.ts';
import { assertTree } from '../aae/oracle.ts';
import { key, remove, set } from '../aae/world.ts';
import { anyOf, Mesh, patternsOf, person } from '../grant/world.ts';
import { TestClock, until } from '../support.ts';
import { decodeFeedAnswer, encodeFeedAnswer } from '../../src/mesh/feedMessage.ts';
import { Prover, type ProverDeps } from '../../src/mesh/prover.ts';
import { partOf } from '../../src/mesh/words.ts';
import { grants as grantsOfProofs, mesh as ofProofs, pair } from './proofs.ts';
import { memberOp, Network, openCluster, type Cluster, type ClusterOptions } from './world.ts';

const mesh = new Mesh();
const forEver = { notBeforeMs: 0, expiresMs: 2 ** 48 };
const replicates = (name: string, ...patterns: readonly string[]): Grant =>
  mesh.grant(name, { ...forEver, rights: rightsOf(['replicate']), depth: 0, patterns: patternsOf(...patterns) });
/** Each may write everywhere: what it holds is another matter. */
const parts = { f: ['**'], g: ['**'], eu: ['/eu/**'], us: ['/us/**', '/eu/fr/**'] } as const;
type Name = keyof typeof parts;
const names = Object.keys(parts) as Name[];
const grants = Object.fromEntries(names.map((name) => [name, replicates(name, ...parts[name])])) as Record<Name, Grant>;
const records = [mesh.root, ...names.map((name) => mesh.grant(name, forEver)), ...Object.values(grants)].map(anyOf);

interface Narrow extends Cluster {
  readonly scope: Scope;
}

interface World extends AsyncDisposable {
  readonly network: Network;
  readonly clock: TestClock;
  readonly of: Record<Name, Narrow>;
  readonly all: readonly Narrow[];
}

/** Only those that are `introduced` know of each other, and of nobody else. */
async function open(times: ClusterOptions['times'] = {}, introduced: readonly Name[] = names): Promise<World> {
  const network = new Network();
  const clock = new TestClock();
  const opened = await Promise.all(
    names.map(async (name, i): Promise<Narrow> => {
      const scope = scopeOfChain([grants[name]]);
      const granted = { meshId: mesh.id, records, signer: person(name), scope };
      const cluster = await openCluster(network, i + 1, { clock, jobs: 'run', times, granted });
      return { ...cluster, scope };
    }),
  );
  const known = opened.filter((_, i) => introduced.includes(names[i] ?? 'f'));
  for (const { replica } of known) await replica.write(known.map((each) => memberOp(each)));
  const of = Object.fromEntries(names.map((name, i) => [name, opened[i]])) as Record<Name, Narrow>;
  const close = async (): Promise<void> => {
    await Promise.all(opened.map((each) => each[Symbol.asyncDispose]()));
  };
  return { network, clock, of, all: opened, [Symbol.asyncDispose]: close };
}

async function content({ replica }: Cluster): Promise<Map<string, string>> {
  const { entries } = await replica.list({ range: allKeys, limit: 1_000, order: 'forward', values: 'with' });
  return new Map(entries.map((each) => [Buffer.from(each.key).toString(), Buffer.from(each.value).toString()]));
}

/** Each holds what the first, which holds everything, does of its scope, and nothing else. */
async function areLevel(all: readonly Narrow[]): Promise<boolean> {
  const [whole, ...others] = await Promise.all(all.map(content));
  return others.every((held, i) => {
    const scope = all[i + 1]?.scope ?? everything;
    const expected = [...(whole ?? [])].filter(([name]) => isInScope(key(name), scope));
    return expected.length === held.size && expected.every(([name, value]) => held.get(name) === value);
  });
}

async function written(cluster: Narrow, name: string, value: string): Promise<Stamp> {
  const [outcome] = await cluster.replica.write([set(name, value)]);
  assert.ok(outcome !== undefined);
  return outcome.accepted;
}

describe('clusters that hold parts', () => {
  it('M37: I2: I7: hold and see what their grants name and the members, take in what others write of it, and know that they have it', async () => {
    await using world = await open({ repairMs: 300 });
    const { f, g, eu, us } = world.of;
    const stamps: Stamp[] = [];
    for (const name of ['/eu/1', '/eu/fr/1', '/us/1', '/x', '/eu', '@system/other']) stamps.push(await written(f, name, `f ${name}`));
    for (const [cluster, name] of [
      [eu, '/eu/2'],
      [us, '/us/2'],
      [us, '/eu/fr/1'],
      [g, '/eu/fr/2'],
      [g, '/y'],
    ] as const)
      stamps.push(await written(cluster, name, `of ${cluster.name}`));
    for (const [cluster, name] of [
      [eu, '/us/3'],
      [us, '/eu/1'],
      [us, '@system/other'],
    ] as const)
      await assert.rejects(written(cluster, name, 'v'), (error) => hasCode(error, 'key_denied') && /is for/.test(error.message));
    await until(() => areLevel(world.all));
    assert.deepEqual(
      [...(await content(us)).keys()].filter((name) => !name.startsWith('@')),
      ['/eu/fr/1', '/eu/fr/2', '/us/1', '/us/2'],
    );
    // Those who hold less learn what the other took in from who holds what both do.
    for (const each of world.all)
      await until(async () => {
        const frontier = await each.replica.frontier();
        return stamps.every((stamp) => covers(frontier, stamp));
      });
    for (const each of world.all) {
      await until(async () => (await each.mesh.view()).members.every(({ health }) => health?.lastExchange?.result === 'converged'));
      const { members } = await each.mesh.view();
      assert.deepEqual([members.length, members.reduce((sum, { health }) => sum + (health?.defects ?? 0), 0)], [3, 0]);
      await assertTree(each.store, each.digests);
      for (const { record, health } of members) {
        const peer = world.all.find(({ clusterId }) => Buffer.compare(clusterId, record.clusterId) === 0);
        const isToldOf = scopeText(health?.scope ?? everything).join(' ');
        assert.equal(isToldOf, scopeText(peer?.scope ?? everything).join(' '));
      }
    }
  });

  it('M10: M38: every low moves, a floor passes what was deleted, and it is collected by all', async () => {
    await using world = await open();
    const { f, eu, us } = world.of;
    for (const [cluster, name] of [
      [f, '/eu/fr/1'],
      [eu, '/eu/2'],
      [us, '/us/3'],
      [f, '/x'],
    ] as const) {
      await written(cluster, name, 'v');
      await until(async () => (await f.replica.get(key(name))).exists);
      await cluster.replica.write([remove(name)]);
    }
    world.clock.advance(60_000);
    for (const each of world.all) {
      await until(async () => Buffer.compare((await each.replica.floor()), stampZero) > 0); // prettier-ignore
      for (const name of ['/eu/fr/1', '/eu/2', '/us/3', '/x'])
        await until(async () => (await each.replica.candidates(key(name))).length === 0);
    }
    await until(() => areLevel(world.all));
    for (const { store, digests } of world.all) await assertTree(store, digests);
  });

  it('M25: M38: one that says that its own slots are old, and that it has everything, makes nobody else too old', async () => {
    await using world = await open({ dayMs: 20_000 }, ['f', 'g']);
    const { f, g, eu } = world.of;
    world.clock.advance(60_000);
    for (const { replica } of [f, g]) await until(async () => compareStamps(await replica.floor(), stampZero) > 0);
    const old = makeStamp(world.clock.now() - 10_000_000, 0, parseInstance(new Uint8Array(8)));
    const [part] = [partOf({ clusterId: eu.clusterId, incarnation: 1 })];
    const answer = eu.mesh.feedServer.answer.bind(eu.mesh.feedServer);
    let lies = 0;
    eu.mesh.feedServer.answer = async (frame, scopes) => {
      const { clusterId, body } = decodeAnswer(await answer(frame, scopes), frame, eu.digests, 'feed');
      const page = decodeFeedAnswer(body, 'granted');
      const end = page.end && new Map(page.end).set(part, { base: old, slots: new Map() });
      lies += end === undefined ? 0 : 1;
      return encodeAnswer(
        { clusterId, body: encodeFeedAnswer({ ...page, end }) },
        decodeRequest(frame, eu.digests, 'feed'),
        eu.digests,
        'feed',
      );
    };
    for (const { replica } of [f, eu]) await replica.write([f, g, eu].map((each) => memberOp(each)));
    await until(() => lies > 20);
    for (const each of [f, g]) {
      assert.equal(each.mesh.fault(), undefined);
      assert.equal((await each.replica.frontier()).has(part), false, 'nothing of it was joined');
    }
  });

  it('M38: a narrow cluster that reaches only one that holds other keys has that one’s own alone, and the rest once it reaches more', async () => {
    await using world = await open({ repairMs: 200 });
    const { f, eu, us } = world.of;
    await until(() => areLevel(world.all));
    for (const other of [f, world.of.g]) world.network.cut(eu, other);
    const ofUs = await written(us, '/eu/fr/9', 'us');
    const ofF = await written(f, '/eu/fr/8', 'f');
    await until(async () => covers(await eu.replica.frontier(), ofUs));
    await until(async () => (await eu.replica.get(key('/eu/fr/8'))).exists);
    assert.equal(covers(await eu.replica.frontier(), ofF), false, 'f may have taken in more that us does not hold');
    world.network.heal();
    await until(async () => covers(await eu.replica.frontier(), ofF));
    await until(() => areLevel(world.all));
  });

  it('M17: joins from a member that holds all that it is for, and from no other', async () => {
    const network = new Network();
    const openOne = async (name: Name, port: number): Promise<Cluster> => {
      const granted = { meshId: mesh.id, records, signer: person(name), scope: scopeOfChain([grants[name]]) };
      return openCluster(network, port, { granted });
    };
    await using f = await openOne('f', 1);
    await using eu = await openOne('eu', 2);
    await using us = await openOne('us', 3);
    await f.replica.write(['/us/1', '/eu/fr/1', '/x'].map((name) => set(name, 'v')));
    await eu.replica.write([set('/eu/fr/2', 'v')]);
    const stop = new AbortController();
    const unwritten = { joining: () => Promise.resolve(), joined: () => Promise.resolve() };
    const refused = us.mesh.join(eu.address, unwritten, () => undefined, stop.signal);
    await until(() => us.mesh.donorError()?.code === 'scope_mismatch');
    stop.abort();
    await assert.rejects(refused);
    assert.deepEqual([(await content(us)).size, await us.replica.cursor(eu.clusterId)], [0, undefined]);
    await us.mesh.join(f.address, unwritten, () => undefined, new AbortController().signal);
    assert.deepEqual([...(await content(us)).keys()], ['/eu/fr/1', '/us/1']);
  });

  it('T22: who has a store for some keys shows a grant on just those, or none', async () => {
    const eu = replicates('a', '/eu/**');
    const [scope, wider] = [scopeOfChain([eu]), replicates('a', '/eu/**', '/us/**')];
    const confined = (deps: ProverDeps): Prover => new Prover({ ...deps, scope });
    const root = [ofProofs.root, grantsOfProofs.b];
    const euOfProofs = ofProofs.grant('a', { ...forEver, rights: rightsOf(['replicate']), depth: 0, patterns: patternsOf('/eu/**') });
    const without = await pair([...root, grantsOfProofs.a], [...root, grantsOfProofs.a], { a: { prover: confined } });
    await assert.rejects(without.wire.ask('x'), (error) => hasCode(error, 'scope_mismatch') && /\/eu\/\*\*/.test(error.message));
    assert.notDeepEqual(scopeOfChain([wider]), scope);
    const withOne = await pair([...root, grantsOfProofs.a, euOfProofs], [...root], { a: { prover: confined } });
    await assert.rejects(withOne.wire.ask('x'), (error) => hasCode(error, 'scope_mismatch'), 'it must say under which scopes it asks');
    assert.equal(await withOne.wire.ask('x', 'feed', { own: scope, peer: everything }), 'x');
    await assert.rejects(withOne.wire.ask('x', 'feed', { own: scope, peer: scope }), (error) => hasCode(error, 'scope_mismatch'));
    assert.deepEqual(withOne.b.let, ['x']);
  });
});
