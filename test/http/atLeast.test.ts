import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { request } from 'undici';
import { makeStamp, parseInstance, stampToHex, type Stamp } from '../../src/core/stamp.ts';
import { type DataStore } from '../../src/http/ports.ts';
import { openInstance, set } from '../aae/world.ts';
import { frontierOf, parts, stampOf } from '../core/frontiers.ts';
import { ManualClock, until } from '../support.ts';
import { b64, codeOf, post, startApi } from './harness.ts';
import { StubStore } from './stubStore.ts';

const stamp = stampToHex(makeStamp(5, 0, parseInstance(new Uint8Array(8))));

/** Reads wait until the test says how that ends. */
class WaitingStore extends StubStore implements DataStore {
  readonly waits: { accepted: Stamp; msMax: number; end: (isCovered: boolean) => void }[] = [];

  override waitFor(accepted: Stamp, msMax = 0): Promise<boolean> {
    return new Promise((end) => this.waits.push({ accepted, msMax, end }));
  }
}

describe('R22: atLeast over HTTP', () => {
  for (const [path, body] of [
    ['/data/get', { key: b64('k'), atLeast: stamp }],
    ['/data/list', { atLeast: stamp }],
  ] as const) {
    it(`${path} reads once it is there, and is 503 unavailable with Retry-After where it does not come within 5 s`, async () => {
      const store = new WaitingStore();
      await using api = await startApi({ store });
      for (const isCovered of [true, false]) {
        const answering = post(`${api.url}${path}`, body);
        await until(() => store.waits.length === 1);
        const [wait] = store.waits.splice(0);
        assert.ok(wait !== undefined);
        assert.deepEqual([stampToHex(wait.accepted), wait.msMax], [stamp, 5_000]);
        wait.end(isCovered);
        const { status, json, headers } = await answering;
        assert.equal(status, isCovered ? 200 : 503);
        if (!isCovered) assert.deepEqual([codeOf(json), headers['retry-after']], ['unavailable', '1']);
      }
    });

    it(`${path}: anything but 32 lower-case hex digits is malformed, and nothing waits`, async () => {
      const store = new WaitingStore();
      await using api = await startApi({ store });
      for (const atLeast of ['', 'x'.repeat(32), stamp.slice(1), `${stamp}0`, 'A'.repeat(32), 5, null]) {
        const { status, json } = await post(`${api.url}${path}`, { ...body, atLeast });
        assert.deepEqual([status, codeOf(json)], [400, 'malformed'], String(atLeast));
      }
      assert.equal(store.waits.length, 0);
    });
  }

  it('I9: 1,000 wait at a time; one more reads what is there, and is unavailable at once where it is not', async () => {
    const store = new WaitingStore();
    await using api = await startApi({ store });
    const body = { key: b64('k'), atLeast: stamp };
    const answers = Array.from({ length: 1_000 }, () => post(`${api.url}/data/get`, body));
    await until(() => store.waits.length === 1_000);
    for (const isCovered of [true, false]) {
      const answering = post(`${api.url}/data/get`, body);
      await until(() => store.waits.length === 1_001);
      const wait = store.waits.pop();
      assert.ok(wait?.msMax === 0);
      wait.end(isCovered);
      assert.equal((await answering).status, isCovered ? 200 : 503);
    }
    for (const { end } of store.waits) end(true);
    for (const { status } of await Promise.all(answers)) assert.equal(status, 200);
  });
});

describe('R22: who waits and goes away', () => {
  it('I9: waits no longer', async () => {
    const signals: AbortSignal[] = [];
    class Watched extends StubStore {
      override waitFor(...[, , signal]: Partial<Parameters<DataStore['waitFor']>>): Promise<boolean> {
        assert.ok(signal !== undefined);
        signals.push(signal);
        return new Promise((resolve) => { signal.addEventListener('abort', () => { resolve(false); }); }); // prettier-ignore
      }
    }
    await using api = await startApi({ store: new Watched() });
    const leaving = new AbortController();
    const answering = request(`${api.url}/data/get`, {
      ...{ method: 'POST', body: JSON.stringify({ key: b64('k'), atLeast: stamp }), signal: leaving.signal },
    });
    await until(() => signals.length === 1);
    leaving.abort();
    await assert.rejects(answering);
    await until(() => signals[0]?.aborted === true);
  });
});

describe('R22: waiting for a stamp', () => {
  const never = new AbortController().signal;
  const [part] = parts;
  const peerId = new Uint8Array(16).fill(9);

  it('our own is there with its answer; what comes from elsewhere wakes who waits, by its slot or by a base', async () => {
    const clock = new ManualClock();
    const { replica } = await openInstance({ clock });
    const [outcome] = await replica.write([set('k', 'v')]);
    assert.ok(outcome !== undefined && (await replica.waitFor(outcome.accepted, 0, never)));
    const nowMs = clock.now();
    for (const [ms, joins] of [
      [1, frontierOf({ [part]: { base: stampOf(part, 0, 0), slots: { 3: stampOf(part, 3, nowMs + 1) } } })],
      [2, frontierOf({ [part]: { base: stampOf(part, 0, 0), slots: { 3: stampOf(part, 3, nowMs + 2) } } })],
    ] as const) {
      const waiting = replica.waitFor(stampOf(part, 3, nowMs + ms), 5_000, never);
      await clock.advance(100);
      await replica.receivePage([], '09'.repeat(16), { peerId, cursor: undefined, joins });
      assert.equal(await waiting, true);
    }
    const byBase = replica.waitFor(stampOf(part, 4, nowMs + 1), 5_000, never);
    await replica.receivePage([], '09'.repeat(16), {
      peerId,
      cursor: undefined,
      joins: frontierOf({ [part]: { base: stampOf(part, 0, nowMs + 2) } }),
    });
    await clock.advance(600);
    assert.equal(await byBase, true);
  });

  it('ends after its bound, and at once when the signal aborts', async () => {
    const clock = new ManualClock();
    const { replica } = await openInstance({ clock });
    const waiting = replica.waitFor(stampOf(part, 0, clock.now()), 5_000, never);
    let ended: boolean | undefined;
    void waiting.then((isCovered) => (ended = isCovered));
    await clock.advance(4_900);
    assert.equal(ended, undefined);
    await clock.advance(200);
    assert.equal(await waiting, false);
    const stop = new AbortController();
    const aborted = replica.waitFor(stampOf(part, 0, clock.now()), 5_000, stop.signal);
    stop.abort();
    assert.equal(await aborted, false);
  });
});
