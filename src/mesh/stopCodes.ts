import { protocolError } from '../aae/frame.ts';
import { type PeerLink } from '../aae/checkedPeer.ts';
import { hasCode, type GkvError } from '../core/errors.ts';

/** What a peer says against our store: whoever may say it stops this cluster (M26). */
export const stopCodes = ['rollback_detected', 'must_bootstrap'] as const;

/** The detail of an error in which its seal stands, in hex: `Session.sealError`. */
export const sealField = 'seal';

/** Of an error that nobody has proved to have said. */
export function unsealed(error: GkvError): GkvError {
  return protocolError(`not proved by the peer, so it does not count: ${error.message}`, error);
}

/** A link on which nobody has proved themselves yet: nothing that is said there stops us. */
export function unproven(link: PeerLink): PeerLink {
  return {
    ask: async (frame, signal) => {
      try {
        return await link.ask(frame, signal);
      } catch (error) {
        throw hasCode(error, ...stopCodes) ? unsealed(error) : error;
      }
    },
  };
}
