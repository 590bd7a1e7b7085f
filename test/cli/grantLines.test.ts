import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { grantLine, grantLines } from '../../src/cli/grantLines.ts';
import { knowing, Mesh } from '../grant/world.ts';

describe('lines of a grant', () => {
  it('say that it stands, from when it will, or since when it has ended, by itself or above', async () => {
    const mesh = new Mesh();
    const held = mesh.grant('a');
    const given = mesh.given(held, 'a', 'b', { notBeforeMs: 1_200, expiresMs: 1_800 });
    const { authority } = await knowing(mesh, held, given);
    for (const [nowMs, state] of [
      [999, /grant_time: grant .{64}, link 0: is good from 1970-01-01T00:00:01\.000Z on, and not before$/],
      [1_100, /grant_time: grant .{64}, link 1: is good from 1970-01-01T00:00:01\.200Z on, and not before$/],
      [1_200, / stands$/],
      [1_800, /grant_time: grant .{64}, link 1: ended at 1970-01-01T00:00:01\.800Z$/],
      [2_000, /grant_time: grant .{64}, link 0: ended at 1970-01-01T00:00:02\.000Z$/],
    ] as const) {
      assert.match(grantLine(authority, given, nowMs), state);
      assert.match(grantLines(authority, given, nowMs).at(-1) ?? '', state);
    }
  });

  it('say of what was revoked that it was, whatever the time', async () => {
    const mesh = new Mesh();
    const held = mesh.grant('a');
    const { authority } = await knowing(mesh, held);
    await authority.takeRevocation(mesh.revocationByRoot(held));
    for (const nowMs of [0, 1_500, 3_000]) assert.match(grantLine(authority, held, nowMs), /grant_revoked: /);
  });
});
