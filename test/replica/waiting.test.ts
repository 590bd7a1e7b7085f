import assert from 'node:assert/strict';
import { toHex } from '../../src/core/bytes.ts';
import { hasCode } from '../../src/core/errors.ts';
import { type Frontier } from '../../src/core/frontier.ts';
import { limits } from '../../src/core/limits.ts';
import { makeStamp, parseInstance } from '../../src/core/stamp.ts';
import { parseGrantId } from '../../src/core/write.ts';
import { signWrites } from '../../src/grant/signatureBlock.ts';
import { type Grant } from '../../src/grant/grant.ts';
import { bodyOf } from '../../src/replica/batch.ts';
import { type FeedMove, type ReceivedWrite } from '../../src/replica/proposal.ts';
import { key, openInstance, type Instance } from '../aae/world.ts';
import { anyOf, Mesh, person } from '../grant/world.ts';
import { FakeClock } from '../support.ts';
import { received } from './received.ts';

const mesh = new Mesh();
const held = mesh.grant('a', { notBeforeMs: 0, expiresMs: 2 ** 48 });
const late = mesh.given(held, 'a', 'late');
const peerInstance = parseInstance(new Uint8Array(8).fill(0xee));
const peerId = new Uint8Array(16).fill(7);
const peer = toHex(peerId);
const never = new AbortController().signal;
const theirs: Frontier = new Map([['eeeeeeeeeeee', { base: makeStamp(1_600_000_000_000, 0, peerInstance), slots: new Map() }]]);

async function open(clock = new FakeClock()): Promise<Instance & { readonly fake: FakeClock }> {
  const granted = { meshId: mesh.id, records: [mesh.root, held].map(anyOf), signer: person('a') };
  return { ...(await openInstance({ granted, clock })), fake: clock };
}

/** Writes under a grant that is not known, of keys from a number on. */
function sent({ digests, clock }: Instance, count: number, from = 0, grant: Grant = late, valueBytes = 1, by = 'late'): ReceivedWrite[] {
  const writes = Array.from({ length: count }, (_, i) => {
    const version = makeStamp(clock.now(), i, peerInstance);
    const leaf = parseGrantId(grant.id);
    const write = { key: key(`k${from + i}`), version, tombstone: false, expiresAt: 0, leaf, value: Buffer.alloc(valueBytes, 'v') };
    return { write, id: digests.writeId(bodyOf(write)), accepted: version };
  });
  const blocks: Uint8Array[] = [];
  for (let at = 0; at < writes.length; at += 256) {
    const ids = writes.slice(at, at + 256).map(({ id }) => id);
    blocks.push(...signWrites(mesh.id, ids, person(by)));
  }
  return writes.map(({ write, ...rest }, i) => ({ write: { ...write, signature: blocks[i] ?? new Uint8Array(0) }, ...rest }));
}

/** Whether a page that ends the peer's feed, or an exchange that is through, has its frontier joined. */
async function isJoined({ replica }: Instance, what: 'page' | 'exchange', lapse?: Uint8Array): Promise<boolean> {
  const cursor = await replica.cursor(peerId);
  const to = { incarnation: 1, position: new Uint8Array(12).fill((cursor?.position[0] ?? 0) + 1) };
  const before = JSON.stringify([...(await replica.frontier()).keys()]);
  const move: FeedMove = { peerId, cursor: what === 'page' ? { from: cursor, to } : undefined, joins: theirs, lapse };
  const { isMoved } = await replica.receivePage([], peer, move);
  assert.ok(isMoved);
  return JSON.stringify([...(await replica.frontier()).keys()]) !== before;
}

