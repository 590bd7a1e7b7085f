import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { encodeRequest } from '../../src/aae/frame.ts';
import { type PeerLink } from '../../src/aae/checkedPeer.ts';
import { hasCode } from '../../src/core/errors.ts';
import { MeshDigests } from '../../src/crypto/mesh.ts';
import { answerIdentity, identify } from '../../src/mesh/identity.ts';
import { seededRandom } from '../support.ts';
import { digests, readerHeader } from './hostile.ts';

const clusterId = new Uint8Array(16).fill(3);
const asker = { digests, clusterId: new Uint8Array(16).fill(4), random: seededRandom(1) };
const signal = new AbortController().signal;

function answering(answer: (frame: Uint8Array) => Uint8Array): PeerLink {
  return { ask: (frame) => Promise.resolve().then(() => answer(frame)) };
}

describe('M16: identity', () => {
  it('tells the cluster id and the name of the region', async () => {
    for (const regionName of ['eu', 'x'.repeat(64), '']) {
      const link = answering((frame) => answerIdentity(frame, { clusterId, regionName }, digests));
      assert.deepEqual(await identify(link, asker, signal), { clusterId, regionName });
    }
  });

  it('is asked and answered only by who has the mesh key and is of this mesh', () => {
    const others = [
      new MeshDigests({ id: digests.meshId, key: new Uint8Array(32).fill(9) }),
      new MeshDigests({ id: new Uint8Array(32), key: new Uint8Array(32).fill(2) }),
    ];
    for (const other of others) {
      const request = encodeRequest(readerHeader, new Uint8Array(0), other, 'identity');
      assert.throws(
        () => answerIdentity(request, { clusterId, regionName: 'eu' }, digests),
        (error) => hasCode(error, 'mesh_mismatch'),
      );
    }
  });

  it('no frame of another service, and no answer to another question, passes for it', async () => {
    const feed = encodeRequest(readerHeader, new Uint8Array(0), digests, 'feed');
    assert.throws(
      () => answerIdentity(feed, { clusterId, regionName: 'eu' }, digests),
      (error) => hasCode(error, 'mesh_mismatch'),
    );
    const older = answerIdentity(
      encodeRequest(readerHeader, new Uint8Array(0), digests, 'identity'),
      { clusterId, regionName: 'eu' },
      digests,
    );
    const replayed = identify(
      answering(() => older),
      asker,
      signal,
    );
    await assert.rejects(replayed, (error) => hasCode(error, 'mesh_mismatch'));
  });

  it('cuts off names that are too long for one', async () => {
    const link = answering((frame) => answerIdentity(frame, { clusterId, regionName: 'x'.repeat(1_000) }, digests));
    assert.equal((await identify(link, asker, signal)).regionName.length, 64);
  });
});
