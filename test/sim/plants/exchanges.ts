import { decodeAsk } from '../../../src/aae/message.ts';
import { type PeerLink } from '../../../src/aae/checkedPeer.ts';
import { decodeAnswer, decodeRequest } from '../../../src/aae/frame.ts';
import { equalBytes, toHex } from '../../../src/core/bytes.ts';
import { type Frontier } from '../../../src/core/frontier.ts';
import { decodeFeedAnswer, decodeFeedAsk } from '../../../src/mesh/feedMessage.ts';
import { type MeshDeps } from '../../../src/mesh/mesh.ts';
import { positionPastAll } from '../../../src/replica/cursor.ts';
import { type Plant } from './plant.ts';

/** What a peer said it had when an exchange with it began. */
interface Promised {
  readonly peerId: Uint8Array;
  readonly frontier: Frontier;
}

/** Listens to what is asked for exchanges, and may join what a peer promised at times of its own. */
function joining(exchange: (link: PeerLink, deps: MeshDeps, join: () => Promise<void>) => PeerLink): Plant {
  return {
    mesh: (deps) => ({
      ...deps,
      links: {
        link: (address, service) => {
          const link = deps.links.link(address, service);
          const name = `${address.host}:${address.port}`;
          const promises = promisesOf(deps);
          if (service === 'feed') return noticing(link, deps, (promised) => promises.set(name, promised));
          return exchange(link, deps, async () => {
            const promised = promises.get(name);
            if (promised === undefined) return;
            const { peerId, frontier } = promised;
            await deps.replica.receivePage([], toHex(peerId), { peerId, cursor: undefined, joins: frontier });
          });
        },
      },
    }),
  };
}

const known = new WeakMap<MeshDeps, Map<string, Promised>>();

function promisesOf(deps: MeshDeps): Map<string, Promised> {
  const promises = known.get(deps) ?? new Map<string, Promised>();
  known.set(deps, promises);
  return promises;
}

/** Sees the frontiers that exchanges begin with. */
function noticing(link: PeerLink, { digests }: MeshDeps, notice: (promised: Promised) => void): PeerLink {
  return {
    ask: async (frame, signal) => {
      const answered = await link.ask(frame, signal);
      const { cursor } = decodeFeedAsk(decodeRequest(frame, digests, 'feed').body);
      if (equalBytes(cursor.position, positionPastAll)) {
        const { clusterId, body } = decodeAnswer(answered, frame, digests, 'feed');
        const { end } = decodeFeedAnswer(body);
        if (end !== undefined) notice({ peerId: clusterId, frontier: end });
      }
      return answered;
    },
  };
}

/** A peer's frontier is joined when an exchange with it has begun. */
export const joinedAtFirstAnswer = joining((link, _deps, join) => ({
  ask: async (frame, signal) => {
    const answered = await link.ask(frame, signal);
    await join();
    return answered;
  },
}));

const takenInMs = 300;

/** A peer's frontier is joined after an exchange with it, whatever of that did not come or is not taken in yet. */
export const joinedThoughMissed = joining((link, { digests, clock }, join) => ({
  ask: async (frame, signal) => {
    const answered = await link.ask(frame, signal);
    if (decodeAsk(decodeRequest(frame, digests).body).closing === 'final')
      void clock
        .sleep(takenInMs, signal)
        .then(join)
        .catch(() => undefined);
    return answered;
  },
}));
