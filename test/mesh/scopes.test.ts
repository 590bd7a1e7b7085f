import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { type PeerLink } from '../../src/aae/checkedPeer.ts';
import { decodeAnswer } from '../../src/aae/frame.ts';
import { prefixRange } from '../../src/core/key.ts';
import { everything, isInScope, scopeOf, scopesOf, type Scope, type Scopes } from '../../src/core/scope.ts';
import { covers, type Frontier } from '../../src/core/frontier.ts';
import { makeStamp, parseInstance, stampZero, type Stamp } from '../../src/core/stamp.ts';
import { believedOf, claimsFor } from '../../src/mesh/claims.ts';
import { decodeFeedAnswer } from '../../src/mesh/feedMessage.ts';
import { FeedServer } from '../../src/mesh/feedServer.ts';
import { Follower } from '../../src/mesh/follower.ts';
import { newHealth, type PeerHealth } from '../../src/mesh/health.ts';
import { epochNone } from '../../src/mesh/epoch.ts';
import { type MemberWord, type Statement } from '../../src/mesh/statement.ts';
import { Upstream } from '../../src/mesh/upstream.ts';
import { partOf } from '../../src/mesh/words.ts';
import { decodeWrites, encodeWrites } from '../../src/replica/wire.ts';
import { frontierOf, joinFrontiers, parts, stampOf } from '../core/frontiers.ts';
import { contentOf } from '../aae/hostile.ts';
import { key, openInstance, set, type Instance } from '../aae/world.ts';
import { received } from '../replica/received.ts';
import { FakeClock, ManualClock, seededRandom } from '../support.ts';
import { askFrame, digests, liarId, lyingUpstream, position, saysNothing } from './hostile.ts';
import { recordingLog } from './world.ts';

const prefixes = (...texts: readonly string[]): Scopes['own'] => scopeOf(texts.map((text) => prefixRange(Buffer.from(text))));
const nowMs = new FakeClock().now();
const soon = makeStamp(nowMs, 0, parseInstance(new Uint8Array(8).fill(3)));

/** Follows a link until it has failed, or a page was taken in. */
async function follow(instance: Instance, link: PeerLink): Promise<PeerHealth> {
  const stop = new AbortController();
  const health = newHealth();
  const { clock } = instance;
  const once = { now: () => clock.now(), monotonic: () => clock.monotonic(), sleep: () => (stop.abort(), Promise.resolve()) };
  const upstream = new Upstream(link, liarId, { digests, clusterId: instance.clusterId, random: seededRandom(1) });
  const deps = {
    ...{ replica: instance.replica, clock: once, random: seededRandom(1), log: recordingLog([]), waitMs: 0 },
    ...{
      state: () => Promise.resolve(saysNothing),
      hear: () => Promise.resolve(undefined),
      floor: () => stampZero,
      onPage: () => {
        stop.abort();
      },
    },
  };
  await new Follower(liarId, upstream, health, deps).run(stop.signal);
  return health;
}

interface Made {
  readonly key: string;
  readonly accepted: Stamp;
}

/** A cluster as M38 sees it: the writes that it holds, and what it says that it has. */
class Holder {
  readonly peer: { readonly clusterId: Uint8Array; readonly incarnation: number };
  readonly #scope: Scope;
  readonly #held = new Set<Made>();
  #frontier: Frontier = new Map();

  constructor(n: number, scope: Scope) {
    this.peer = { clusterId: new Uint8Array(16).fill(n + 1), incarnation: 1 };
    this.#scope = scope;
  }

