import assert from 'node:assert/strict';
import { answerIdentity } from '../../src/mesh/identity.ts';
import { set } from '../aae/world.ts';
import { openCluster, sumOf, Network, type Cluster } from './world.ts';

/** It says who it is, as well as what `openCluster` has it serve. */
function serve(network: Network, { mesh, responder, digests, clusterId, address }: Cluster): void {
  network.serve(address, {
    identity: (frame) => Promise.resolve(answerIdentity(frame, { clusterId, regionName: '' }, digests)),
    feed: (frame) => mesh.feedServer.answer(frame),
    exchange: (frame) => responder.answer(frame),
  });
}

describe('joining a mesh', () => {
  it('M17: where the donor is replaced by another cluster, joining begins anew with that one', async () => {
    const network = new Network();
    await using gone = await openCluster(network, 1);
    await using donor = await openCluster(network, 2);
    await using joiner = await openCluster(network, 3);
    await donor.replica.write([set('a', '1'), set('b', '2')]);
    serve(network, gone);
    const { feedServer } = gone.mesh;
    const answer = feedServer.answer.bind(feedServer);
    // Before the first page: what is at its address then is another cluster.
    feedServer.answer = (frame) => {
      serve(network, { ...donor, address: gone.address });
      return donor.mesh.feedServer.answer(frame).finally(() => (feedServer.answer = answer));
    };
    const announced: string[] = [];
    const announce = ({ clusterId }: { clusterId: Uint8Array }): Promise<void> => {
      announced.push(Buffer.from(clusterId).toString('hex'));
      return Promise.resolve();
    };
    await joiner.mesh.join(gone.address, announce, () => undefined, new AbortController().signal);
    assert.deepEqual(announced, [donor.name]);
    assert.equal(await sumOf(joiner), await sumOf(donor));
  });
});
