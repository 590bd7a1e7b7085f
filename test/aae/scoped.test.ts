import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { type PeerLink } from '../../src/aae/checkedPeer.ts';
import { type DriverDeps, type PullReport } from '../../src/aae/driver.ts';
import { type Ask } from '../../src/aae/message.ts';
import { exchangeWithin } from '../../src/aae/scoped.ts';
import { hasCode } from '../../src/core/errors.ts';
import { allKeys, inRange, prefixRange, type KeyRange } from '../../src/core/key.ts';
import { commonScope, isInScope, scopeOf, type Scope } from '../../src/core/scope.ts';
import { makeStamp, parseInstance } from '../../src/core/stamp.ts';
import { encodeWrites } from '../../src/replica/wire.ts';
import { received } from '../replica/received.ts';
import { FakeClock } from '../support.ts';
import { askFrame, contentOf } from './hostile.ts';
import { assertTree } from './oracle.ts';
import { key, openInstance, set, type Instance } from './world.ts';

const names = ['a', 'b', 'c', 'd'].flatMap((side) => Array.from({ length: 60 }, (_, i) => `${side}/${String(i).padStart(2, '0')}`));
const prefix = (text: string): KeyRange => prefixRange(Buffer.from(text));
const scope = fc.subarray(['a/', 'b/', 'b/3', 'c/', 'd/1'], { minLength: 1 }).map((texts) => scopeOf(texts.map(prefix)));
const held = fc.subarray(names);

/** What it holds, by key. */
async function content({ replica }: Instance): Promise<Map<string, string>> {
  const { entries } = await replica.list({ range: allKeys, limit: 1_000, order: 'forward', values: 'with' });
  return new Map(entries.map((each) => [Buffer.from(each.key).toString(), Buffer.from(each.value).toString()]));
}

async function loaded(cluster: number, texts: readonly string[]): Promise<Instance> {
  const instance = await openInstance({ cluster, seed: cluster, fan: 3 });
  await instance.replica.write(texts.map((name) => set(name, String(cluster))));
  return instance;
}

function exchangeOf(a: Instance, b: Instance, own: Scope, peer: Scope, range: KeyRange = allKeys): Promise<PullReport> {
  const { store, digests, clusterId, replica, clock, random } = a;
  const link: PeerLink = { ask: (frame) => b.responder.answer(frame, { own: peer, peer: own }) };
  const sink: DriverDeps['sink'] = { receive: (writes, from) => replica.receive(writes, from) };
  const deps = { store, digests, clusterId, clock, random, sink };
  const options = { scope: range, direction: 'both', onProgress: () => undefined, signal: new AbortController().signal } as const;
  return exchangeWithin({ own, peer }, deps, link, options);
}

describe('A20: an exchange of two that hold parts', () => {
  it('I2: makes equal what both may hold, and changes nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(held, held, scope, scope, fc.constantFrom(allKeys, prefix('b/')), async (mine, theirs, own, peer, range) => {
        const [a, b] = [await loaded(1, mine), await loaded(2, theirs)];
        const [beforeA, beforeB] = [await content(a), await content(b)];
        const common = commonScope({ own, peer });
        const isBoth = (name: string): boolean => isInScope(key(name), common) && inRange(key(name), range);
        const report = await exchangeOf(a, b, own, peer, range).catch((error: unknown) => {
          assert.ok(hasCode(error, 'scope_mismatch') && !names.some(isBoth));
          return undefined;
        });
        assert.ok(report?.converged ?? true);
        const [afterA, afterB] = [await content(a), await content(b)];
        for (const name of names) {
          if (!isBoth(name)) assert.deepEqual([afterA.get(name), afterB.get(name)], [beforeA.get(name), beforeB.get(name)]);
          else {
            assert.equal(afterA.get(name), afterB.get(name));
            assert.equal(afterA.has(name), beforeA.has(name) || beforeB.has(name));
          }
        }
        for (const each of [a, b]) await assertTree(each.store, each.digests);
      }),
      { numRuns: 40 },
    );
  });

  it('what goes beyond that is refused, nothing of it is told or taken in, and within it is answered', async () => {
    const instance = await loaded(2, names);
    const own = scopeOf([prefix('a/'), prefix('b/')]);
    const scopes = { own: scopeOf([allKeys]), peer: own };
    const fingerprint = new Uint8Array(8);
    const stamp = makeStamp(new FakeClock().now(), 0, parseInstance(new Uint8Array(8)));
    const span = (start: string, end: string): Ask['spans'][number] => ({
      start: Buffer.from(start),
      parts: [{ end: Buffer.from(end), fingerprint }],
    });
    const write = (name: string): Uint8Array => encodeWrites([received(instance.digests, name, stamp, stamp, { value: 'theirs' })]);
    const beyond: Partial<Ask>[] = [
      { scope: allKeys },
      { spans: [span('a/', 'c/1')] },
      { spans: [span('a/', 'a0'), span('c/', 'c0')] },
      { spans: [{ start: Buffer.from('a/'), parts: [{ end: null, fingerprint }] }] },
      { wants: [{ range: prefix('c/'), ids: new Uint8Array(6) }] },
      { fetch: { start: Buffer.from('a/'), end: null } },
      { fetch: { start: Buffer.from('A'), end: Buffer.from('b') } },
      { writes: write('c/x') },
    ];
    const before = await contentOf(instance);
    for (const ask of beyond) {
      const frame = askFrame({ scope: prefix('a/'), ...ask }, instance.digests);
      await assert.rejects(instance.responder.answer(frame, scopes), (error) => hasCode(error, 'scope_mismatch'));
      assert.deepEqual(await contentOf(instance), before);
      await instance.responder.answer(askFrame({ scope: prefix('a/') }, instance.digests), scopes);
    }
    await instance.responder.answer(
      askFrame({ scope: prefix('a/'), fetch: prefix('a/1'), writes: write('a/x') }, instance.digests),
      scopes,
    );
    assert.equal((await content(instance)).get('a/x'), 'theirs');
  });
});
