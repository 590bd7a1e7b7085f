import assert from 'node:assert/strict';
import { hasCode } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/ports.ts';
import { stampZero } from '../../src/core/stamp.ts';
import { epochNone } from '../../src/mesh/epoch.ts';
import { Standing } from '../../src/mesh/standing.ts';
import { type Statement } from '../../src/mesh/statement.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { TestClock } from '../support.ts';
import { openStore } from './region.ts';

const peer = new Uint8Array(16).fill(7);
const name = Buffer.from(peer).toString('hex');
const isRollback = (error: unknown): boolean => hasCode(error, 'rollback_detected');

function said(progress: number, ...openings: readonly (readonly [number, number])[]): Statement {
  const members = [{ clusterId: peer, incarnation: 1, low: stampZero, epoch: epochNone, isLevel: false }];
  const lineage = { progress, openings: openings.map(([number, began]) => ({ id: new Uint8Array(8).fill(number), began })) };
  return { wallMs: 1, floor: stampZero, lineage, reach: { epoch: epochNone, members: [] }, members };
}

const good = said(100, [1, 0]);
const copy = said(100, [1, 0], [2, 90]);

describe('M20: what is kept of a member', () => {
  const open = (): (() => Standing) => {
    const store = openStore(new MemoryDatabase());
    return () => new Standing({ store, clock: new TestClock(), log: silentLog, isMember: () => true });
  };

  it('is not what a copy of its store said: it is refused by each instance, however often it asks', async () => {
    const instance = open();
    await instance().hear(peer, good);
    for (let i = 0; i < 3; i += 1) await assert.rejects(instance().hear(peer, copy), isRollback);
  });

  it('is looked up anew after 10 s: another instance may have heard of a copy, or of what comes after one', async () => {
    const store = openStore(new MemoryDatabase());
    const clock = new TestClock();
    const [one, two] = [1, 2].map(() => new Standing({ store, clock, log: silentLog, isMember: () => true })) as [Standing, Standing];
    await one.hear(peer, good);
    await two.hear(peer, said(110, [1, 0], [3, 105]));
    await one.hear(peer, said(120, [1, 0]));
    clock.advance(10_000);
    await assert.rejects(one.hear(peer, said(121, [1, 0])), isRollback);
  });

  it('is in no good standing for a minute after its last cause, though the original beside the copy goes on', async () => {
    const standing = open()();
    await standing.hear(peer, good);
    await assert.rejects(standing.hear(peer, copy), isRollback);
    await standing.hear(peer, said(110, [1, 0], [3, 105]));
    assert.equal(standing.isGood(name), false);
  });
});
