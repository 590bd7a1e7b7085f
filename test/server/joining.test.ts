import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { hasCode } from '../../src/core/errors.ts';
import { makeStamp, noInstance, stampZero, type Stamp } from '../../src/core/stamp.ts';
import { type MeshKind } from '../../src/crypto/mesh.ts';
import { joiningSince } from '../../src/mesh/joinTerm.ts';
import { type Mesh } from '../../src/mesh/mesh.ts';
import { Joining, settleJoin } from '../../src/server/joining.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { type Store } from '../../src/store/store.ts';
import { ManualClock, seededRandom, until } from '../support.ts';

const donor = { host: 'donor', port: 6_200 };
const [quiet, answering] = ['0a'.repeat(16), '0b'.repeat(16)];

/** A cluster that joins: its mesh does as the test says. */
async function joining(kind: MeshKind): Promise<{
  state: { behind: string[]; error: ReturnType<Mesh['donorError']>; floor: Stamp; fill: () => void };
  clock: ManualClock;
  told: { fields: unknown; message: string }[];
  made: Joining;
  store: Store;
  done: Promise<void>;
}> {
  const clock = new ManualClock();
  const store = openMemoryStore(new MemoryDatabase(), { clock, random: seededRandom(1) });
  await settleJoin(store, donor, { isMember: false, entries: 0 });
  const nothing = (): void => undefined;
  const state: Awaited<ReturnType<typeof joining>>['state'] = {
    behind: [quiet, answering],
    error: undefined,
    floor: stampZero,
    fill: nothing,
  };
  const filled = new Promise<void>((resolve) => (state.fill = resolve));
  const told: { fields: unknown; message: string }[] = [];
  const warn = (fields: object, message: string): void => void told.push({ fields, message });
  const made = new Joining(donor, {
    store,
    mesh: {
      fillFirst: nothing,
      join: () => filled,
      readMembers: () => Promise.resolve(),
      behind: () => state.behind,
      answers: (name) => name === answering,
      floor: () => state.floor,
      donorError: () => state.error,
    },
    members: { joining: () => Promise.resolve(), joined: () => Promise.resolve() },
    kind,
    clock,
    log: { debug: nothing, info: nothing, warn, error: nothing },
    signal: new AbortController().signal,
  });
  return { state, clock, told, made, store, done: made.run(nothing, nothing) };
}

describe('M17: a cluster that joins says what it waits for', () => {
  it('the last error of its donor by its code, and what to do where it is one of authority; nothing once writes come', async () => {
    const { state, made } = await joining('granted');
    assert.equal(made.unready(), 'it joins the mesh from donor:6200, 0 writes so far');
    state.error = { code: 'grant_unknown', message: 'not known' };
    assert.match(
      made.unready() ?? '',
      /0 writes so far; grant_unknown: not known; its key needs a grant to replicate .* gkvmesh grant create/,
    );
    state.error = { code: 'peer_unreachable', message: 'away' };
    assert.match(made.unready() ?? '', /0 writes so far; peer_unreachable: away$/);
  });

  it('and until all members know of it its term holds: where a floor passes when it began nobody held that for it', async () => {
    const { state, clock, made, store, done } = await joining('open');
    await joiningSince(store, 100_000);
    const ended = assert.rejects(done, (error) => hasCode(error, 'must_bootstrap'));
    state.fill();
    await until(() => /waits until these know/.test(made.unready() ?? ''));
    state.floor = makeStamp(85_000, 0, noInstance);
    await clock.advance(1_000);
    assert.match(made.unready() ?? '', /waits until these know/);
    state.floor = makeStamp(85_001, 0, noInstance);
    await clock.advance(1_000);
    await ended;
    assert.notEqual(made.unready(), undefined);
  });

  for (const kind of ['granted', 'open'] as const) {
    it(`M31: in a mesh that is ${kind}: members that answer, and do not take it for one after 10 s, ${kind === 'granted' ? 'are told once, with what to do' : 'have no grants to wait for'}`, async () => {
      const { state, clock, told, made, done } = await joining(kind);
      state.fill();
      await until(() => /waits until these know of it too: 0a0a0a0a.*, 0b0b0b0b[^;]*$/.test(made.unready() ?? ''));
      await clock.advance(9_000);
      assert.deepEqual(told, []);
      await clock.advance(2_000);
      if (kind === 'granted') {
        assert.deepEqual(told.map(({ fields }) => fields), [{ code: 'grant_unknown', members: ['0b0b0b0b-0b0b-0b0b-0b0b-0b0b0b0b0b0b'] }]); // prettier-ignore
        assert.match(made.unready() ?? '', /; grant_unknown: they answer, .* into the mesh directory of one of them$/);
      } else {
        assert.deepEqual([told, / 0b0b[0b-]*$/.test(made.unready() ?? '')], [[], true]);
      }
      state.behind = [];
      await clock.advance(1_000);
      await done;
      assert.equal(made.unready(), undefined);
    });
  }
});
