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
    const eu = { ...us, clusterId: 'unheard', regionName: 'eu', connected: false, lagMs: null, lagWrites: null, clockSkewMs: null };
    const text = await new Metrics({ ...readings, peers: () => Promise.resolve([us, eu]) }, silentLog).text();
    assert.match(text, /gkvmesh_peer_connected\{peer="unheard",region="eu"\} 0/);
    assert.doesNotMatch(text, /gkvmesh_peer_(lag_seconds|lag_writes|clock_skew_seconds)\{peer="unheard"/);
    assert.match(text, /gkvmesh_peer_lag_writes\{peer="[0-9a-f-]+",region="us"\} 12/);
    assert.match(text, /gkvmesh_peer_clock_skew_seconds\{peer="[0-9a-f-]+",region="us"\} -2/);
  });
});

describe('metrics of origins', () => {
  it('M15: tell how old that is up to which all of each is here, and are left out where that is not known', async () => {
    const text = await new Metrics(readingsOf(new StubStore()), silentLog).text();
    const told = text.split('\n').filter((line) => line.startsWith('gkvmesh_origin_age_seconds'));
    assert.deepEqual(told, ['gkvmesh_origin_age_seconds{peer="00000000-0000-4000-8000-000000000001",region="us"} 1.75']);
  });
});

describe('metrics of what waits', () => {
  it('R9: leave out by reason what some have waited for since before that was counted', async () => {
    const byReason = { clockAhead: null, grantUnknown: null };
    const readings = { ...readingsOf(new StubStore()), parked: () => Promise.resolve({ writes: 2, bytes: 3, byReason }) };
    const text = await new Metrics(readings, silentLog).text();
    assert.match(text, /^gkvmesh_parked_writes 2$/m);
    assert.doesNotMatch(text, /^gkvmesh_parked_(clock|grant)_writes/m);
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
