import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, describe, it } from 'mocha';
import { silentLog } from '../../src/core/ports.ts';
import { MeshDigests, openMesh } from '../../src/crypto/mesh.ts';
import { openLmdbStore } from '../../src/store/lmdb/store.ts';
import { assertTree } from '../aae/oracle.ts';
import { realClock } from '../../src/server/real.ts';
import { seededRandom } from '../support.ts';
import { Scene } from './server.ts';
import { Writers, writers } from './writers.ts';

const crashes = 20;

describe('kill -9', () => {
  const scene = new Scene();
  after(() => scene.close());

  it(`I1, I5: amid ${writers} writers, ${crashes} times: no acknowledged write is missing, and the tree is the rebuilt tree`, async function () {
    this.timeout(180_000);
    const data = join(scene.dir(), 'data');
    const random = seededRandom(7);
    const all = new Writers('forbidden');
    for (let round = 0; round < crashes; round += 1) {
      const server = await scene.server(data);
      await all.check(server);
      const writing = all.writeAll([server], round);
      await all.more(writers + Math.floor(random.fraction() * 400));
      await server.crash();
      await writing;
    }
    const last = await scene.server(data);
    await all.check(last);
    await last.crash();
    assert.ok(all.acknowledgements > crashes * writers);
    await using store = await openLmdbStore({ dir: data, clock: realClock, random, log: silentLog });
    await assertTree(store, new MeshDigests(openMesh));
  });
});
