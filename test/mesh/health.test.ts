import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { GkvError } from '../../src/core/errors.ts';
import { lagOf, lagWritesOf, newHealth, noteFailure } from '../../src/mesh/health.ts';

describe('M15: lag', () => {
  it('is not known of who was never level', () => {
    assert.equal(lagOf({ ...newHealth(), connected: true, lateAtMs: 100 }, 5), undefined);
  });

  it('is 0 while all is here and the answer is not late, and else grows from when that was last known', () => {
    const level = { ...newHealth(), connected: true, isLevel: true, levelAtMs: 10, lateAtMs: 100 };
    assert.deepEqual([lagOf(level, 99), lagOf(level, 100), lagOf(level, 150)], [0, 90, 140]);
    assert.equal(lagOf({ ...level, isLevel: false }, 30), 20);
    assert.equal(lagOf({ ...level, isLevel: false }, 10), 1, 'who is not level is never told to be');
  });

  it('is not 0 after a failure, until a page has shown that all is here again', () => {
    const health = { ...newHealth(), connected: true, isLevel: true, levelAtMs: 10, lateAtMs: 100 };
    noteFailure(health, new GkvError('peer_timeout', 'late'));
    assert.equal(lagOf(health, 20), 10);
    health.connected = true; // it answered, and what it said is not taken in yet
    assert.equal(lagOf(health, 30), 20);
  });
});

describe('M15: lag in writes', () => {
  it('is not known of who was never heard', () => {
    assert.equal(lagWritesOf(newHealth(), 5), undefined);
  });

  it('is 0 only while lag is, and else what was told last', () => {
    const level = { ...newHealth(), connected: true, isLevel: true, levelAtMs: 10, lateAtMs: 100, behind: 0 };
    assert.deepEqual([lagWritesOf(level, 99), lagWritesOf(level, 100)], [0, undefined]);
    noteFailure(level, new GkvError('peer_timeout', 'late'));
    assert.equal(lagWritesOf(level, 20), undefined);
    assert.equal(lagWritesOf({ ...level, behind: 700 }, 20), 700);
  });
});
