import assert from 'node:assert/strict';
import { type PeerLink } from '../../src/aae/checkedPeer.ts';
import { type DriverDeps, type PullReport } from '../../src/aae/driver.ts';
import { exchangeWithin } from '../../src/aae/scoped.ts';
import { allKeys, prefixRange } from '../../src/core/key.ts';
import { scopeOf } from '../../src/core/scope.ts';
import { FakeClock } from '../support.ts';
import { type Instance, openInstance, set } from './world.ts';

describe('A20: M7: an exchange over several ranges', () => {
  const scope = scopeOf(['a/', 'c/'].map((text) => prefixRange(Buffer.from(text))));

  function exchanged(b: Instance, link: PeerLink): Promise<PullReport> {
    const sink: DriverDeps['sink'] = { receive: (writes, from) => b.replica.receive(writes, from) };
    const { store, digests, clusterId, clock, random } = b;
    const options = { scope: allKeys, direction: 'both', onProgress: () => undefined, signal: new AbortController().signal } as const;
    return exchangeWithin({ own: scope, peer: scope }, { store, digests, clusterId, clock, random, sink }, link, options);
  }

  it('tells what any of them parked, and has converged only where all have', async () => {
    const behind = new FakeClock();
    behind.ms -= 60_000;
    const a = await openInstance({ cluster: 1 });
    const b = await openInstance({ cluster: 2, clock: behind });
    await a.replica.write([set('a/x', '1')]);
    const report = await exchanged(b, { ask: (frame) => a.responder.answer(frame, { own: scope, peer: scope }) });
    assert.deepEqual([report.parked, report.converged], [1, false]);
  });

  it('I7: tells all that any of them missed', async () => {
    const a = await openInstance({ cluster: 1 });
    const b = await openInstance({ cluster: 2, seed: 2 });
    const overwrite = (value: string): Promise<unknown> => a.replica.write(['a/x', 'c/x'].map((name) => set(name, value)));
    await overwrite('first');
    await b.replica.write(['a/y', 'c/y'].map((name) => set(name, '1'))); // else all would be sent at once, as to who has nothing
    // What was listed is overwritten before it is asked for, in each of the two ranges.
    const report = await exchanged(b, {
      ask: async (frame) => {
        const answer = await a.responder.answer(frame, { own: scope, peer: scope });
        await overwrite('again');
        return answer;
      },
    });
    assert.deepEqual([report.missed, report.converged], [2, false]);
  });
});
