import { equalBytes, toHex } from '../core/bytes.ts';
import { frontierZero, type Frontier } from '../core/frontier.ts';
import { GkvError } from '../core/errors.ts';
import { type Clock, type Log } from '../core/ports.ts';
import { compareStamps, stampZero, type Stamp } from '../core/stamp.ts';
import { uuidText } from '../core/uuid.ts';
import { type Standing as ReplicaStanding } from '../replica/proposal.ts';
import { peerEnded, type Reach, type Removal } from '../replica/ended.ts';
import { type Replica } from '../replica/replica.ts';
import { type Store } from '../store/store.ts';
import { isAboveFloor, isPlausibleFloor, isTooOld } from './floor.ts';
import { type OwnCluster } from './ports.ts';
import { Recency, tooOld } from './recency.ts';
import { Renewal } from './renewed.ts';
import { type Roster } from './roster.ts';
import { Standing } from './standing.ts';
import { type Statement } from './statement.ts';
import { closedBy, reachAt, Words } from './words.ts';

export interface TalkDeps {
  readonly store: Store;
  readonly own: OwnCluster;
  readonly replica: Pick<Replica, 'frontier' | 'floor' | 'lineage' | 'reached'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly times: { readonly dayMs: number };
  /** This cluster is being filled, and has nothing of anybody yet. */
  readonly isFilling: () => boolean;
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
  readonly #renewal: Renewal;
  /** `atMs` by the monotonic clock. */
  #stated: { readonly low: Stamp; readonly atMs: number } | undefined;
  /** The last one in which all were reached; that stays true. */
  #level: Reach | undefined;

  constructor(roster: Roster, deps: TalkDeps) {
    this.#deps = deps;
    this.#roster = roster;
    this.words = new Words(deps.own, deps.times.dayMs);
    this.standing = new Standing({ ...deps, isMember: (name) => roster.isNamed(name) });
    this.#recency = new Recency(deps.log);
    this.#renewal = new Renewal(deps.store, deps.own);
  }

  /** The greatest floor that we have or were told of. */
  get floor(): Stamp {
    return this.#recency.floor;
  }

  /** Why this cluster takes no part in the mesh. */
  fault(): GkvError | undefined {
    return this.ended() ?? this.standing.refusal();
  }