describe('writes that wait for their grants', () => {
  it('I4: R26: who does not supply a chain in 10 minutes has lapsed: its writes are given up and counted, and nothing of it is joined', async () => {
    const region = await open();
    const { replica, fake } = region;
    await replica.receive(sent(region, 3), peer);
    fake.ms += limits.unprovenMsMax - 1;
    assert.deepEqual((await replica.settleAuthority(never)).givenUp, new Map());
    fake.ms += 1;
    assert.deepEqual((await replica.settleAuthority(never)).givenUp, new Map([[peer, 3]]));
    assert.deepEqual([await replica.parkedCount(), await replica.lapsedCount()], [{ writes: 0, bytes: 0, unproven: 0 }, 1]);
    assert.equal(await isJoined(region, 'page'), false, 'what was given up is behind its place');
  });

  it('I7: R26: an exchange that began after a lapse, and is through, makes it good; one that began before does not', async () => {
    const region = await open();
    const { replica, fake, ledger } = region;
    await replica.receive(sent(region, 1), peer);
    fake.ms += limits.unprovenMsMax;
    await replica.settleAuthority(never);
    const first = await replica.lapse(peer);
    const [status] = await replica.receive(sent(region, 1, 1), peer);
    assert.deepEqual([status?.status, (await replica.parkedCount()).writes], ['unproven', 0], 'of who has lapsed nothing is kept');
    await ledger?.take([anyOf(late)]);
    assert.equal(await isJoined(region, 'exchange', first), true, 'what the exchange saw is here');
    assert.equal(await replica.lapsedCount(), 1, 'but what came since may not be');
    const second = await replica.lapse(peer);
    await replica.receive([...sent(region, 1), ...sent(region, 1, 1)], peer);
    await isJoined(region, 'exchange', second);
    assert.deepEqual([await replica.lapsedCount(), (await replica.get(key('k1'))).exists], [0, true]);
  });

  it('I9: R26: a page that ends the feed is joined again once the lapse is made good', async () => {
    const region = await open();
    const { replica, fake } = region;
    await replica.receive(sent(region, 1), peer);
    assert.equal(await isJoined(region, 'page'), false, 'while it waits');
    fake.ms += limits.unprovenMsMax;
    await replica.settleAuthority(never);
    assert.equal(await isJoined(region, 'page'), false);
    assert.equal(await isJoined(region, 'exchange', await replica.lapse(peer)), true);
    const [page] = await replica.receive(sent(region, 1, 5), peer);
    assert.deepEqual([page?.status, (await replica.parkedCount()).writes], ['unproven', 1], 'and it may wait again');
  });

  it('I9: R26: of one peer so many bytes wait and no more', async () => {
    const region = await open();
    const { replica } = region;
    for (let i = 0; i < 6; i += 1) await replica.receive(sent(region, 1, i, late, limits.valueBytesMax), peer);
    await assert.rejects(replica.receive(sent(region, 1, 6), peer), (error) => hasCode(error, 'unavailable'));
    await replica.receive(sent(region, 1, 6), 'other');
  });

  it('I9: R26: where little room is left the peer that takes most of it loses its places, and no other', async () => {
    const region = await open();
    const { replica } = region;
    for (let n = 0; n < 9; n += 1) for (let at = 0; at < 980; at += 490) await replica.receive(sent(region, 490, at), `flooding ${n}`);
    await replica.receive(sent(region, 500), 'most');
    await replica.receive(sent(region, 499, 500), 'most');
    await replica.receive(sent(region, 2), 'honest');
    const { givenUp } = await replica.settleAuthority(never);
    assert.deepEqual(givenUp, new Map([['most', 999]]));
    assert.equal((await replica.parkedCount()).writes, 9 * 980 + 2);
    await region.ledger?.take([anyOf(late)]);
    assert.equal((await replica.settleAuthority(never)).judged, 9 * 980 + 2);
  });

  it('R9: what has come due waits on for its grant, whatever room its peer has', async () => {
    const region = await open();
    const { replica, fake, ledger } = region;
    const aheadMs = 60_000;
    fake.ms += aheadMs;
    const blocked = sent(region, 600);
    fake.ms += 1;
    const mine = sent(region, 1, 1_000);
    fake.ms -= aheadMs + 1;
    for (let at = 0; at < 600; at += 300) await replica.receive(blocked.slice(at, at + 300), peer);
    for (let at = 0; at < 400; at += 200) await replica.receive(sent(region, 200, 2_000 + at), peer);
    await replica.receive(mine, 'other');
    fake.ms += aheadMs;
    assert.equal(await replica.retryParked(), 601, 'they wait for their grants now, though the first peer has no room: they took some');
    assert.equal((await replica.parkedCount()).writes, 1_001);
    await ledger?.take([anyOf(late)]);
    assert.equal(await replica.retryUnproven(), 1_001);
    assert.equal((await replica.parkedCount()).writes, 0);
  });

  it('I1: R9: R26: of a peer that has no room what is due is seen, and what waits for its grant is given up, beside others', async () => {
    const region = await open();
    const { replica, fake } = region;
    fake.ms += 60_000;
    const due = [...sent(region, 1, 5_000), ...sent(region, 1, 6_000, held, 1, 'a')];
    fake.ms -= 60_000;
    await replica.receive(due, peer);
    for (let at = 0; at < 998; at += 499) await replica.receive(sent(region, 499, at), peer);
    fake.ms += 60_000;
    await replica.retryParked();
    assert.equal((await replica.get(key('k6000'))).exists, true);
    fake.ms += limits.unprovenMsMax;
    assert.deepEqual((await replica.settleAuthority(never)).givenUp, new Map([[peer, 999]]));
  });

  it('R26: where a clock was set back, what waited for a grant that came waits for the clock, and others are judged', async () => {
    const region = await open();
    const { replica, fake, ledger } = region;
    for (let at = 0; at < 1_000; at += 500) await replica.receive(sent(region, 500, at), peer);
    fake.ms -= 60_000;
    await replica.receive(sent(region, 1, 2_000), 'other');
    await ledger?.take([anyOf(late)]);
    assert.equal((await replica.settleAuthority(never)).judged, 1_001);
    assert.equal((await replica.get(key('k2000'))).exists, true);
    const { writes, unproven } = await replica.parkedCount();
    assert.deepEqual([writes, unproven], [1_000, 0]);
  });

  it('R26: in an open mesh nothing lapses', async () => {
    const clock = new FakeClock();
    const { replica, digests } = await openInstance({ clock });
    await replica.receive([received(digests, 'k', makeStamp(clock.now() + 3_600_000, 0, peerInstance))], peer);
    clock.ms += limits.unprovenMsMax;
    assert.equal((await replica.settleAuthority(never)).givenUp.size, 0);
    assert.deepEqual([(await replica.parkedCount()).writes, await replica.lapsedCount()], [1, 0]);
  });
});
