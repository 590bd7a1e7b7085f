import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { beginWait } from '../../src/core/wait.ts';

describe('waits', () => {
  it('a wait aborts with any of its signals, for the reason of that one', () => {
    const [one, other] = [new AbortController(), new AbortController()];
    const { signal } = beginWait(one.signal, other.signal);
    assert.equal(signal.aborted, false);
    other.abort('enough');
    one.abort('too late');
    assert.equal(signal.reason, 'enough');
  });

  it('a wait within what has aborted has aborted from the beginning', () => {
    const { signal } = beginWait(new AbortController().signal, AbortSignal.abort('before'));
    assert.equal(signal.reason, 'before');
  });

  it('a wait that is ended aborts, once, and the others go on', () => {
    const outer = new AbortController();
    const [ended, other] = [beginWait(outer.signal), beginWait(outer.signal)];
    let heard = 0;
    ended.signal.addEventListener('abort', () => (heard += 1));
    ended.end();
    ended.end();
    assert.equal(other.signal.aborted, false);
    outer.abort('later');
    assert.equal(heard, 1);
    assert.notEqual(ended.signal.reason, 'later');
    assert.equal(other.signal.reason, 'later');
  });

  it('I9: however many wait within a signal, it has one listener', () => {
    const outer = new AbortController();
    const waits = Array.from({ length: 300 }, () => beginWait(outer.signal));
    assert.equal(getEventListeners(outer.signal, 'abort').length, 1);
    outer.abort();
    assert.ok(waits.every(({ signal }) => signal.aborted));
  });
});
