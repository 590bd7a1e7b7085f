import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { type Grant } from '../../src/grant/grant.ts';
import { rightsOf } from '../../src/grant/rights.ts';
import { key, set } from '../aae/world.ts';
import { anyOf, Mesh, person } from '../grant/world.ts';
import { until } from '../support.ts';
import { memberOp, membersOf, Network, openCluster } from './world.ts';

describe('M17: joining a granted mesh', () => {
  it('a key that may replicate and write nothing cannot write its record: that is told, with what to do, and nothing is taken in', async () => {
    const mesh = new Mesh();
    const forEver = { notBeforeMs: 0, expiresMs: 2 ** 48 };
    const replicates = (name: string): Grant => mesh.grant(name, { ...forEver, rights: rightsOf(['replicate']), depth: 0 });
    const records = [mesh.root, mesh.grant('a', forEver), replicates('a'), replicates('writer')].map(anyOf);
    const network = new Network();
    await using donor = await openCluster(network, 1, { granted: { meshId: mesh.id, records, signer: person('a') }, jobs: 'run' });
    await donor.replica.write([memberOp(donor), set('k', 'v')]);
    await using joiner = await openCluster(network, 2, { granted: { meshId: mesh.id, records, signer: person('writer') } });
    joiner.mesh.fillFirst();
    const stop = new AbortController();
    const joining = joiner.mesh.join(donor.address, membersOf(joiner, network), () => undefined, stop.signal);
    const ended = joining.then(
      () => 'joined',
      () => 'stopped',
    );
    await until(() => joiner.mesh.donorError()?.code === 'right_denied');
    await until(() => joiner.lines.some((line) => JSON.stringify(line).includes('its key needs a grant to replicate')));
    assert.equal(joiner.mesh.donorError()?.code, 'right_denied');
    assert.equal((await joiner.replica.get(key('k'))).exists, false);
    stop.abort();
    assert.equal(await ended, 'stopped');
  });
});
