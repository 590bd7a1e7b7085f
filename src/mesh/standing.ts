import { type PeerLink } from '../aae/checkedPeer.ts';
import { equalBytes, toHex } from '../core/bytes.ts';
import { GkvError, hasCode } from '../core/errors.ts';
import { type Clock, type Log } from '../core/ports.ts';
import { uuidText } from '../core/uuid.ts';
import { openingsMax } from '../replica/lineage.ts';
import { type Store } from '../store/store.ts';
import { protocolError } from '../aae/frame.ts';
import { readOrigin, setOrigin } from './originRow.ts';
import { judge, type Origin, type Verdict } from './rollback.ts';
import { type MemberWord, type Statement } from './statement.ts';

export interface StandingDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** Of others, in hex, nothing is kept. */
  readonly isMember: (name: string) => boolean;
}

/** How far a peer's store is, is kept durably this often; a new opening or incarnation at once. */
const keepMs = 10_000;
/** An alarm stays this long after the last word that gave cause for it. */
const alarmMs = 60_000;

interface Kept {
  readonly origin: Origin;
  readonly keptMs: number;
}

interface Fault {
  readonly error: GkvError;
  readonly atMs: number;
}

/**
 * Whether members' stores are what they were: one that was restored from a copy, or that is a copy beside the original, claims to have what it
 * has lost, so nothing is taken from it and nothing is given to it until it has a new incarnation.
 */
export class Standing {
  readonly #deps: StandingDeps;
  readonly #kept = new Map<string, Kept>();
  readonly #faults = new Map<string, Fault>();
  readonly #refusals = new Map<string, GkvError>();

  constructor(deps: StandingDeps) {
    this.#deps = deps;
  }

  /** A word of a peer itself. Errors: `rollback_detected`; `peer_protocol` where it does not speak of itself, or its store was never opened. */
  async hear(from: Uint8Array, { lineage, members }: Statement): Promise<MemberWord> {
    const own = members.find(({ clusterId }) => equalBytes(clusterId, from));
    if (own === undefined) throw protocolError('a statement without a word of its sender');
    if (lineage.openings.length === 0)
      throw protocolError('a statement without openings: each instance notes that it starts before it says anything');
    const said: Origin = { incarnation: own.incarnation, lineage };
    const name = toHex(from);
    const verdict = this.#deps.isMember(name) ? await this.#judge(name, from, said) : 'newer';
    if (verdict === 'forked' || verdict === 'ended') throw this.#alarm(name, from, said, verdict);
    return own;
  }

  /** Forgets what concerns those that are no members any more, but for what the store keeps of them. */
  keep(isMember: (name: string) => boolean): void {
    for (const each of [this.#kept, this.#faults, this.#refusals]) for (const name of each.keys()) if (!isMember(name)) each.delete(name);
  }

  /** False for a peer, in hex, whose store was lately seen to be a copy. */
  isGood(name: string): boolean {
    return this.fault(name) === undefined;
  }

  /** Why a peer, in hex, is not in good standing. */
  fault(name: string): GkvError | undefined {
    const fault = this.#faults.get(name);
    return fault === undefined || this.#deps.clock.monotonic() - fault.atMs > alarmMs ? undefined : fault.error;
  }

  /** What a peer says against us: nothing that we claim holds until we have a new incarnation, or have started anew. */
  refusal(): GkvError | undefined {
    return this.#refusals.values().next().value;
  }

  /** Who asks a peer no more does not hear when that one takes us again: whether it does, whoever asks it now sees. */
  left(name: string): void {
    this.#refusals.delete(name);
  }

  /** The link to a peer, by which it is seen whether that one refuses us. */
  watched(peerId: Uint8Array, link: PeerLink): PeerLink {
    const name = toHex(peerId);
    return {
      ...link,
      ask: async (frame, signal, under) => {
        try {
          const answer = await link.ask(frame, signal, under);
          this.#refusals.delete(name);
          return answer;
        } catch (error) {
          if (hasCode(error, 'rollback_detected', 'must_bootstrap')) this.#refused(name, peerId, error);
          throw error;
        }
      },
    };
  }

  async #judge(name: string, peerId: Uint8Array, said: Origin): Promise<Verdict> {
    const { store, clock } = this.#deps;
    const nowMs = clock.monotonic();
    const kept = this.#kept.get(name);
    const verdict = kept === undefined ? 'newer' : judge(kept.origin, said);
    if (verdict !== 'newer') return verdict;
    if (kept !== undefined && isSameOpening(kept.origin, said) && nowMs - kept.keptMs < keepMs) {
      this.#kept.set(name, { origin: said, keptMs: kept.keptMs });
      return verdict;
    }
    // Other instances of our cluster may have heard more.
    const { agreed, origin } = await store.transact(async (tx) => {
      const stored = await readOrigin(tx, peerId);
      const agreed = stored === undefined ? 'newer' : judge(stored, said);
      if (agreed === 'newer') setOrigin(tx, peerId, said);
      return { agreed, origin: agreed === 'newer' || stored === undefined ? said : stored };
    });
    if (agreed === 'newer' && said.incarnation > (kept?.origin.incarnation ?? 0)) this.#faults.delete(name);
    this.#kept.set(name, { origin, keptMs: nowMs });
    return agreed;
  }

  #alarm(name: string, peerId: Uint8Array, said: Origin, verdict: 'forked' | 'ended'): GkvError {
    const { clock, log } = this.#deps;
    const why =
      verdict === 'ended'
        ? `its incarnation ${said.incarnation} was given up for ${this.#kept.get(name)?.origin.incarnation ?? 0}`
        : `it was restored from a copy, or a copy runs beside it (or it was started ${openingsMax} times unheard)`;
    const error = new GkvError(
      'rollback_detected',
      `the store of cluster ${uuidText(peerId)} is not what it was: ${why}; stop it and run gkvmesh renew`,
    );
    if (this.isGood(name)) log.error({ peer: name, incarnation: said.incarnation }, error.message);
    this.#faults.set(name, { error, atMs: clock.monotonic() });
    return error;
  }

  #refused(name: string, peerId: Uint8Array, error: GkvError): void {
    if (!this.#refusals.has(name)) this.#deps.log.error({ peer: name, err: error }, `cluster ${uuidText(peerId)} refuses this one`);
    this.#refusals.set(name, error);
  }
}

function isSameOpening(a: Origin, b: Origin): boolean {
  const [last, other] = [a.lineage.openings.at(-1), b.lineage.openings.at(-1)];
  return a.incarnation === b.incarnation && last !== undefined && other !== undefined && equalBytes(last.id, other.id);
}
