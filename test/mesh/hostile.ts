/** Readers and upstreams that say what the test wants. */
import { decodeRequest, encodeAnswer, encodeRequest } from '../../src/aae/frame.ts';
import { type PeerLink } from '../../src/aae/checkedPeer.ts';
import { frontierZero } from '../../src/core/frontier.ts';
import { makeStamp, parseInstance, stampZero, type Stamp } from '../../src/core/stamp.ts';
import { type MeshDigests } from '../../src/crypto/mesh.ts';
import { epochNone } from '../../src/mesh/epoch.ts';
import { decodeFeedAsk, encodeFeedAnswer, encodeFeedAsk, type FeedAnswer, type FeedAsk } from '../../src/mesh/feedMessage.ts';
import { type Statement } from '../../src/mesh/statement.ts';
import { positionZero } from '../../src/replica/cursor.ts';
import { DenseDigests } from '../aae/world.ts';

export const liarId = new Uint8Array(16).fill(9);
export const digests = new DenseDigests(4);

/** Nothing but what whoever speaks must say of itself. */
export const saysNothing: Statement = {
  wallMs: 0,
  floor: stampZero,
  lineage: { openings: [{ id: new Uint8Array(8).fill(9), began: 0 }], progress: 0 },
  reach: { epoch: epochNone, members: [] },
  members: [{ clusterId: liarId, incarnation: 1, low: stampZero, epoch: epochNone, isLevel: false }],
};

export function stampAt(ms: number): Stamp {
  return makeStamp(ms, 0, parseInstance(new Uint8Array(8)));
}

export function position(commit: number, place = 0): Uint8Array {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32BE(commit, 4);
  bytes.writeUInt16BE(place, 10);
  return bytes;
}

const asksAll: FeedAsk = { waitMs: 0, cursor: { incarnation: 1, position: positionZero }, frontier: frontierZero, statement: saysNothing };

export const readerHeader = { clusterId: liarId, nonce: new Uint8Array(16).fill(5), floor: new Uint8Array(16) };

/** What a reader sends. */
export function askFrame(ask: Partial<FeedAsk> = {}, of: MeshDigests = digests, clusterId = readerHeader.clusterId): Uint8Array {
  return encodeRequest({ ...readerHeader, clusterId }, encodeFeedAsk({ ...asksAll, ...ask }), of, 'feed');
}

const nothing: FeedAnswer = {
  cursor: { incarnation: 1, position: positionZero },
  end: undefined,
  statement: saysNothing,
  writes: new Uint8Array(0),
};

export interface Lie extends Partial<FeedAnswer> {
  readonly clusterId?: Uint8Array;
}

/** An upstream in the mesh that answers each ask, the first of which is number 1, with what `answer` makes of it. */
export function lyingUpstream(answer: (ask: FeedAsk, request: number) => Lie): { link: PeerLink; requests: () => number } {
  let requests = 0;
  return {
    link: {
      ask: (frame) => {
        const request = decodeRequest(frame, digests, 'feed');
        requests += 1;
        const { clusterId = liarId, ...page } = answer(decodeFeedAsk(request.body), requests);
        return Promise.resolve(encodeAnswer({ clusterId, body: encodeFeedAnswer({ ...nothing, ...page }) }, request, digests, 'feed'));
      },
    },
    requests: () => requests,
  };
}
