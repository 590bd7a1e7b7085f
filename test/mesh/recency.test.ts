import assert from 'node:assert/strict';
import { hasCode } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/ports.ts';
import { makeStamp, type Stamp } from '../../src/core/stamp.ts';
import { instanceOf } from '../../src/crypto/mesh.ts';
import { Recency } from '../../src/mesh/recency.ts';

const hour = 3_600_000;
const at = (hours: number): Stamp => makeStamp(hours * hour, 0, instanceOf(new Uint8Array(16).fill(1), 1, 0));

describe('M25: whether we have what the floor counts on', () => {
  it('is asked again for a floor that was told while we looked', async () => {
    const recency = new Recency(silentLog);
    recency.note(at(100));
    await recency.meet(() => {
      recency.note(at(200));
      return Promise.resolve(at(110));
    });
    assert.equal(recency.fault, undefined);
    await recency.meet(() => Promise.resolve(at(110)));
    assert.ok(hasCode(recency.fault, 'must_bootstrap'));
  });

  it('is asked once for each floor, of which none takes the place of a greater one', async () => {
    const recency = new Recency(silentLog);
    let asked = 0;
    const age = (): Promise<Stamp> => {
      asked += 1;
      return Promise.resolve(at(300));
    };
    for (const [floor, times] of [
      [100, 1],
      [100, 1],
      [90, 1],
      [101, 2],
    ] as const) {
      recency.note(at(floor));
      await recency.meet(age);
      assert.equal(asked, times);
    }
    assert.deepEqual([recency.floor, recency.fault], [at(101), undefined]);
  });
});
