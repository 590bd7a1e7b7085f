import { equalBytes, toHex } from '../core/bytes.ts';
import { GkvError, hasCode } from '../core/errors.ts';
import { hostPortText, type HostPort } from '../core/hostPort.ts';
import { holdsOurs, scopeText, type Scopes } from '../core/scope.ts';
import { type Stamp } from '../core/stamp.ts';
import { beginWait } from '../core/wait.ts';
import { type Store } from '../store/store.ts';
import { Backoff } from './backoff.ts';
import { FloorHold } from './floorHold.ts';
import { Follower, type FollowerDeps, type TakenPage } from './follower.ts';
import { codeOf, newHealth, noteFailure, type PeerHealth } from './health.ts';
import { identify, type PeerIdentity } from './identity.ts';
import { joinAdvice } from './joinAdvice.ts';
import { checkTerm, joiningSince, TermError } from './joinTerm.ts';
import { type Members } from './members.ts';
import { type Links, type OwnCluster } from './ports.ts';
import { type RecordIntake } from './records.ts';
import { repair, type RepairDeps } from './repair.ts';
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
 * carries the records over. A donor that cannot be reached is tried again until the signal aborts; where another cluster answers in its place, it begins anew
 * with that one, and one that does not hold all that we are for is not taken. Errors: `mesh_mismatch`, `peer_protocol`, `bad_config` where
 * the donor is this cluster; `not_advertised`; `must_bootstrap` where all of that takes more than a day and the floor was not held.
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
  for (;;) {
    const donor = await whileUnreachable(address, deps, signal, () => identify(links.link(address, 'identity'), asking, signal));
    if (equalBytes(donor.clusterId, own.clusterId))
      throw new GkvError('bad_config', `--join: ${hostPortText(address)} is this cluster itself; name one that is in the mesh`);
    const upstream = withinTerm(new Upstream(links.link(address, 'feed'), donor.clusterId, asking), deps.store);
    const link = links.link(address, 'exchange');
    const hold = new FloorHold(donor.clusterId, link, members, { ...deps, clusterId: own.clusterId });
    try {
      await followToEnd(donor, upstream, hold, deps, onProgress, signal);
      await members.joined(donor, address);
      return await whileUnreachable(address, deps, signal, () =>
        repair(donor.clusterId, upstream, link, newHealth(), { ...deps, clusterId: own.clusterId }, signal).then(() => undefined),
      );
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
  let advised: string | undefined;
  const page: Upstream['page'] = async (ask, until) => {
    try {
      if (!hold.wasAskedFor) {
        const { scopes } = await upstream.page({ ...ask, waitMs: 0, cursor: cursorPastAll }, until);
        checkDonor(scopes);
        await hold.ask(scopes, until);
      }
      const answered = await upstream.page(ask, until);
      checkDonor(answered.scopes);
      await hold.ask(answered.scopes, until);
      return answered;
    } catch (error) {
      const code = codeOf(error);
      const advice = joinAdvice(code);
      if (advice !== undefined && code !== advised) log.warn({ donor: toHex(donor.clusterId), code }, advice);
      advised = advice === undefined ? undefined : code;
      if (hasCode(error, 'wrong_peer', 'not_advertised') || error instanceof TermError) {
        failed.error = error;
        end.abort();
      }
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

/** Until joining has taken too long. */
function withinTerm(upstream: Upstream, store: Store): Pick<Upstream, 'page'> {
  let since: Stamp | undefined;
  return {
    page: async (ask, signal) => {
      const page = await upstream.page(ask, signal);
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

/** Again and again, with pauses, while nobody answers. */
async function whileUnreachable<T>(address: HostPort, deps: BootstrapDeps, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const backoff = new Backoff(deps.clock, deps.random);
  for (let told = ''; ;) {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (!hasCode(error, 'peer_unreachable', 'peer_timeout')) throw error;
      if (error.message !== told) deps.log.warn({ donor: hostPortText(address), err: error }, 'cannot join yet; it is tried again');
      told = error.message;
      noteFailure(deps.health, error);
      await backoff.failed(signal);
    }
  }
}
