import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { describeMembers, memberTable } from '../../src/cli/memberTable.ts';

const [own, other] = ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'];

/** The lines of a mesh of two, as one of them sees the other. */
function linesOf(seen: Readonly<Record<string, unknown>>): string[] {
  const [us, them] = [own, other].map((clusterId) => ({ clusterId, address: 'host:6200', regionName: 'r' }));
  const state = { followed: true, connected: true, lagMs: 40, atEpoch: true, clockSkewMs: 0, low: null, scope: ['**'], lastError: null };
  const peer = { ...them, ...state, defects: 0, ...seen };
  const mesh = { low: '0'.repeat(32), scope: ['**'], epoch: 'e', removed: [], joining: [], peers: [peer] };
  return memberTable(describeMembers({ peers: [us, them] }, { clusterId: own, mesh }), 0);
}

const lineOf = (lines: readonly string[]): string => lines.find((line) => line.includes(other)) ?? '';

describe('the table of members', () => {
  it('has the lag also of one that is not connected, and none of one that was never heard of', () => {
    assert.match(lineOf(linesOf({})), / yes +40 ms /);
    assert.match(lineOf(linesOf({ connected: false, lagMs: 31_000 })), / no +31000 ms +- +0 +-$/);
    assert.match(lineOf(linesOf({ connected: false, lagMs: null, clockSkewMs: null })), / no +- +- +0 +-$/);
  });

  it('names a region whose clock is more than 5 s off, connected or not', () => {
    const told = (clockSkewMs: number, connected = true): string[] =>
      linesOf({ clockSkewMs, connected }).filter((line) => line.includes('clock'));
    for (const skewMs of [0, 5_000, -5_000]) assert.deepEqual(told(skewMs), []);
    assert.match(told(5_100).join('\n'), new RegExp(`^${other} has a clock 5\\.1 s ahead of that `));
    assert.match(told(-3_600_000, false).join('\n'), new RegExp(`^${other} has a clock 3600\\.0 s behind that `));
  });
});
