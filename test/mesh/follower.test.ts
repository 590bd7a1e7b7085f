import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { type PeerLink } from '../../src/aae/checkedPeer.ts';
import { toHex } from '../../src/core/bytes.ts';
import { GkvError, type ErrorCode } from '../../src/core/errors.ts';
import { type Clock } from '../../src/core/ports.ts';
import { makeStamp, parseInstance, stampZero } from '../../src/core/stamp.ts';
import { MeshDigests } from '../../src/crypto/mesh.ts';
import { Follower, type FollowerDeps } from '../../src/mesh/follower.ts';
import { lagOf, newHealth, type PeerHealth } from '../../src/mesh/health.ts';
import { Upstream } from '../../src/mesh/upstream.ts';
import { positionPastAll } from '../../src/replica/cursor.ts';
import { encodeWrites } from '../../src/replica/wire.ts';
import { frontierOf, parts, stampOf } from '../core/frontiers.ts';
import { contentOf } from '../aae/hostile.ts';
import { key, openInstance, set, type Instance } from '../aae/world.ts';
import { received } from '../replica/received.ts';
import { realClock } from '../../src/server/real.ts';
import { FakeClock, seededRandom, until } from '../support.ts';
import { digests, liarId, lyingUpstream, position, saysNothing, type Lie } from './hostile.ts';
import { recordingLog, type Cluster } from './world.ts';

const [part] = parts;

/** A clock that notes for how long it was slept, but for turns that others had; it stops following after so many sleeps. */
function sleeper(clock: Clock, stop: AbortController, sleepsMax: number): { clock: Clock; slept: number[] } {
  const slept: number[] = [];
  const sleep = (ms: number): Promise<void> => {
    if (ms > 0) slept.push(ms);
    if (slept.length >= sleepsMax) stop.abort();
    return clock.sleep(ms);
  };
  return { clock: { now: () => clock.now(), monotonic: () => clock.monotonic(), sleep }, slept };
}

interface Run {
  readonly health: PeerHealth;
  readonly slept: readonly number[];
  readonly lines: Cluster['lines'];
}

type Following = Pick<Instance, 'clock' | 'clusterId'> & Pick<FollowerDeps, 'replica'>;

/** Follows the link until it has failed, or paused, so often. */
async function follow(instance: Following, link: PeerLink, sleepsMax: number, waitMs = 0, time: Clock = instance.clock): Promise<Run> {
  const stop = new AbortController();
  const { clock, slept } = sleeper(time, stop, sleepsMax);
  const health = newHealth();
  const lines: Cluster['lines'] = [];
  const random = { ...seededRandom(1), fraction: () => 0.5 };
  const upstream = new Upstream(link, liarId, { digests, clusterId: instance.clusterId, random });
  const deps = {
    ...{ replica: instance.replica, clock, random, log: recordingLog(lines), waitMs },
    ...{
      state: () => Promise.resolve(saysNothing),
      hear: () => Promise.resolve(undefined),
      floor: () => stampZero,
      onPage: () => undefined,
    },
  };
  await new Follower(liarId, upstream, health, deps).run(stop.signal);
  return { health, slept, lines };
}

const nowMs = new FakeClock().now();
const soon = makeStamp(nowMs, 0, parseInstance(new Uint8Array(8).fill(3)));
const page = (count: number, value = 'v'): Uint8Array =>
  encodeWrites(Array.from({ length: count }, (_, i) => received(digests, `k${i}`, soon, soon, { value })));
/** Two writes of one key. */
const ofOneKey = (bytes: number): Uint8Array =>
  encodeWrites(
    [0, 1].map((n) =>
      received(digests, 'k', makeStamp(nowMs - n, 0, parseInstance(new Uint8Array(8).fill(3))), soon, { value: 'x'.repeat(bytes) }),
    ),
  );
const ahead = (ms: number): Lie => ({
  cursor: { incarnation: 1, position: position(1) },
  end: frontierOf({ [part]: { base: stampOf(part, 0, nowMs + ms) } }),
});

