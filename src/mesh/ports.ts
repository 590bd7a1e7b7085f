import { type PeerLink } from '../aae/checkedPeer.ts';
import { type PullReport } from '../aae/driver.ts';
import { type FrameService } from '../aae/frame.ts';
import { type ErrorCode } from '../core/errors.ts';
import { type HostPort } from '../core/hostPort.ts';
import { type Scopes } from '../core/scope.ts';

/** The network, as the mesh needs it. */
export interface Links {
  /** Errors of the link's requests: `peer_unreachable`, `peer_timeout`, `peer_protocol`, `mesh_mismatch`. */
  link(address: HostPort, service: FrameService): PeerLink;
}

/** The answering side of one service's frames. */
export interface FrameAnswering {
  answer(frame: Uint8Array): Promise<Uint8Array>;
}

/** The same, where who asks has proved which keys it may hold. */
export interface ScopedAnswering {
  answer(frame: Uint8Array, scopes?: Scopes): Promise<Uint8Array>;
}

/** Who this cluster is. */
export interface OwnCluster {
  /** A UUID's 16 bytes. */
  readonly clusterId: Uint8Array;
  readonly incarnation: number;
}

/** How an exchange with a peer ended. */
export type ExchangeOutcome =
  { readonly kind: 'done'; readonly report: PullReport } | { readonly kind: 'failed'; readonly code: ErrorCode };
