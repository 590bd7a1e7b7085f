import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { hasCode, type ErrorCode, type GkvError } from '../../src/core/errors.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { person } from '../grant/world.ts';
import { everything, grants, mesh, side, Wire, type Side } from './proofs.ts';

const is =
  (...codes: readonly ErrorCode[]) =>
  (error: unknown): error is GkvError =>
    hasCode(error, ...codes);

describe('M36: the key of a member', () => {
  const other = mesh.grant('c', everything);
  const records = [mesh.root, grants.a, grants.b, other];
  /** Cluster 1 with its key, another in its name that may replicate too, and cluster 2. */
  const open = async (isMember = (): boolean => true): Promise<{ a: Side; posing: Side; b: Side }> => {
    const posing = await side(1, 'a', records, { key: person('c') });
    posing.restart(); // what it draws is not what the other draws
    return { a: await side(1, 'a', records), posing, b: await side(2, 'b', records, { isMember }) };
  };

  it('is the one that was proved first: another is refused under the same cluster id, whichever asks', async () => {
    const { a, posing, b } = await open();
    await new Wire(a, b).ask('x');
    await assert.rejects(new Wire(posing, b).ask('y'), is('peer_unproven'));
    await assert.rejects(new Wire(b, posing).ask('z'), is('peer_unproven'));
    assert.deepEqual([b.let, posing.let], [['x'], []]);
    assert.equal(await new Wire(b, a).ask('ab'), 'ba');
  });

  it('stays so when the process begins anew', async () => {
    const database = new MemoryDatabase();
    const { a, posing } = await open();
    await new Wire(a, await side(2, 'b', records, { database })).ask('x');
    await assert.rejects(new Wire(posing, await side(2, 'b', records, { database })).ask('y'), is('peer_unproven'));
  });

  it('K10: gives way to another once it may replicate no more', async () => {
    const { a, posing, b } = await open();
    await new Wire(a, b).ask('x');
    await b.learn(mesh.revocationByRoot(grants.a));
    assert.equal(await new Wire(posing, b).ask('ab'), 'ba');
    await b.learn(mesh.grant('a', { ...everything, notBeforeMs: 1 }));
    await assert.rejects(new Wire(a, b).ask('y'), is('peer_unproven', 'grant_revoked'));
  });

  it('is kept of members alone, and ends sessions that another began before there was one', async () => {
    let isMember = false;
    const { a, posing, b } = await open(() => isMember);
    const [wire, posed] = [new Wire(a, b), new Wire(posing, b)];
    await wire.ask('1');
    await posed.ask('2');
    isMember = true;
    await wire.ask('3');
    await assert.rejects(posed.ask('4'), is('peer_unproven'));
    await assert.rejects(posed.ask('5'), is('peer_unproven'));
    assert.deepEqual(b.let, ['1', '2', '3']);
  });
});
