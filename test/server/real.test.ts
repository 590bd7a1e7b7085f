import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { realClock } from '../../src/server/real.ts';

describe('the clock of the machine', () => {
  const { now } = Date;
  afterEach(() => {
    Date.now = now;
  });

  it('C3: is never before the first stamp, whatever the machine takes the year to be', () => {
    Date.now = () => -4_513_000_000;
    assert.equal(realClock.now(), 0);
    Date.now = () => 1_700_000_000_000;
    assert.equal(realClock.now(), 1_700_000_000_000);
  });
});
