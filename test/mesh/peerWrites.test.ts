import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { encodePeer, encodeRemoved, parseRemoved, type PeerRecord } from '../../src/mesh/peers.ts';
import { joinAgain } from '../../src/mesh/peerWrites.ts';
import { removeAgain, settle } from '../../src/mesh/removal.ts';
import { OneKey, stampOf } from './oneKey.ts';

const clusterId = new Uint8Array(16).fill(1);
const record: PeerRecord = { clusterId, address: { host: 'a', port: 1 }, upstreams: undefined, regionName: 'a' };
const removed = { clusterId, incarnation: 1, removal: '00'.repeat(8), settled: false };
const textOf = (value: Uint8Array): string => String(Buffer.from(value));
const member = textOf(encodePeer(record, undefined, false));
const joining = textOf(encodePeer(record, undefined, true));
const gone = textOf(encodeRemoved(removed));

/** What each write of ours is meant to mend, and what it makes of it. */
const mended = {
  'M17: that we are a member': {
    before: joining,
    after: member,
    mend: (store: OneKey) => joinAgain({ isOwn: () => true, joining: () => [record] }, store),
  },
  'M28: that a cluster was removed': { before: member, after: gone, mend: (store: OneKey) => removeAgain([removed], store) },
  'M30: that a removal is settled': {
    before: gone,
    after: textOf(encodeRemoved({ ...removed, settled: true })),
    mend: (store: OneKey) => settle([removed], store),
  },
};

describe('records that are written again', () => {
  for (const [what, { before, after, mend }] of Object.entries(mended)) {
    it(`${what}: where it was read so, and not over what another writes meanwhile`, async () => {
      const store = new OneKey();
      store.set(before, stampOf(2, 1));
      await mend(store);
      assert.equal(textOf(store.value), after);
      store.set(before, stampOf(2, 2));
      store.meanwhile = () => {
        store.set('by another', stampOf(2, 3));
      };
      await mend(store);
      assert.equal(textOf(store.value), 'by another');
    });
  }

  it('M30: another removal of the same cluster is not settled by this one', async () => {
    const store = new OneKey();
    store.set(gone, stampOf(2, 1));
    await settle([{ ...removed, removal: '11'.repeat(8) }], store);
    assert.equal(parseRemoved(clusterId, store.value)?.settled, false);
  });
});