describe('M4: an upstream that does not keep to the protocol is refused, counted, backed off from, and changes nothing', () => {
  const otherMesh = new MeshDigests({ id: new Uint8Array(32).fill(7), key: new Uint8Array(32).fill(2) });
  const raw = (answer: (frame: Uint8Array) => Uint8Array): PeerLink => ({ ask: (frame) => Promise.resolve(answer(frame)) });
  const lies: Record<string, Lie> = {
    '501 writes': { cursor: { incarnation: 1, position: position(1) }, writes: page(501) },
    'more than 512 KiB in two writes': { cursor: { incarnation: 1, position: position(1) }, writes: page(2, 'x'.repeat(300_000)) },
    'more than 768 KiB of one key': { cursor: { incarnation: 1, position: position(1) }, writes: ofOneKey(400_000) },
    'writes that are none': { cursor: { incarnation: 1, position: position(1) }, writes: Buffer.of(77) },
  };
  const links: Record<string, { link: PeerLink; code: ErrorCode }> = {
    garbage: { link: raw(() => Buffer.from('HTTP/1.1 200 OK')), code: 'peer_protocol' },
    nothing: { link: raw(() => new Uint8Array(0)), code: 'peer_protocol' },
    'its own question': { link: raw((frame) => frame), code: 'peer_protocol' },
    'a wrong mac': { link: raw((frame) => Buffer.concat([new Uint8Array(16), Buffer.from('8301', 'hex'), frame])), code: 'mesh_mismatch' },
    'a frame over the limit': { link: raw(() => new Uint8Array(1_114_113)), code: 'peer_protocol' },
    'another mesh': {
      link: { ask: () => Promise.reject(new GkvError('mesh_mismatch', `the peer is of mesh ${toHex(otherMesh.meshId)}`)) },
      code: 'mesh_mismatch',
    },
    ...Object.fromEntries(
      Object.entries(lies).map(([name, lie]) => [name, { link: lyingUpstream(() => lie).link, code: 'peer_protocol' }]),
    ),
    'another cluster answers': { link: lyingUpstream(() => ({ clusterId: new Uint8Array(16).fill(8) })).link, code: 'wrong_peer' },
  };
  for (const [name, { link, code }] of Object.entries(links)) {
    it(`${name}: ${code}`, async () => {
      const instance = await openInstance();
      await instance.replica.write([set('mine', 'v')]);
      const before = await contentOf(instance);
      const { health, slept, lines } = await follow(instance, link, 9);
      assert.equal(health.lastError?.code, code);
      assert.deepEqual([health.failures, health.connected, health.writes], [9, false, 0]);
      assert.deepEqual(slept, [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000], 'G28: half of a span that doubles up to 10 s');
      assert.equal(lines.length, 1, 'the same failure is told once');
      assert.deepEqual(await contentOf(instance), before);
      assert.equal(await instance.replica.cursor(liarId), undefined);
      assert.equal((await instance.replica.frontier()).has(part), false);
    });
  }

  it('R18: a write that fills a page by itself comes with what hides it', async () => {
    const instance = await openInstance();
    const { link } = lyingUpstream(() => ({
      ...{ cursor: { incarnation: 1, position: position(1) }, writes: ofOneKey(380_000), end: frontierOf({}) },
    }));
    const { health } = await follow(instance, link, 1);
    assert.deepEqual([health.writes, health.lastError?.message], [2, 'a page that does not go on'], 'the first is taken in');
  });

  it('a position or an incarnation that goes back, or stands still before the end: what came before stays', async () => {
    const back: Lie[] = [
      { cursor: { incarnation: 5, position: position(1) } },
      { cursor: { incarnation: 4, position: position(9) }, end: frontierOf({}) },
      { cursor: { incarnation: 5, position: position(2) } },
      { cursor: { incarnation: 5, position: position(2) }, end: frontierOf({}), writes: page(2) },
    ];
    for (const lie of back) {
      const instance = await openInstance();
      const { link } = lyingUpstream((_, request) =>
        request === 1 ? { cursor: { incarnation: 5, position: position(2) }, writes: page(1), end: frontierOf({}) } : lie,
      );
      const { health } = await follow(instance, link, 1);
      assert.equal(health.lastError?.code, 'peer_protocol');
      const cursor = await instance.replica.cursor(liarId);
      assert.deepEqual([cursor?.incarnation, toHex(cursor?.position ?? positionPastAll)], [5, toHex(position(2))]);
      assert.deepEqual([(await instance.replica.get(key('k0'))).exists, (await instance.replica.get(key('k1'))).exists], [true, false]);
    }
  });

  it('cut at every byte of a small answer', async () => {
    const instance = await openInstance();
    const whole = lyingUpstream(() => ({ cursor: { incarnation: 1, position: position(1) }, writes: page(1) })).link;
    const { signal } = new AbortController();
    let length = 0;
    const link = {
      ask: async (frame: Uint8Array): Promise<Uint8Array> => {
        const answer = await whole.ask(frame, signal);
        length = (length + 1) % answer.length;
        return answer.subarray(0, length);
      },
    };
    const { health } = await follow(instance, link, 250);
    assert.equal(health.failures, 250);
    assert.equal((await instance.replica.get(key('k0'))).exists, false);
  });
});

