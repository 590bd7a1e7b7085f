import { GkvError } from '../core/errors.ts';
import { hostPortText, parseHostPort, type HostPort } from '../core/hostPort.ts';
import { type Clock, type Log } from '../core/ports.ts';
import { uuidText } from '../core/uuid.ts';
import { type MeshKind } from '../crypto/mesh.ts';
import { type JoinProgress } from '../mesh/bootstrap.ts';
import { joinAdvice, recordAdvice } from '../mesh/joinAdvice.ts';
import { checkTerm, joiningSinceKey, readJoiningSince } from '../mesh/joinTerm.ts';
import { type Members } from '../mesh/members.ts';
import { type Mesh } from '../mesh/mesh.ts';
import { storeKey, tables } from '../store/keyspace.ts';
import { type Store, type Transaction } from '../store/store.ts';

/** Stands while this cluster is on its way into a mesh and may lack what the mesh has: meta "joining" → HOST:PORT of the donor. */
const joiningKey = storeKey(tables.meta, Buffer.from('joining'));

/** Whether this cluster is on its way into a mesh, by whatever instance of it. */
export async function isBeingFilled(store: Store): Promise<boolean> {
  return (await store.read((snapshot) => snapshot.get(joiningKey))) !== undefined;
}

export interface Holdings {
  /** The data name this cluster as a member. */
  readonly isMember: boolean;
  /** Candidate writes held. */
  readonly entries: number;
}

/**
 * From whom this cluster must be filled before it serves; undefined: from nobody. It is so until `joined`, through all restarts, also without
 * `wanted`; with it, a donor may take the place of another. A member joins no more. Error: `bad_config` for a store that has data and is no
 * member: it may hold what was deleted in the mesh.
 */
export async function settleJoin(store: Store, wanted: HostPort | undefined, holdings: Holdings): Promise<HostPort | undefined> {
  return store.transact(async (tx) => {
    const stored = await tx.get(joiningKey);
    const before = stored === undefined ? undefined : parseHostPort(Buffer.from(stored).toString());
    if (wanted === undefined) return before;
    if (before === undefined && holdings.isMember) return undefined;
    if (before === undefined && holdings.entries > 0) {
      throw new GkvError(
        'bad_config',
        `--join: this store holds ${holdings.entries} writes and is no member of a mesh; join starts from an empty store. To bring two filled ones together start without it, and run gkvmesh members add ${hostPortText(wanted)}`,
      );
    }
    setJoining(tx, wanted);
    return wanted;
  });
}

/** From this commit on the cluster is on its way into a mesh. */
export function setJoining(tx: Transaction, donor: HostPort): void {
  tx.set(joiningKey, Buffer.from(hostPortText(donor)));
}

/** Between two looks at whether all members know of us. */
const admissionLookMs = 50;
/** Members that answer and follow us know of us sooner; after that it is told what may be wrong. */
const admissionMsMax = 10_000;

export interface JoiningDeps {
  readonly store: Store;
  readonly mesh: Pick<Mesh, 'fillFirst' | 'join' | 'readMembers' | 'behind' | 'answers' | 'floor' | 'donorError'>;
  readonly members: Pick<Members, 'joining' | 'joined'>;
  /** Whether what is written here rests on grants. */
  readonly kind: MeshKind;
  readonly clock: Pick<Clock, 'monotonic' | 'sleep'>;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** A cluster on its way into a mesh; from the moment that this is made on it gives nothing to others before it is filled. */
export class Joining {
  readonly donor: HostPort;
  readonly #deps: JoiningDeps;
  #isFilled = false;
  #isDone = false;
  #writes = 0;
  #filledMs = 0;

  constructor(donor: HostPort, deps: JoiningDeps) {
    this.donor = donor;
    this.#deps = deps;
    deps.mesh.fillFirst();
  }

  /**
   * Resolves once everything is here and all members know of us: until then one that does not could see the floor pass what we take in.
   * `follow` begins to follow them. Errors: those of `Mesh.join`; the term of a join holds until then.
   */
  async run(onProgress: (progress: JoinProgress) => void, follow: () => void): Promise<void> {
    const { store, mesh, members, clock, log, signal } = this.#deps;
    const note = (progress: JoinProgress): void => {
      this.#writes = progress.writes;
      onProgress(progress);
    };
    await mesh.join(this.donor, members, note, signal);
    await mesh.readMembers();
    this.#isFilled = true;
    this.#filledMs = clock.monotonic();
    follow();
    const since = await store.read(readJoiningSince);
    for (let told = ''; mesh.behind().length > 0;) {
      if (since !== undefined) checkTerm(since, mesh.floor());
      const refusing = this.#doNotTakeUs().map(named);
      if (refusing.length > 0 && refusing.join() !== told) log.warn({ code: 'grant_unknown', members: refusing }, recordAdvice);
      told = refusing.join();
      await clock.sleep(admissionLookMs, signal);
      signal.throwIfAborted();
    }
    await store.transact((tx) => {
      tx.clear(joiningKey);
      tx.clear(joiningSinceKey);
      return Promise.resolve();
    });
    this.#isDone = true;
  }

  /** Members that answer, and should have had our record long since. Nothing but that it waits there for its grant keeps it from them. */
  #doNotTakeUs(): readonly string[] {
    const { mesh, kind, clock } = this.#deps;
    if (kind === 'open' || clock.monotonic() - this.#filledMs < admissionMsMax) return [];
    return mesh.behind().filter((name) => mesh.answers(name));
  }

  /** Why it serves nothing yet; undefined: it may. */
  unready(): string | undefined {
    if (this.#isDone) return undefined;
    if (this.#isFilled) {
      const why = `it has joined the mesh, and waits until these know of it too: ${this.#deps.mesh.behind().map(named).join(', ')}`;
      return this.#doNotTakeUs().length === 0 ? why : `${why}; grant_unknown: ${recordAdvice}`;
    }
    const why = `it joins the mesh from ${hostPortText(this.donor)}, ${this.#writes} writes so far`;
    const error = this.#deps.mesh.donorError();
    if (error === undefined) return why;
    const advice = joinAdvice(error.code);
    return `${why}; ${error.code}: ${error.message}${advice === undefined ? '' : `; ${advice}`}`;
  }
}

/** Follows the members at once, or as soon as this cluster is filled. Resolves once it may serve. Errors: those of `Joining.run`. */
export async function joinAndFollow(
  joining: Joining | undefined,
  onProgress: (progress: JoinProgress) => void,
  follow: () => void,
): Promise<void> {
  if (joining === undefined) follow();
  else await joining.run(onProgress, follow);
}

function named(clusterId: string): string {
  return uuidText(Buffer.from(clusterId, 'hex'));
}
