import assert from 'node:assert/strict';
import { type PeerLink } from '../../src/aae/checkedPeer.ts';
import { type DriverDeps } from '../../src/aae/driver.ts';
import { exchangeWithin } from '../../src/aae/scoped.ts';
import { allKeys, prefixRange } from '../../src/core/key.ts';
import { scopeOf } from '../../src/core/scope.ts';
import { FakeClock } from '../support.ts';
import { openInstance, set } from './world.ts';

describe('A20: M7: an exchange over several ranges', () => {
  it('tells what any of them parked, and has converged only where all have', async () => {
    const behind = new FakeClock();
    behind.ms -= 60_000;
    const a = await openInstance({ cluster: 1 });
    const b = await openInstance({ cluster: 2, clock: behind });
    await a.replica.write([set('a/x', '1')]);
    const scope = scopeOf(['a/', 'c/'].map((text) => prefixRange(Buffer.from(text))));
    const link: PeerLink = { ask: (frame) => a.responder.answer(frame, { own: scope, peer: scope }) };
    const sink: DriverDeps['sink'] = { receive: (writes, from) => b.replica.receive(writes, from) };
    const { store, digests, clusterId, clock, random } = b;
    const options = { scope: allKeys, direction: 'both', onProgress: () => undefined, signal: new AbortController().signal } as const;
    const report = await exchangeWithin({ own: scope, peer: scope }, { store, digests, clusterId, clock, random, sink }, link, options);
    assert.deepEqual([report.parked, report.converged], [1, false]);
  });
});