describe('M6: following', () => {
  it('M7: a frontier is joined no further than 5 s ahead of our clock', async () => {
    const instance = await openInstance();
    await follow(instance, lyingUpstream((_, request) => (request === 1 ? ahead(3_000_000) : { clusterId: new Uint8Array(16) })).link, 1);
    const base = (await instance.replica.frontier()).get(part)?.base;
    assert.deepEqual(base, makeStamp(nowMs + 5_000, 0, parseInstance(new Uint8Array(8))));
  });

  it('G28: pages that cannot be taken in are backed off from too', async () => {
    const instance = await openInstance();
    const { link } = lyingUpstream(() => ({ cursor: { incarnation: 1, position: position(1) }, writes: page(1) }));
    const full = new GkvError('unavailable', 'parking is full');
    const replica = Object.create(instance.replica, {
      receivePage: { value: () => Promise.reject(full) },
      frontier: { value: () => instance.replica.frontier() },
      cursor: { value: () => Promise.resolve(undefined) },
    }) as Instance['replica']; // the one method that differs
    const { health, slept, lines } = await follow({ ...instance, replica }, link, 8);
    assert.deepEqual(slept, [50, 100, 200, 400, 800, 1_600, 3_200, 5_000]);
    assert.deepEqual([health.failures, health.lastError?.code], [8, 'unavailable']);
    assert.equal(lines.filter(({ message }) => /tried again/.test(message)).length, 1);
  });

  it('I9: an upstream that says at once that there is nothing is not pressed', async () => {
    const instance = await openInstance();
    const { link, requests } = lyingUpstream(() => ({ end: frontierOf({}) }));
    const { slept, health } = await follow(instance, link, 10, 10_000);
    assert.deepEqual(
      slept,
      Array.from({ length: 10 }, () => 1_000),
    );
    assert.ok(requests() <= 11);
    assert.equal(health.failures, 0);
  });

  it('a clock that is more than 5 s off is warned of once, and again once it is right, at most once a minute', async () => {
    const instance = await openInstance();
    const skewsMs = [0, 5_000, -5_000, 5_001, ...Array<number>(58).fill(7_000), 0, 7_000, 0, 0, -5_001];
    const link = lyingUpstream((_, request) => ({
      ...{ end: frontierOf({}), statement: { ...saysNothing, wallMs: instance.clock.now() + (skewsMs[request - 1] ?? -6_000) } },
    })).link; // a page a second
    const { health, lines } = await follow(instance, link, 200, 10_000);
    assert.deepEqual(
      lines.map(({ level, fields, message }) => [level, (fields as { skewMs: number }).skewMs, /agree again/.test(message)]),
      [
        ['warn', 5_001, false],
        ['warn', 0, true],
        ['warn', -6_000, false],
      ],
    );
    assert.equal(health.skewMs, -6_000);
  });

  it('M15: what comes after a long wait makes no lag of that wait: until it came there was nothing', async () => {
    const clock = new FakeClock();
    const instance = await openInstance({ clock });
    const { link } = lyingUpstream((_, request) => {
      if (request === 1) return { cursor: { incarnation: 1, position: position(1) }, end: frontierOf({}) };
      if (request === 2) clock.ms += 9_000;
      if (request > 3) return { clusterId: new Uint8Array(16) };
      return { cursor: { incarnation: 1, position: position(request) }, writes: page(1) };
    });
    const { health } = await follow(instance, link, 1, 10_000);
    const lagMs = lagOf(health, clock.monotonic()) ?? 0;
    assert.ok(lagMs > 0 && lagMs < 1_000, `${lagMs} ms`);
  });

  it('M15: how many writes are behind the last page is what that one tells, or one before it on the way to the end', async () => {
    const told: (number | undefined)[] = [];
    for (const pages of [1, 2, 3, 4, 5]) {
      const instance = await openInstance();
      const { link } = lyingUpstream((_, request) => {
        if (request > pages) return { clusterId: new Uint8Array(16) };
        const more = [{ behind: 700 }, {}, { end: frontierOf({}) }, {}, { behind: 1_000 }][request - 1];
        return { cursor: { incarnation: 1, position: position(request) }, writes: page(1), ...more };
      });
      told.push((await follow(instance, link, 1)).health.behind);
    }
    assert.deepEqual(told, [700, 700, 0, undefined, 1_000]);
  });

  it('M6: writes without authority are told once a minute, with how many came since', async () => {
    const { replica, ...others } = await openInstance();
    const clock = new FakeClock();
    const denying: FollowerDeps['replica'] = {
      cursor: (peer) => replica.cursor(peer),
      frontier: () => replica.frontier(),
      receivePage: (writes) => Promise.resolve({ results: writes.map(() => ({ status: 'denied', stamp: stampZero })), isMoved: true }),
    };
    const { link } = lyingUpstream((_, request) => {
      clock.ms += 1_000;
      return {
        cursor: { incarnation: 1, position: position(Math.min(request, 130)) },
        end: frontierOf({}),
        ...(request > 130 ? {} : { writes: page(2) }),
      };
    });
    const { lines } = await follow({ ...others, replica: denying, clock }, link, 5, 10_000, clock);
    assert.deepEqual(
      lines.filter(({ message }) => message.startsWith('writes without')).map(({ level, fields }) => [level, fields]),
      [2, 120, 120].map((denied) => ['warn', { peer: toHex(liarId), denied }]),
    );
  });

  it('the next page is under way while one is taken in, and no more than that', async () => {
    const instance = await openInstance();
    let underWay = 0;
    let most = 0;
    const { link: pages } = lyingUpstream((_, request) => {
      if (request > 20) return { clusterId: new Uint8Array(16) };
      return { cursor: { incarnation: 1, position: position(request) }, writes: page(1) };
    });
    const link: PeerLink = {
      ask: async (frame, signal) => {
        underWay += 1;
        most = Math.max(most, underWay);
        const answer = await pages.ask(frame, signal);
        underWay -= 1;
        return answer;
      },
    };
    const { health } = await follow(instance, link, 1);
    assert.equal(most, 1);
    assert.deepEqual([health.pages, health.writes, health.applied], [20, 20, 1]);
    await until(async () => toHex((await instance.replica.cursor(liarId))?.position ?? positionPastAll) === toHex(position(20)));
  });

  it('M5: behind a page that is not the last it asks for one at once, whether there is more or not', async () => {
    const instance = await openInstance();
    const waits: number[] = [];
    const { link } = lyingUpstream(({ waitMs }, request) => {
      waits.push(waitMs);
      if (request > 4) return { clusterId: new Uint8Array(16) };
      return { cursor: { incarnation: 1, position: position(request) }, writes: page(1), ...(request === 3 && { end: frontierOf({}) }) };
    });
    await follow(instance, link, 1, 10_000);
    assert.deepEqual(waits.slice(0, 5), [0, 0, 0, 10_000, 0]);
  });

  it('the next question has left before the page before it is decided, though its connection waits for a turn of the event loop', async () => {
    const instance = await openInstance();
    const told: string[] = [];
    const { link: pages } = lyingUpstream((_, request) => {
      if (request > 5) return { clusterId: new Uint8Array(16) };
      return { cursor: { incarnation: 1, position: position(request) }, writes: page(1) };
    });
    const link: PeerLink = {
      ask: async (frame, signal) => {
        await new Promise(setImmediate);
        told.push('asked');
        return pages.ask(frame, signal);
      },
    };
    const replica = Object.create(instance.replica, {
      ...{ frontier: { value: () => instance.replica.frontier() }, cursor: { value: () => instance.replica.cursor(liarId) } },
      receivePage: {
        value: (...[writes, peer, move]: Parameters<Instance['replica']['receivePage']>) => {
          told.push('taken');
          return instance.replica.receivePage(writes, peer, move);
        },
      },
    }) as Instance['replica'];
    await follow({ ...instance, replica }, link, 1, 0, realClock);
    assert.deepEqual(told, ['asked', ...Array.from({ length: 5 }, () => ['asked', 'taken']).flat()]);
  });
});
