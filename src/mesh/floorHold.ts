import { type PeerLink } from '../aae/checkedPeer.ts';
import { type DriverDeps } from '../aae/driver.ts';
import { exchangeWithin } from '../aae/scoped.ts';
import { toHex } from '../core/bytes.ts';
import { successorKey } from '../core/key.ts';
import { type Scopes } from '../core/scope.ts';
import { type Replica } from '../replica/replica.ts';
import { type Members } from './members.ts';
import { peerKey } from './peers.ts';

export interface FloorHoldDeps extends Omit<DriverDeps, 'sink'> {
  readonly replica: Pick<Replica, 'receive'>;
}

/** Between two tries: each is an exchange. */
const pauseMs = 1_000;

/**
 * Has the mesh hold its floor while this cluster is filled: writes that it is, and brings that to the donor, from where all hear of it. From then on the donor collects nothing
 * that it did not hold before. Tried again until the donor has it; where it never does, the term of a join stands (`joinTerm.ts`).
 */
export class FloorHold {
  readonly #donorId: Uint8Array;
  readonly #link: PeerLink;
  readonly #members: Pick<Members, 'joining'>;
  readonly #deps: FloorHoldDeps;
  /** By the monotonic clock; undefined: it is held. */
  #nextMs: number | undefined = -Infinity;
  /** With which the last try failed. */
  #why: { readonly error: unknown } | undefined;

  constructor(donorId: Uint8Array, link: PeerLink, members: Pick<Members, 'joining'>, deps: FloorHoldDeps) {
    this.#donorId = donorId;
    this.#link = link;
    this.#members = members;
    this.#deps = deps;
  }

  /** The donor has our record. Nothing is to be taken from it before: what is deleted may be collected there behind us. */
  get isHeld(): boolean {
    return this.#nextMs === undefined;
  }

  /** True where it is held then. At most one try a second. Errors: those of writing our record and of an exchange with the donor, until the next try too. */
  async ask(scopes: Scopes | undefined, signal: AbortSignal): Promise<boolean> {
    const nowMs = this.#deps.clock.monotonic();
    if (this.#nextMs === undefined) return true;
    if (nowMs >= this.#nextMs) {
      this.#nextMs = nowMs + pauseMs;
      this.#why = undefined;
      try {
        await this.#members.joining();
        if (await this.#bring(scopes, signal)) this.#nextMs = undefined;
      } catch (error) {
        this.#why = { error };
      }
    }
    if (this.#why !== undefined) throw this.#why.error;
    return this.isHeld;
  }

  /** True where the donor has our record then. */
  async #bring(scopes: Scopes | undefined, signal: AbortSignal): Promise<boolean> {
    const { replica, clusterId } = this.#deps;
    const key = peerKey(clusterId);
    const sink: DriverDeps['sink'] = { receive: (writes, peer, asOf) => replica.receive(writes, peer, 'plain', asOf) };
    const range = { start: key, end: successorKey(key) };
    const options = { scope: range, direction: 'both', onProgress: () => undefined, signal, peer: toHex(this.#donorId) } as const;
    return (await exchangeWithin(scopes, { ...this.#deps, sink }, this.#link, options)).converged;
  }
}
