import { decodeAnswer, decodeRequest, encodeAnswer, encodeRequest, nonceBytes } from '../aae/frame.ts';
import { type PeerLink } from '../aae/checkedPeer.ts';
import { stampZero } from '../core/stamp.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type UpstreamDeps } from './upstream.ts';

/** What a cluster says of itself; that it has the mesh key is proven by the frame that says so. */
export interface PeerIdentity {
  /** A UUID's 16 bytes. */
  readonly clusterId: Uint8Array;
  readonly regionName: string;
}

const regionNameMax = 64;

/** Asks who answers there. Errors: those of the link; `mesh_mismatch`; `peer_protocol`. */
export async function identify(link: PeerLink, deps: UpstreamDeps, signal: AbortSignal): Promise<PeerIdentity> {
  const { digests, clusterId, random } = deps;
  const header = { clusterId, nonce: random.bytes(nonceBytes), floor: stampZero };
  const request = encodeRequest(header, new Uint8Array(0), digests, 'identity');
  const answer = decodeAnswer(await link.ask(request, signal), request, digests, 'identity');
  return { clusterId: answer.clusterId, regionName: Buffer.from(answer.body).toString().slice(0, regionNameMax) };
}

/** Answers one frame: an empty request with the region's name, UTF-8. Errors: those of `decodeRequest`. */
export function answerIdentity(frame: Uint8Array, { clusterId, regionName }: PeerIdentity, digests: MeshDigests): Uint8Array {
  return encodeAnswer({ clusterId, body: Buffer.from(regionName) }, decodeRequest(frame, digests, 'identity'), digests, 'identity');
}
