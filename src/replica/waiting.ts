import { hasCode } from '../core/errors.ts';
import { limits } from '../core/limits.ts';
import { type Clock } from '../core/ports.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type Store } from '../store/store.ts';
import { type Guard } from './guard.ts';
import { setLapsed } from './lapsed.ts';
import { clearWaiting, heaviestPeer, listParked, readParkedCount, type ParkedWrite } from './park.ts';
import { partsOfWrites, type ReceivedWrite } from './proposal.ts';
import { type BatchResult } from './slot.ts';
import { listUnproven } from './unproven.ts';

export interface WaitingDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly digests: MeshDigests;
  readonly guard: Guard | undefined;
  /** As `Replica.receive`, of what waited, as much as one commit takes: it may wait on, whatever room there is. */
  readonly receive: (writes: readonly ReceivedWrite[], peer: string) => Promise<readonly BatchResult[]>;
}

/** How many writes were given up, by the peer, in hex, that sent them. */
export type GivenUp = ReadonlyMap<string, number>;

/** Above this part of what may wait, somebody has to go. */
const crowdedPart = 0.9;

/** What waits: writes that are ahead of our clock, and in a granted mesh those whose grants are not known yet. */
export class WaitingWrites {
  readonly #deps: WaitingDeps;

  constructor(deps: WaitingDeps) {
    this.#deps = deps;
  }

  /** Takes in those that have come due. Returns how many. */
  async retryParked(): Promise<number> {
    const { store, clock, digests } = this.#deps;
    const latestMs = clock.now() + limits.futureMsMax;
    let taken = 0;
    for (let after: Uint8Array | undefined; ;) {
      const from = after;
      const due = await store.read((snapshot) => listParked(snapshot, digests, from, limits.commitWritesMax, latestMs));
      for (const [peer, ofPeer] of byPeer(due)) taken += await this.#takeDue(ofPeer, peer);
      after = due.at(-1)?.row;
      if (due.length < limits.commitWritesMax) return taken;
    }
  }

  /** Takes in, or finally refuses, those whose grants are known by now, and gives up those that have waited for too long. */
  async retryUnproven(): Promise<{ readonly judged: number; readonly givenUp: GivenUp }> {
    const { store, digests, guard, clock } = this.#deps;
    const givenUp = new Map<string, number>();
    let judged = 0;
    for (let after: Uint8Array | undefined; guard !== undefined;) {
      const from = after;
      const page = await store.read((snapshot) => listUnproven(snapshot, digests, from, limits.commitWritesMax));
      const proofs = await guard.prove(page.map(({ received }) => received));
      for (const [peer, ofPeer] of byPeer(page.filter((_, i) => proofs[i] !== 'grant unknown'))) {
        for (const part of partsOfWaiting(ofPeer)) {
          await this.#receive(part, peer);
          await store.transact((tx) => clearWaiting(tx, part));
          judged += part.length;
        }
      }
      const overdue = page.filter(({ sinceMs }, i) => proofs[i] === 'grant unknown' && clock.now() - sinceMs >= limits.unprovenMsMax);
      for (const [peer, ofPeer] of byPeer(overdue)) await this.#giveUp(ofPeer, peer, givenUp);
      after = page.at(-1)?.row;
      if (page.length < limits.commitWritesMax) break;
    }
    return { judged, givenUp };
  }

  /** Where little room is left, in a granted mesh, all that waits of the peer that takes the most of it is given up: others find room. */
  async relieve(): Promise<GivenUp> {
    const { store, digests, guard } = this.#deps;
    const givenUp = new Map<string, number>();
    const peer =
      guard === undefined
        ? undefined
        : await store.read(async (snapshot) => {
            const { writes, bytes } = await readParkedCount(snapshot);
            const isCrowded = writes >= crowdedPart * limits.parkedWritesMax || bytes >= crowdedPart * limits.parkedBytesMax;
            return isCrowded ? heaviestPeer(snapshot) : undefined;
          });
    if (peer === undefined) return givenUp;
    for (const list of [listUnproven, listParked]) {
      for (let after: Uint8Array | undefined; ;) {
        const from = after;
        const page = await store.read((snapshot) => list(snapshot, digests, from, limits.commitWritesMax));
        await this.#giveUp(page.filter((each) => each.peer === peer), peer, givenUp); // prettier-ignore
        after = page.at(-1)?.row;
        if (page.length < limits.commitWritesMax) break;
      }
    }
    return givenUp;
  }

  /** From the same commit on nothing of the peer is joined but by an exchange. */
  async #giveUp(waiting: readonly ParkedWrite[], peer: string, givenUp: Map<string, number>): Promise<void> {
    const { store, clock } = this.#deps;
    if (waiting.length === 0) return;
    const isDone = await store.transact(async (tx) => {
      if (!(await setLapsed(tx, peer, clock.now()))) return false;
      await clearWaiting(tx, waiting);
      return true;
    });
    if (isDone) givenUp.set(peer, (givenUp.get(peer) ?? 0) + waiting.length);
  }

  async #takeDue(due: readonly ParkedWrite[], peer: string): Promise<number> {
    let taken = 0;
    for (const part of partsOfWaiting(due)) {
      const results = await this.#receive(part, peer);
      const settled = part.filter((_, i) => results[i]?.status !== 'parked'); // the wall clock may have gone back in the meantime
      await this.#deps.store.transact((tx) => clearWaiting(tx, settled));
      taken += settled.length;
    }
    return taken;
  }

  /** Of a peer that was removed in the meantime nothing is taken in, and nothing kept. */
  async #receive(waiting: readonly ParkedWrite[], peer: string): Promise<readonly BatchResult[]> {
    try {
      return await this.#deps.receive(waiting.map(({ received }) => received), peer); // prettier-ignore
    } catch (error) {
      if (hasCode(error, 'must_bootstrap')) return [];
      throw error;
    }
  }
}

/** What one commit takes, one behind the other: as much may wait for its time as may wait for a commit. */
function partsOfWaiting<T extends ParkedWrite>(waiting: readonly T[]): T[][] {
  let end = 0;
  return partsOfWrites(waiting.map(({ received }) => received)).map((part) => waiting.slice(end, (end += part.length)));
}

function byPeer<T extends ParkedWrite>(waiting: readonly T[]): Map<string, T[]> {
  const peers = new Map<string, T[]>();
  for (const each of waiting) peers.set(each.peer, [...(peers.get(each.peer) ?? []), each]);
  return peers;
}