  /** Why it never will again, by what is known here. */
  ended(): GkvError | undefined {
    const { clusterId } = this.#deps.own;
    if (this.#roster.isRemoved(toHex(clusterId))) return peerEnded(uuidText(clusterId));
    return this.#recency.fault;
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

  /**
   * What a peer says itself, and with it what it `has`, where it tells that. Resolves with what is reached by who takes in all that is beside it; undefined where that is of another epoch. Errors:
   * `rollback_detected` and `must_bootstrap` of the peer; `unavailable` where it is we who may not go on.
   */
  async hear(from: Uint8Array, statement: Statement, has?: Frontier): Promise<Reach | undefined> {
    const { times, clock } = this.#deps;
    if (this.#roster.isRemoved(toHex(from))) throw peerEnded(uuidText(from));
    const said = await this.standing.hear(from, statement);
    const { epoch } = this.#roster;
    this.words.hear(from, statement, (name) => this.#roster.isNamed(name), clock.monotonic(), epoch);
    if (isPlausibleFloor(statement.floor, times.dayMs, clock.now())) {
      if (await this.#renewal.isOlderThan(statement.floor, has, () => this.#deps.replica.frontier())) this.#recency.fail();
      this.#recency.note(statement.floor);
    }
    const others = this.#roster.otherNames();
    if (others !== undefined) await this.#recency.meet(async () => this.words.ageOf(await this.#deps.replica.frontier(), others));
    const fault = this.fault();
    if (fault !== undefined) throw new GkvError('unavailable', `this cluster takes no part in the mesh: ${fault.message}`);
    // What it said before may come late, and it may say nothing now that it knows of a member that it never heard.
    const { low: greatest } = this.words.of(toHex(from)) ?? said;
    const low = isNothing(said.low) ? said.low : greatest;
    // What a member makes itself is no less than its low, in any of its slots, and known before it ever had one.
    const isOther = this.#roster.otherNames()?.includes(toHex(from)) === true; // a record may name an address of ours
    const [present = stampZero] = isOther && isNothing(greatest) ? closedBy(said, has ?? frontierZero) : [];
    if (isTooOld(low, this.floor) || isTooOld(present, this.floor)) throw tooOld(`cluster ${uuidText(from)}`);
    if (!equalBytes(statement.reach.epoch, epoch)) return undefined;
    return { epoch, members: statement.reach.members.filter((clusterId) => this.#roster.isNamed(toHex(clusterId))) };
  }

  /** `low` is zero while this cluster is being filled, members are not known, or nothing was heard of one of them. */
  async lowAndFloor(): Promise<{ low: Stamp; floor: Stamp; frontier: Frontier }> {
    const { replica } = this.#deps;
    const [frontier, floor] = await Promise.all([replica.frontier(), replica.floor()]);
    this.#recency.note(floor);
    const others = this.#deps.isFilling() ? undefined : this.#roster.otherNames();
    const removed = this.#roster.removed().filter(({ settled }) => !settled);
    return { low: (others === undefined ? undefined : this.words.lowOf(frontier, others, removed)) ?? stampZero, floor, frontier };
  }

  /** Our epoch, and whose content of it is here. Asked before anything is read that others shall take it to be true of. */
  async reach(): Promise<Reach> {
    const { epoch } = this.#roster;
    if (this.#level !== undefined && equalBytes(this.#level.epoch, epoch)) return this.#level;
    const others = this.#roster.otherNames() ?? [];
    const rows = await this.#deps.replica.reached();
    const reached = others.filter((name) => rows.get(name) === toHex(epoch));
    const reach = { epoch, members: [this.#deps.own.clusterId, ...reached.map((name) => Buffer.from(name, 'hex'))] };
    if (this.#roster.otherNames() !== undefined && reached.length === others.length) this.#level = reach;
    return reach;
  }

  /** Removals after which every member has what any of them had: from now on they need not be waited for. */
  async settledNow(): Promise<readonly Removal[]> {
    const waiting = this.#roster.removed().filter(({ settled }) => !settled);
    if (waiting.length === 0) return [];
    const { epoch } = await this.reach();
    const isLevel = this.#level !== undefined && equalBytes(this.#level.epoch, epoch) && equalBytes(this.#roster.epoch, epoch);
    return isLevel && this.notAt(2).length === 0 ? waiting : [];
  }

  /** Members, in hex, that did not say yet that they are at our epoch (1), or level at it (2); ourselves, until the members were read. */
  notAt(reach: 1 | 2): string[] {
    const { epoch } = this.#roster;
    const others = this.#roster.otherNames();
    if (others === undefined) return [toHex(this.#deps.own.clusterId)];
    return others.filter((name) => reachAt(this.words.of(name), epoch) < reach);
  }

  /**
   * Goes with every request and answer of a feed. Low serves the floor, which moves in steps of minutes: it may be a little old, and is not
   * made anew for each page. `reach` is from before the page was read. Floor and lineage are of now: whoever takes the page beside them must know what was collected, and which store it is of.
   */
  async state(reach?: Reach): Promise<Statement> {
    const { clock, times, replica } = this.#deps;
    const nowMs = clock.monotonic();
    let stated = this.#stated;
    if (stated === undefined || nowMs - stated.atMs >= Math.min(statedMsMax, times.dayMs / 100)) {
      stated = { low: (await this.lowAndFloor()).low, atMs: nowMs };
      this.#stated = stated;
    }
    const [floor, lineage, now] = await Promise.all([replica.floor(), replica.lineage(), reach ?? this.reach()]);
    const isLevel = this.#level !== undefined && equalBytes(this.#level.epoch, now.epoch);
    return { wallMs: clock.now(), floor, lineage, reach: now, members: this.words.all({ low: stated.low, epoch: now.epoch, isLevel }) };
  }
}

function isNothing(low: Stamp): boolean {
  return compareStamps(low, stampZero) === 0;
}
