import { equalBytes, toHex } from '../core/bytes.ts';
import { GkvError, hasCode, type ErrorCode } from '../core/errors.ts';
import { hostPortText, type HostPort } from '../core/hostPort.ts';
import { limits } from '../core/limits.ts';
import { type Log } from '../core/ports.ts';
import { holdsOurs, scopeText, type Scopes } from '../core/scope.ts';
import { type Stamp } from '../core/stamp.ts';
import { beginWait } from '../core/wait.ts';
import { Backoff } from './backoff.ts';
import { FloorHold } from './floorHold.ts';
import { Follower, type FollowerDeps, type TakenPage } from './follower.ts';
import { codeOf, newHealth, noteFailure, type PeerHealth } from './health.ts';
import { identify, type PeerIdentity } from './identity.ts';
import { joinAdvice } from './joinAdvice.ts';
import { aboutSeconds, checkClock, checkTerm, joiningSince, TermError } from './joinTerm.ts';
import { type Members } from './members.ts';
import { type Links, type OwnCluster } from './ports.ts';
import { type RecordIntake } from './records.ts';
import { repair, type RepairDeps } from './repair.ts';
import { type Statement } from './statement.ts';
import { cursorPastAll, Upstream } from './upstream.ts';

export interface BootstrapDeps extends Omit<FollowerDeps, 'onPage' | 'replica' | 'waitMs'>, Omit<RepairDeps, 'clusterId' | 'replica'> {
  readonly replica: FollowerDeps['replica'] & RepairDeps['replica'];
  readonly links: Links;
  readonly own: OwnCluster;
  /** Of a granted mesh. */
  readonly records?: RecordIntake | undefined;
  /** How it goes with the donor. */
  readonly health: PeerHealth;
}

/** What came since this process began to join. */
export interface JoinProgress {
  readonly writes: number;
  /** Of frames. */
  readonly bytes: number;
  readonly ms: number;
}

/**
 * Fills this cluster from a member's feed, from where the cursor in the store stands: who is killed and comes again repeats the pages that were under
 * way, and no more. Meanwhile the mesh holds its floor for us. Then we and the donor are members, and an exchange in both directions shows that nothing is missing and
 * carries the records over. What fails is tried again until the signal aborts; where another cluster answers in the donor's place, it begins anew
 * with that one, and one that does not hold all that we are for is not taken. Errors: `mesh_mismatch`; of who is asked first, `peer_protocol`, and `bad_config` where
 * that is this cluster; `not_advertised`; `must_bootstrap` where all of that takes more than a day and the floor was not held.
 */
export async function bootstrap(
  address: HostPort,
  deps: BootstrapDeps,
  members: Pick<Members, 'joining' | 'joined'>,
  onProgress: (progress: JoinProgress) => void,
  signal: AbortSignal,
): Promise<void> {
  const { links, own, digests, random } = deps;
  const asking = { digests, random, clusterId: own.clusterId, records: deps.records };
  const backoff = new Backoff(deps.clock, random);
  const advise = adviser(address, deps.log);
  const untilDone = <T>(endCodes: readonly ErrorCode[], work: () => Promise<T>): Promise<T> =>
    untilThrough(work, { endCodes, address, advise }, deps, signal);
  for (;;) {
    const donor = await untilDone(['mesh_mismatch', 'peer_protocol'], () => identify(links.link(address, 'identity'), asking, signal));
    if (equalBytes(donor.clusterId, own.clusterId))
      throw new GkvError('bad_config', `--join: ${hostPortText(address)} is this cluster itself; name one that is in the mesh`);
    const hear = (statement: Statement): Promise<unknown> => {
      checkClock(statement, deps.clock.now());
      return deps.hear(donor.clusterId, statement, undefined);
    };
    const upstream = withinTerm(new Upstream(links.link(address, 'feed'), donor.clusterId, { ...asking, hear }), deps);
    const link = links.link(address, 'exchange');
    const hold = new FloorHold(donor.clusterId, link, members, { ...deps, clusterId: own.clusterId });
    try {
      await followToEnd(donor, upstream, hold, deps, advise, onProgress, signal);
      await untilDone(['not_advertised'], () => members.joined(donor, address));
      await untilDone(['mesh_mismatch', 'wrong_peer'], () =>
        repair(donor.clusterId, upstream, link, newHealth(), { ...deps, clusterId: own.clusterId }, signal),
      );
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (!hasCode(error, 'wrong_peer')) throw error;
      deps.log.warn({ donor: hostPortText(address), err: error }, 'another cluster answers for the donor: joining begins anew');
      await backoff.failed(signal);
    }
  }
}

