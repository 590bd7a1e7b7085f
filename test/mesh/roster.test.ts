import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { withEnded, type Members, type PeerRecord } from '../../src/mesh/peers.ts';
import { toHex } from '../../src/core/bytes.ts';
import { Roster } from '../../src/mesh/roster.ts';

const none: Members = { records: [], joining: [], unreadable: [], removed: [] };

function record(of: number): PeerRecord {
  return { clusterId: Buffer.alloc(16, of), address: { host: 'localhost', port: 1 }, upstreams: undefined, regionName: `r${of}` };
}

/** A roster of cluster 1 whose reads end when the test says, with what the test says. */
function slowRoster(): { roster: Roster; reads: ((members: Members) => void)[] } {
  const reads: ((members: Members) => void)[] = [];
  const read = (): Promise<Members> => new Promise((resolve) => reads.push(resolve));
  const replica = { ended: () => Promise.resolve([]), end: () => Promise.resolve() };
  return { roster: new Roster({ clusterId: record(1).clusterId, incarnation: 1 }, { read }, replica), reads };
}

describe('M10: the members, read by two at a time', () => {
  it('are those of the read that began last, whichever ends last: who joins is not forgotten again', async () => {
    const { roster, reads } = slowRoster();
    const [early, late] = [roster.read(), roster.read()];
    reads[1]?.({ ...none, records: [record(1)], joining: [record(2)] });
    await late;
    const { epoch } = roster;
    assert.equal(roster.joining().length, 1);
    reads[0]?.({ ...none, records: [record(1), record(3)] });
    await early;
    assert.equal(roster.joining().length, 1);
    assert.deepEqual(roster.epoch, epoch);
  });

  it('are read by each in its order, where one ends before the next begins or ends', async () => {
    const { roster, reads } = slowRoster();
    const [early, late] = [roster.read(), roster.read()];
    reads[0]?.({ ...none, records: [record(1), record(3)] });
    await early;
    assert.equal(roster.records().length, 2);
    reads[1]?.({ ...none, records: [record(1)], joining: [record(2)] });
    await late;
    assert.deepEqual([roster.records().length, roster.joining().length], [1, 1]);
  });
});

describe('M28: who is known to have ended', () => {
  const ended = { clusterId: record(2).clusterId, incarnation: 1, removal: '00'.repeat(8), settled: true };
  const there: Members = { ...none, records: [record(1)], joining: [record(3)], unreadable: [toHex(record(4).clusterId)] };

  it('is no member, whatever is written of it since: as a member, as one that joins, or what cannot be read', () => {
    for (const again of [
      { ...there, records: [record(1), record(2)] },
      { ...there, joining: [record(2), record(3)] },
      { ...there, unreadable: [toHex(record(2).clusterId), ...there.unreadable] },
    ])
      assert.deepEqual(withEnded(again, [ended]), { ...there, removed: [ended] });
  });

  it('is not told of where nothing is written of it', () => {
    assert.deepEqual(withEnded(there, [ended]), there);
  });
});
