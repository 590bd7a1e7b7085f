/** Peers that break the protocol, and what they send. */
import { Fingerprints } from '../../src/aae/fingerprint.ts';
import { decodeRequest, encodeAnswer, encodeRequest } from '../../src/aae/frame.ts';
import { decodeAsk, encodeAsk, encodeReply, type Ask, type Reply } from '../../src/aae/message.ts';
import { type PeerLink } from '../../src/aae/checkedPeer.ts';
import { allKeys } from '../../src/core/key.ts';
import { type MeshDigests } from '../../src/crypto/mesh.ts';
import { toHex } from '../../src/core/bytes.ts';
import { tableRange, tables } from '../../src/store/keyspace.ts';
import { scanned } from '../store/scanned.ts';
import { DenseDigests, type Instance } from './world.ts';

export const peerId = new Uint8Array(16).fill(9);
export const header = { clusterId: peerId, nonce: new Uint8Array(16).fill(5), floor: new Uint8Array(16) };

const nothingAsked: Ask = { scope: allKeys, closing: 'final', spans: [], wants: [], fetch: undefined, writes: new Uint8Array(0) };
const nothingFound: Reply = {
  ...{ looked: 0, spans: [], ids: [], offers: [], gaps: [], writes: new Uint8Array(0), wantsDone: 0, fetchNext: null },
  ...{ applied: 0, parked: 0, scopeFingerprint: new Uint8Array(16) },
};

/** The frame of a driver that asks for this. */
export function askFrame(ask: Partial<Ask>, digests: MeshDigests): Uint8Array {
  return encodeRequest(header, encodeAsk({ ...nothingAsked, ...ask }), digests);
}

/** What a peer that lies makes of a request, the first of which is number 1. `prints` are those of the exchange. */
export type LyingReply = (ask: Ask, request: number, prints: Fingerprints) => Partial<Reply>;

/** A peer in the mesh that answers each ask with what `reply` makes of it; all spans looked at and all wants done, unless told. */
export function lyingPeer(reply: LyingReply): { link: PeerLink; requests: () => number } {
  const digests = new DenseDigests(4);
  let requests = 0;
  const ask = (frame: Uint8Array): Promise<Uint8Array> => {
    const request = decodeRequest(frame, digests);
    const asked = decodeAsk(request.body);
    requests += 1;
    const lie = reply(asked, requests, new Fingerprints(digests, request.header.nonce));
    const body = encodeReply({ ...nothingFound, looked: asked.spans.length, wantsDone: asked.wants.length, ...lie });
    return Promise.resolve(encodeAnswer({ clusterId: peerId, body }, request, digests));
  };
  return { link: { ask }, requests: () => requests };
}

/** A peer that answers each frame with other bytes. */
export function rawPeer(answer: (frame: Uint8Array) => Uint8Array | Promise<Uint8Array>): PeerLink {
  return { ask: async (frame) => answer(frame) };
}

/** Everything in the store but the slot records, to see that nothing has changed. */
export async function contentOf({ store }: Instance): Promise<string[]> {
  const rows: string[] = [];
  await store.read(async (snapshot) => {
    for (const table of [tables.head, tables.value, tables.leafValue, tables.feed, tables.bound, tables.sum, tables.parked]) {
      for await (const row of scanned(snapshot, tableRange(table))) rows.push(`${toHex(row.key)}=${toHex(row.value)}`);
    }
  });
  return rows;
}
