import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { silentLog } from '../../src/core/ports.ts';
import { Metrics } from '../../src/http/metrics.ts';
import { readingsOf } from './harness.ts';
import { StubStore } from './stubStore.ts';

describe('metrics of members', () => {
  it('lag and clock of one that was never heard of are left out, and what is known is told', async () => {
    const readings = readingsOf(new StubStore());
    const [us] = await readings.peers();
    assert.ok(us !== undefined);
    const eu = { ...us, clusterId: 'unheard', regionName: 'eu', connected: false, lagMs: null, clockSkewMs: null };
    const text = await new Metrics({ ...readings, peers: () => Promise.resolve([us, eu]) }, silentLog).text();
    assert.match(text, /gkvmesh_peer_connected\{peer="unheard",region="eu"\} 0/);
    assert.doesNotMatch(text, /gkvmesh_peer_(lag|clock_skew)_seconds\{peer="unheard"/);
    assert.match(text, /gkvmesh_peer_clock_skew_seconds\{peer="[0-9a-f-]+",region="us"\} -2/);
  });
});

describe('metrics of scrubs', () => {
  it('tell what the last one found, and are left out where there was none', async () => {
    const readings = readingsOf(new StubStore());
    const text = await new Metrics(readings, silentLog).text();
    for (const line of ['age_seconds 61', 'keys 7', 'repaired_branches 1', 'damaged_keys 2'])
      assert.match(text, new RegExp(`^gkvmesh_scrub_${line}$`, 'm'));
    const unknown = { ageMs: undefined, keys: undefined, repaired: undefined, damaged: undefined };
    assert.doesNotMatch(await new Metrics({ ...readings, scrubbed: () => unknown }, silentLog).text(), /^gkvmesh_scrub_/m);
  });
});

describe('metrics of low and floor', () => {
  it('tell their ages, and are left out where there is none', async () => {
    const text = await new Metrics(readingsOf(new StubStore()), silentLog).text();
    assert.match(text, /^gkvmesh_low_age_seconds 1\.25$/m);
    assert.doesNotMatch(text, /^gkvmesh_floor_age_seconds/m);
  });
});
