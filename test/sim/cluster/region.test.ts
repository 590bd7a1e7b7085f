import assert from 'node:assert/strict';
import { type ClusterIdentity } from '../../../src/server/identity.ts';
import { Kernel } from '../kernel/kernel.ts';
import { Region } from './region.ts';

const meshId = new Uint8Array(32);
const first: ClusterIdentity = { clusterId: new Uint8Array(16).fill(1), incarnation: 1, meshId, kind: 'open' };
const second: ClusterIdentity = { clusterId: new Uint8Array(16).fill(2), incarnation: 1, meshId, kind: 'open' };

describe('a copy of a region', () => {
  it('M22: is of who its disk is of, also where that is a copy on which nothing was started yet', () => {
    const region = new Region(0, new Kernel(1), () => undefined);
    region.opened(first);
    const copy = region.copy();
    region.replaceDisk({ donor: { host: 'r1', port: 1 } });
    assert.equal(region.copy().who, undefined);
    region.opened(second);
    region.replaceDisk({ copy });
    const copyOfCopy = region.copy();
    assert.equal(copyOfCopy.who, first);
    // Renewed from here, it would be who this one is from now on.
    const renewed = { ...first, incarnation: 2 };
    region.renewed(renewed);
    assert.deepEqual(
      [copy, copyOfCopy, region.copy()].map((each) => region.hasBeenRenewedSince(each)),
      [true, true, false],
    );
  });
});