/** Until a page has brought all that the donor had when it made it. Error: `wrong_peer`. */
async function followToEnd(
  donor: PeerIdentity,
  upstream: Pick<Upstream, 'page'>,
  hold: FloorHold,
  deps: BootstrapDeps,
  advise: (error: unknown) => void,
  onProgress: (progress: JoinProgress) => void,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log } = deps;
  const end = new AbortController();
  const startedMs = clock.monotonic();
  let progress: JoinProgress = { writes: 0, bytes: 0, ms: 0 };
  const onPage = ({ writes, bytes, isEnd }: TakenPage): void => {
    progress = { writes: progress.writes + writes, bytes: progress.bytes + bytes, ms: clock.monotonic() - startedMs };
    onProgress(progress);
    if (isEnd) end.abort();
  };
  const failed: { error?: GkvError } = {};
  const fail = (error: GkvError): void => {
    failed.error = error;
    end.abort();
  };
  const askToHold = (scopes: Scopes | undefined, until: AbortSignal): Promise<boolean> =>
    hold.ask(scopes, until).catch((error: unknown) => {
      if (hasCode(error, 'mesh_mismatch', 'wrong_peer', 'not_advertised')) fail(error);
      throw error;
    });
  const page: Upstream['page'] = async (ask, until) => {
    try {
      if (!hold.isHeld) {
        const { scopes, statement } = await upstream.page({ ...ask, waitMs: 0, cursor: cursorPastAll }, until);
        const skewMs = statement.wallMs - clock.now();
        deps.health.skewMs = skewMs;
        checkDonor(scopes);
        if (!(await askToHold(scopes, until))) throw notHeld(skewMs, deps.records !== undefined);
      }
      const answered = await upstream.page(ask, until);
      checkDonor(answered.scopes);
      return answered;
    } catch (error) {
      advise(error);
      if (hasCode(error, 'wrong_peer') || error instanceof TermError) fail(error);
      throw error;
    }
  };
  const follower = new Follower(donor.clusterId, { page }, deps.health, { ...deps, waitMs: 0, onPage });
  const either = beginWait(signal, end.signal);
  try {
    await follower.run(either.signal);
  } finally {
    either.end();
  }
  signal.throwIfAborted();
  if (failed.error !== undefined) throw failed.error;
  log.info({ donor: toHex(donor.clusterId), ...progress }, 'has what the donor had');
}

/** Why the donor has not taken our record. `skewMs`: how far its clock is ahead of ours. */
function notHeld(skewMs: number, isGranted: boolean): GkvError {
  const what = 'the donor does not know yet that this region is being filled, and would not keep deletes for it, so nothing is taken in';
  const isAhead = -skewMs > limits.futureMsMax;
  const why = isAhead
    ? `: this region’s clock is ${aboutSeconds(-skewMs)} s ahead of the donor’s, and its record waits there until then: set right the one that is wrong`
    : isGranted
      ? ': its record may wait there for the grant that it was written by: the records of that belong into the donor’s mesh directory'
      : '';
  return new GkvError('unavailable', `${what}${why}`);
}

/** Until joining has taken too long, and not by a clock that is too far behind. */
function withinTerm(upstream: Upstream, { store, clock }: Pick<BootstrapDeps, 'store' | 'clock'>): Pick<Upstream, 'page'> {
  let since: Stamp | undefined;
  return {
    page: async (ask, signal) => {
      const page = await upstream.page(ask, signal);
      checkClock(page.statement, clock.now());
      since ??= await joiningSince(store, page.statement.wallMs);
      checkTerm(since, page.statement.floor);
      return page;
    },
  };
}

/** Who lacks some of what we are for cannot fill us. Error: `scope_mismatch`. */
function checkDonor(scopes: Scopes | undefined): void {
  if (scopes === undefined || holdsOurs(scopes)) return;
  const [has, needed] = [scopes.peer, scopes.own].map((scope) => scopeText(scope).join(' '));
  throw new GkvError(
    'scope_mismatch',
    `the donor holds ${has}, and this cluster is for ${needed}: join from a member that holds all of that`,
  );
}

/** Says what an operator can do about an error: once, until another one comes. */
function adviser(address: HostPort, log: Log): (error: unknown) => void {
  let advised: ErrorCode | undefined;
  return (error) => {
    const code = codeOf(error);
    const advice = joinAdvice(code);
    if (advice !== undefined && code !== advised) log.warn({ donor: hostPortText(address), code }, advice);
    advised = advice === undefined ? undefined : code;
  };
}

interface Trying {
  /** With which it is over, as by a `TermError`. */
  readonly endCodes: readonly ErrorCode[];
  readonly address: HostPort;
  readonly advise: (error: unknown) => void;
}

/** Again and again, with pauses, whatever comes but what another try does not mend. */
async function untilThrough<T>(
  work: () => Promise<T>,
  { endCodes, address, advise }: Trying,
  { clock, random, log, health }: BootstrapDeps,
  signal: AbortSignal,
): Promise<T> {
  const backoff = new Backoff(clock, random);
  for (let told = ''; ;) {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (hasCode(error, ...endCodes) || error instanceof TermError) throw error;
      noteFailure(health, error);
      const message = health.lastError?.message ?? '';
      if (message !== told) log.warn({ donor: hostPortText(address), err: error }, 'cannot join yet; it is tried again');
      told = message;
      advise(error);
      await backoff.failed(signal);
      signal.throwIfAborted();
    }
  }
}
