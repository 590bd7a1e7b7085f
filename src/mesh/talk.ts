import { toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { type Clock, type Log } from '../core/ports.ts';
import { stampZero, type Stamp } from '../core/stamp.ts';
import { uuidText } from '../core/uuid.ts';
import { type Standing as ReplicaStanding } from '../replica/proposal.ts';
import { type Replica } from '../replica/replica.ts';
import { type Store } from '../store/store.ts';
import { isAboveFloor, isPlausibleFloor, isTooOld } from './floor.ts';
import { type OwnCluster } from './ports.ts';
import { Recency, tooOld } from './recency.ts';
import { type Roster } from './roster.ts';
import { Standing } from './standing.ts';
import { type Statement } from './statement.ts';
import { Words } from './words.ts';

export interface TalkDeps {
  readonly store: Store;
  readonly own: OwnCluster;
  readonly replica: Pick<Replica, 'frontier' | 'floor' | 'lineage'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly times: { readonly dayMs: number };
}

/** So old may the low be that we tell others. */
const statedMsMax = 500;

/** What this cluster says to others and hears of them, and whom it believes. Cluster ids are in hex. */
export class Talk {
  readonly words: Words;
  readonly standing: Standing;
  readonly #deps: TalkDeps;
  readonly #roster: Roster;
  readonly #recency: Recency;
  /** `atMs` by the monotonic clock. */
  #stated: { readonly low: Stamp; readonly atMs: number } | undefined;

  constructor(roster: Roster, deps: TalkDeps) {
    this.#deps = deps;
    this.#roster = roster;
    this.words = new Words(deps.own);
    this.standing = new Standing({ ...deps, isMember: (name) => roster.isNamed(name) });
    this.#recency = new Recency(deps.log);
  }

  /** The greatest floor that we have or were told of. */
  get floor(): Stamp {
    return this.#recency.floor;
  }

  /** Why this cluster takes no part in the mesh. */
  fault(): GkvError | undefined {
    return this.#recency.fault ?? this.standing.refusal();
  }

  /** Whether a cluster may repair what is below the floor: a member in good standing may, that has what the floor counts on. */
  standingOf(name: string): ReplicaStanding {
    const low = this.words.of(name)?.low ?? stampZero;
    return this.#roster.isMember(name) && this.standing.isGood(name) && isAboveFloor(low, this.floor) ? 'repairs' : 'plain';
  }

  /** Forgets those that are no members any more. */
  keepMembers(): void {
    const isNamed = (name: string): boolean => this.#roster.isNamed(name);
    this.words.keep(isNamed);
    this.standing.keep(isNamed);
  }

  /** What a peer says itself. Errors: `rollback_detected` and `must_bootstrap` of the peer; `unavailable` where it is we who may not go on. */
  async hear(from: Uint8Array, statement: Statement): Promise<void> {
    const { times, clock } = this.#deps;
    const said = await this.standing.hear(from, statement);
    this.words.hear(statement, (name) => this.#roster.isNamed(name));
    if (isPlausibleFloor(statement.floor, times.dayMs, clock.now())) this.#recency.note(statement.floor);
    const others = this.#roster.otherNames();
    if (others !== undefined) await this.#recency.meet(async () => this.words.ageOf(await this.#deps.replica.frontier(), others));
    const fault = this.fault();
    if (fault !== undefined)
      throw new GkvError('unavailable', `this cluster takes no part in the mesh: ${fault.message}`, { cause: fault });
    // The greatest that it said: what it said before may come late.
    const { low } = this.words.of(toHex(from)) ?? said;
    if (isTooOld(low, this.floor)) throw tooOld(`cluster ${uuidText(from)}`);
  }

  /** `low` is zero while members are not known, or nothing was heard of one of them. */
  async lowAndFloor(): Promise<{ low: Stamp; floor: Stamp }> {
    const { replica } = this.#deps;
    const [frontier, floor] = await Promise.all([replica.frontier(), replica.floor()]);
    this.#recency.note(floor);
    const others = this.#roster.otherNames();
    return { low: (others === undefined ? undefined : this.words.lowOf(frontier, others)) ?? stampZero, floor };
  }

  /**
   * Goes with every request and answer of a feed. Low serves the floor, which moves in steps of minutes: it may be a little old, and is not
   * made anew for each page. Floor and lineage are of now: whoever takes the page beside them must know what was collected, and which store it is of.
   */
  async state(): Promise<Statement> {
    const { clock, times, replica } = this.#deps;
    const nowMs = clock.monotonic();
    let stated = this.#stated;
    if (stated === undefined || nowMs - stated.atMs >= Math.min(statedMsMax, times.dayMs / 100)) {
      stated = { low: (await this.lowAndFloor()).low, atMs: nowMs };
      this.#stated = stated;
    }
    const [floor, lineage] = await Promise.all([replica.floor(), replica.lineage()]);
    return { wallMs: clock.now(), floor, lineage, members: this.words.all(stated.low) };
  }
}
