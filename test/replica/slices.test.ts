import assert from 'node:assert/strict';
import { GkvError, hasCode } from '../../src/core/errors.ts';
import { inSlices } from '../../src/replica/slices.ts';
import { openInstance } from '../aae/world.ts';

const range = { start: Uint8Array.of(0), end: Uint8Array.of(100) };
const never = new AbortController().signal;

describe('slices of a range', () => {
  it('I9: a transaction that is too large is made again with half as many rows, and nothing is left out or done twice', async () => {
    const { store } = await openInstance();
    const [tried, done]: [number[], number[]] = [[], []];
    const changed = await inSlices(store, range, never, (_tx, left, rows) => {
      tried.push(rows);
      if (rows > 30) throw new GkvError('transaction_too_large', 'too many rows for this test');
      const from = left.start[0] ?? 0;
      const to = Math.min(100, from + rows);
      for (let at = from; at < to; at += 1) done.push(at);
      return Promise.resolve({ changed: to - from, next: to === 100 ? undefined : Uint8Array.of(to) });
    });
    assert.deepEqual(tried, [200, 100, 50, 25, 25, 25, 25]);
    assert.deepEqual([changed, done], [100, Array.from({ length: 100 }, (_, at) => at)]);
  });

  it('I9: one row that is too large by itself, and any other error, ends it', async () => {
    const { store } = await openInstance();
    for (const code of ['transaction_too_large', 'disk_full'] as const) {
      let tries = 0;
      const failing = inSlices(store, range, never, () => {
        tries += 1;
        throw new GkvError(code, 'for this test');
      });
      await assert.rejects(failing, (error) => hasCode(error, code));
      assert.equal(tries, code === 'disk_full' ? 1 : 9);
    }
  });

  it('ends between two transactions when the signal aborts', async () => {
    const { store } = await openInstance();
    const stop = new AbortController();
    const changed = await inSlices(store, range, stop.signal, (_tx, left) => {
      if (left.start[0] === 2) stop.abort();
      return Promise.resolve({ changed: 1, next: Uint8Array.of((left.start[0] ?? 0) + 1) });
    });
    assert.equal(changed, 3);
  });
});
