import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { backupOf } from '../../src/backup/source.ts';
import { verifyBackup } from '../../src/backup/read.ts';
import { frontierZero } from '../../src/core/frontier.ts';
import { makeStamp, parseInstance } from '../../src/core/stamp.ts';
import { parseGrantId } from '../../src/core/write.ts';
import { sha256 } from '../../src/crypto/digest.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { isAboveFloor } from '../../src/mesh/floor.ts';
import { positionZero } from '../../src/replica/cursor.ts';
import { type ReceivedWrite } from '../../src/replica/proposal.ts';
import { restoreStore } from '../../src/server/restore.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { key, openInstance, type Instance } from '../aae/world.ts';
import { anyOf, Mesh, person } from '../grant/world.ts';
import { always, nowMs, signedBy } from '../replica/grantedHistory.ts';
import { FakeClock, seededRandom } from '../support.ts';
import { chunksOf } from './backup.ts';

const mesh = new Mesh();
const [ann, ben, cid] = [mesh.grant('ann', always), mesh.grant('ben', always), mesh.grant('cid', always)];
const granted = { meshId: mesh.id, records: [mesh.root, ann, ben, cid].map(anyOf), signer: person('ann') };
const floor = makeStamp(nowMs - 10, 0, parseInstance(new Uint8Array(8)));
const never = new AbortController().signal;

/** By `name`, under its grant, some ms before now. */
function made(
  digests: Instance['digests'],
  name: string,
  { id }: Grant,
  msAgo: number,
  k: string,
  value?: string,
  expiresAt = 0,
): ReceivedWrite {
  const version = makeStamp(nowMs - msAgo, 0, parseInstance(new Uint8Array(8).fill(0xee)));
  const write = {
    key: key(k),
    version,
    tombstone: value === undefined,
    expiresAt,
    leaf: parseGrantId(id),
    value: Buffer.from(value ?? ''),
  };
  return signedBy(name, write, digests);
}

interface Hiding {
  /** Of the write that is hidden. */
  readonly bytes?: number;
  /** Of what hides it, which is a delete where this is left out. */
  readonly expiresAt?: number;
  /** Of a third write between the two, which has expired; left out: there is none. */
  readonly between?: number;
}

/** Of key k a write of one leaf and, 600 others further on, what hides it, of other leaves; all below the floor. */
async function hidden({ bytes = 7, expiresAt = 0, between }: Hiding = {}): Promise<Instance> {
  const instance = await openInstance({ granted, clock: new FakeClock() });
  const { digests, replica } = instance;
  const others = Array.from({ length: 600 }, (_, i) => made(digests, 'ann', ann, 25, `other${i}`, 'x'));
  await replica.receive([made(digests, 'ben', ben, 30, 'k', 'd'.repeat(bytes))], 'peer');
  for (let i = 0; i < 600; i += 200) await replica.receive(others.slice(i, i + 200), 'peer');
  if (between !== undefined) await replica.receive([made(digests, 'cid', cid, 28, 'k', 'x'.repeat(between), nowMs - 15)], 'peer');
  await replica.receive([made(digests, 'ann', ann, 20, 'k', expiresAt === 0 ? undefined : 'for a while', expiresAt)], 'peer');
  return instance;
}

async function collect({ replica }: Instance): Promise<void> {
  await replica.raiseFloor(floor);
  await replica.collect(floor, never);
}

describe('R18: what hides a write comes along with it', () => {
  it('in one page where it is asked for, once; and again where it stands itself in a later one', async () => {
    const { replica } = await hidden();
    const hides = async (withHidersTo: number | undefined): Promise<boolean[][]> => {
      const pages: boolean[][] = [];
      for (let [after, isEnd] = [positionZero, false]; !isEnd;) {
        const { writes, position, end } = await replica.feedPage(after, frontierZero, { withHidersTo });
        pages.push(writes.filter(({ write }) => Buffer.from(write.key).toString() === 'k').map(({ write }) => write.tombstone));
        [after, isEnd] = [position, end !== undefined];
      }
      return pages;
    };
    assert.deepEqual(await hides(undefined), [[false], [true]]);
    assert.deepEqual(await hides(100_000), [[false, true], [true]]);
    const near = await openInstance({ granted, clock: new FakeClock() });
    await near.replica.receive([made(near.digests, 'ben', ben, 30, 'k', 'deleted'), made(near.digests, 'ann', ann, 20, 'k')], 'peer');
    assert.equal((await near.replica.feedPage(positionZero, frontierZero, { withHidersTo: 100_000 })).writes.length, 2);
  });
});

describe('B4: what was deleted and collected while a backup was made does not come back', () => {
  const cases: Readonly<Record<string, Hiding>> = {
    'a delete': {},
    'a write that has expired': { expiresAt: nowMs - 15 },
    'a delete of a write that fills a page by itself': { bytes: 1_000_000 },
    'a delete, beside a write that has expired and finds no room': { between: 600_000 },
  };
  for (const [name, hiding] of Object.entries(cases)) {
    it(`I3: ${name}, of another leaf, that stood further on in the feed`, async () => {
      const source = await hidden(hiding);
      const meshKey = new Uint8Array(32).fill(2);
      const own = { clusterId: source.clusterId, incarnation: 1, meshId: mesh.id, keyDigest: sha256(meshKey), kind: 'granted' as const };
      const low = makeStamp(nowMs + 20_000, 0, parseInstance(new Uint8Array(8)));
      const assertWhole = (): Promise<void> => Promise.resolve();
      const deps = { replica: source.replica, own, low: () => Promise.resolve(low), nowMs: () => nowMs, assertWhole, isAboveFloor };
      const parts: Buffer[] = [];
      for await (const part of backupOf(deps, undefined, never)) {
        parts.push(part);
        if (parts.length === 3) await collect(source); // behind the first page of writes
      }
      assert.equal((await source.replica.get(key('k'))).exists, false);
      const file = Buffer.concat(parts);
      const [clock, random, database] = [new FakeClock(), seededRandom(5), new MemoryDatabase()];
      const store = openMemoryStore(database, { clock, random });
      const verified = await verifyBackup(chunksOf(file), () => undefined);
      const deep = { store, feedPartitions: 1, clock, random, meshKey, onProgress: () => undefined } as const;
      await restoreStore(verified, chunksOf(file), 'same cluster', deep);
      const restored = await openInstance({ granted, clock, database, clusterId: source.clusterId, incarnation: 2, seed: 3 });
      assert.equal((await restored.replica.get(key('k'))).exists, false);
      await collect(restored);
      assert.equal((await restored.replica.get(key('k'))).exists, false);
      assert.equal((await restored.replica.get(key('other599'))).exists, true);
    });
  }
});
