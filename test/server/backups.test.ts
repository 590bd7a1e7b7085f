import assert from 'node:assert/strict';
import { verifyBackup } from '../../src/backup/read.ts';
import { GkvError } from '../../src/core/errors.ts';
import { parseHostPort } from '../../src/core/hostPort.ts';
import { everything } from '../../src/core/scope.ts';
import { makeStamp, parseInstance, stampZero } from '../../src/core/stamp.ts';
import { createBackups } from '../../src/server/backups.ts';
import { settleJoin } from '../../src/server/joining.ts';
import { openInstance, set, type Instance } from '../aae/world.ts';
import { chunksOf } from '../backup/backup.ts';
import { mesh } from '../mesh/region.ts';
import { rejectsWith } from '../store/suite/stores.ts';

const low = makeStamp(1, 0, parseInstance(new Uint8Array(8)));
const nothing = { isMember: false, entries: 0 };
const donor = parseHostPort('donor:1');

/** What a caller of `POST /control/backup` gets, piece by piece. */
function backup({ clusterId, store, replica }: Instance, fault?: GkvError, knownLow = low): AsyncIterable<Uint8Array> {
  const own = { clusterId, incarnation: 1, meshId: mesh.id, kind: 'open' as const, meshKey: mesh.key, scope: everything };
  const standing = { view: () => Promise.resolve({ low: knownLow }), fault: () => fault };
  return createBackups(own, store, replica, standing).open(undefined, new AbortController().signal);
}

async function whole(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const piece of pieces) parts.push(piece);
  return Buffer.concat(parts);
}

describe('backups of a cluster', () => {
  it('I3: B9: while it is filled there is none: what it has may be deleted by what it lacks', async () => {
    const instance = await openInstance();
    await settleJoin(instance.store, donor, nothing);
    await instance.replica.write([set('k', 'v')]);
    await rejectsWith(whole(backup(instance)), 'unavailable');
  });

  it('I3: B9: one that was begun ends when it is filled from then on', async () => {
    const instance = await openInstance();
    const pieces = backup(instance)[Symbol.asyncIterator]();
    assert.notEqual((await pieces.next()).done, true);
    await settleJoin(instance.store, donor, nothing);
    const rest = whole({ [Symbol.asyncIterator]: () => pieces });
    await rejectsWith(rest, 'unavailable');
  });

  it('I3: B9: where it must begin anew there is none', async () => {
    const instance = await openInstance();
    await rejectsWith(whole(backup(instance, new GkvError('must_bootstrap', 'too old'))), 'must_bootstrap');
  });

  it('B9: where there is none, it says so before it waits for what others have', async () => {
    const instance = await openInstance();
    const startedMs = performance.now();
    await rejectsWith(whole(backup(instance, new GkvError('must_bootstrap', 'too old'), stampZero)), 'must_bootstrap');
    assert.ok(performance.now() - startedMs < 10_000); // it would wait for 15 s
  });

  it('B9: a member makes them, whatever else is wrong', async () => {
    const instance = await openInstance();
    await instance.replica.write([set('k', 'v')]);
    const file = await whole(backup(instance, new GkvError('peer_unreachable', 'away')));
    assert.equal((await verifyBackup(chunksOf(file), () => undefined)).trailer.writes, 1);
  });
});
