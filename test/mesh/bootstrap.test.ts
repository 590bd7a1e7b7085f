import assert from 'node:assert/strict';
import { answerIdentity } from '../../src/mesh/identity.ts';
import { set } from '../aae/world.ts';
import { until } from '../support.ts';
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

  it('M17: who is filled itself is no donor until it has everything', async () => {
    const network = new Network();
    await using first = await openCluster(network, 1);
    await using between = await openCluster(network, 2);
    await using joiner = await openCluster(network, 3);
    await first.replica.write([set('a', '1')]);
    serve(network, between);
    between.mesh.fillFirst();
    const { signal } = new AbortController();
    const announce = (): Promise<void> => Promise.resolve();
    const joined = joiner.mesh.join(between.address, announce, () => undefined, signal);
    await until(() => Promise.resolve(joiner.lines.some(({ message }) => message.startsWith('upstream cannot be followed'))));
    serve(network, first);
    await between.mesh.join(first.address, announce, () => undefined, signal);
    await joined;
    assert.equal(await sumOf(joiner), await sumOf(first));
  });
});