  holds(name: string): boolean {
    return isInScope(key(name), this.#scope);
  }

  write(name: string, ms: number): Made {
    const part = partOf(this.peer);
    const made = { key: name, accepted: stampOf(part, 0, ms) };
    this.#held.add(made);
    this.#frontier = joinFrontiers(this.#frontier, frontierOf({ [part]: { base: made.accepted } }));
    return made;
  }

  pull(from: Holder): void {
    for (const made of from.#held) if (this.holds(made.key)) this.#held.add(made);
    const scopes = scopesOf(this.#scope, from.#scope);
    const { joins } = claimsFor({ joins: from.#frontier, reached: undefined }, scopes, from.peer);
    this.#frontier = joinFrontiers(this.#frontier, joins ?? new Map());
  }

  lacking(all: readonly Made[]): readonly Made[] {
    return all.filter((made) => this.holds(made.key) && covers(this.#frontier, made.accepted) && !this.#held.has(made));
  }
}

describe('M37: the scopes of a session', () => {
  const page = (...names: readonly string[]): Uint8Array =>
    encodeWrites(names.map((name) => received(digests, name, soon, soon, { value: 'v' })));

  for (const [what, scopes, names, code] of [
    ['both of us may hold', { own: prefixes('a/', 'b/'), peer: prefixes('a/') }, ['a/1', 'a/2'], undefined],
    ['we may not hold', { own: prefixes('a/'), peer: everything }, ['a/1', 'b/1'], 'peer_protocol'],
    ['its sender may not hold', { own: everything, peer: prefixes('a/') }, ['a/1', 'b/1'], 'peer_protocol'],
  ] as const) {
    it(`M4: a page with keys that ${what}: ${code ?? 'is taken in'}`, async () => {
      const instance = await openInstance();
      const before = await contentOf(instance);
      const lie = { cursor: { incarnation: 1, position: position(1) }, writes: page(...names), end: frontierOf({}) };
      const { link } = lyingUpstream(() => lie);
      const health = await follow(instance, { ...link, scopes: () => Promise.resolve(scopes) });
      assert.equal(health.lastError?.code, code);
      assert.equal(health.failures, code === undefined ? 0 : 1);
      if (code === undefined) assert.equal(health.applied, 2);
      else assert.deepEqual(await contentOf(instance), before);
    });
  }

  it('R32: a feed is served without what its reader may not hold, moves on behind that, and ends', async () => {
    const instance = await openInstance();
    const names = Array.from({ length: 300 }, (_, i) => `${['a', 'b', 'c'][i % 3] ?? ''}/${i}`);
    for (let at = 0; at < 300; at += 50) await instance.replica.write(names.slice(at, at + 50).map((name) => set(name, 'v')));
    const server = new FeedServer({
      ...{ feed: instance.replica, digests, own: { clusterId: instance.clusterId, incarnation: 1 }, clock: new ManualClock() },
      ...{ signal: new AbortController().signal, hear: () => Promise.resolve(), reach: () => Promise.resolve(saysNothing.reach) },
      epochEnds: () => new AbortController().signal,
      pullsFromAll: () => false,
      isMember: () => true,
      state: () => Promise.resolve(saysNothing),
    });
    const read = async (scopes?: Scopes): Promise<{ names: string[]; place: string; isEnd: boolean }> => {
      const frame = askFrame();
      const { writes, cursor, end } = decodeFeedAnswer(decodeAnswer(await server.answer(frame, scopes), frame, digests, 'feed').body);
      const found = decodeWrites(writes, digests).map(({ write }) => Buffer.from(write.key).toString());
      return { names: found, place: Buffer.from(cursor.position).toString('hex'), isEnd: end !== undefined };
    };
    const all = await read();
    assert.deepEqual([...all.names].sort(), [...names].sort());
    const part = await read({ own: everything, peer: prefixes('a/') });
    assert.deepEqual(part, { ...all, names: all.names.filter((name) => name.startsWith('a/')) });
    assert.deepEqual(await read({ own: everything, peer: prefixes('x/') }), { ...all, names: [] });
    assert.deepEqual(await read({ own: prefixes('a/', 'b/', 'c/'), peer: everything }), all);
    assert.deepEqual(await read({ own: prefixes('a/'), peer: everything }), part, 'what should not be here goes to nobody');
  });
});

describe('M38: what is joined of a peer that holds other keys', () => {
  const peer = { clusterId: liarId, incarnation: 1 };
  const [other] = parts;
  const own = partOf(peer);
  const joins = frontierOf({ [other]: { base: stampOf(other, 0, 5) }, [own]: { base: stampOf(own, 0, 7) } });
  const reached = { epoch: new Uint8Array(8), members: [liarId, new Uint8Array(16).fill(3)] };

  it('all where it holds what we hold; else what it took in itself, and of whom it reached itself alone', () => {
    for (const scopes of [undefined, { own: prefixes('a/'), peer: everything }, { own: prefixes('a/1'), peer: prefixes('a/') }])
      assert.deepEqual(claimsFor({ joins, reached }, scopes, peer), { joins, reached });
    const partly = { joins: frontierOf({ [own]: { base: stampOf(own, 0, 7) } }), reached: { ...reached, members: [liarId] } };
    for (const scopes of [
      { own: everything, peer: prefixes('a/') },
      { own: prefixes('a/', 'b/'), peer: prefixes('a/', 'c/') },
    ])
      assert.deepEqual(claimsFor({ joins, reached }, scopes, peer), partly);
    const nothing = { joins: undefined, reached: undefined };
    assert.deepEqual(claimsFor(nothing, { own: everything, peer: prefixes('a/') }, peer), nothing);
    assert.deepEqual(
      claimsFor({ joins, reached }, { own: everything, peer: prefixes('a/') }, peer, stampOf(own, 0, 100_000)).joins,
      new Map(),
      'M25',
    );
    const renewed = { ...peer, incarnation: 2 };
    assert.deepEqual(claimsFor({ joins, reached }, { own: everything, peer: prefixes('a/') }, renewed).joins, new Map());
  });

  it('M25: of what a peer took in itself nothing is joined while we have nothing of it and some slot is older than the floor, whatever it holds', () => {
    const floor = stampOf(own, 0, 100_000);
    const slotted = frontierOf({
      [other]: { base: stampOf(other, 0, 5) },
      [own]: { base: stampOf(own, 0, 200_000), slots: { 5: stampOf(own, 5, 1) } },
    });
    const rest = frontierOf({ [other]: { base: stampOf(other, 0, 5) } });
    assert.deepEqual(claimsFor({ joins: slotted, reached }, undefined, peer, floor), { joins: rest, reached });
    assert.deepEqual(claimsFor({ joins: slotted, reached }, undefined, peer), { joins: slotted, reached });
    assert.deepEqual(claimsFor({ joins: rest, reached }, undefined, peer, floor), { joins: rest, reached }, 'others may be older');
    const ours = frontierOf({ [own]: { base: stampOf(own, 0, 150_000) } });
    assert.deepEqual(
      claimsFor({ joins: slotted, reached }, undefined, peer, floor, ours),
      { joins: slotted, reached },
      'it makes us no older',
    );
  });

  it('M25: nor what would make us look too old though we have something of it: where its base is at zero, a slot that is not here yet', () => {
    const floor = stampOf(own, 0, 100_000);
    const now = stampOf(own, 0, 200_000);
    const ours = frontierOf({ [own]: { base: stampZero, slots: { 0: now } } });
    const planted = frontierOf({ [own]: { base: stampZero, slots: { 0: now, 5: stampOf(own, 5, 1) } } });
    for (const scopes of [undefined, { own: everything, peer: prefixes('a/') }])
      assert.deepEqual(claimsFor({ joins: planted, reached: undefined }, scopes, peer, floor, ours).joins, new Map());
    const old = frontierOf({ [own]: { base: stampZero, slots: { 0: stampOf(own, 0, 2) } } });
    assert.deepEqual(
      claimsFor({ joins: planted, reached }, undefined, peer, floor, old),
      { joins: planted, reached },
      'too old it is already',
    );
  });

  it('I3: who holds a part of what we hold is believed of itself, not of others, nor of the floor', () => {
    const word = (clusterId: Uint8Array): MemberWord => ({
      clusterId,
      incarnation: 2 ** 32 - 1,
      low: stampOf(own, 0, 9),
      epoch: epochNone,
      isLevel: true,
    });
    const [ofItself, ofAnother] = [word(liarId), word(new Uint8Array(16).fill(3))];
    const said: Statement = { ...saysNothing, floor: stampOf(own, 0, 8), members: [ofAnother, ofItself] };
    for (const scopes of [undefined, { own: prefixes('a/'), peer: everything }]) assert.equal(believedOf(said, scopes, liarId), said);
    for (const scopes of [
      { own: everything, peer: prefixes('a/') },
      { own: prefixes('a/', 'b/'), peer: prefixes('a/', 'c/') },
    ])
      assert.deepEqual(believedOf(said, scopes, liarId), { ...said, floor: stampZero, members: [ofItself] });
  });

  /** Writes of three clusters, each within its scope, spread by pages that are cut to scopes and joined as above. */
  it('I7: whoever joins what it may has what its frontier covers, of all keys that it holds', () => {
    const prefix = fc.constantFrom('a', 'b', 'c');
    const scope = fc.oneof(
      fc.constant(everything),
      fc.uniqueArray(prefix, { minLength: 1 }).map((texts) => prefixes(...texts)),
    );
    const step = fc.record({ kind: fc.constantFrom('write', 'pull'), at: fc.nat(3), from: fc.nat(3), key: prefix });
    fc.assert(
      fc.property(fc.array(scope, { minLength: 4, maxLength: 4 }), fc.array(step, { maxLength: 60 }), (scopes, steps) => {
        const clusters = scopes.map((held, n) => new Holder(n, held));
        const made: Made[] = [];
        for (const { kind, at, from, key } of steps) {
          const [one, upstream] = [clusters[at], clusters[from]];
          if (one === undefined || upstream === undefined || one === upstream) continue;
          if (kind === 'pull') one.pull(upstream);
          else if (one.holds(key)) made.push(one.write(key, made.length + 1));
        }
        for (const each of clusters) assert.deepEqual(each.lacking(made), []);
      }),
      { numRuns: 2_000 },
    );
  });
});
