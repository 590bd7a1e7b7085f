import { type DriverDeps, type PullReport } from '../aae/driver.ts';
import { type PeerLink } from '../aae/checkedPeer.ts';
import { exchangeWithin } from '../aae/scoped.ts';
import { toHex } from '../core/bytes.ts';
import { covers, type Frontier } from '../core/frontier.ts';
import { allKeys } from '../core/key.ts';
import { type Log } from '../core/ports.ts';
import { type Stamp } from '../core/stamp.ts';
import { type ReceivedWrite, type Standing } from '../replica/proposal.ts';
import { type Reach } from '../replica/ended.ts';
import { type Replica } from '../replica/replica.ts';
import { claimsFor } from './claims.ts';
import { codeOf, type PeerHealth } from './health.ts';
import { type Statement } from './statement.ts';
import { cursorPastAll, type Upstream } from './upstream.ts';

export interface RepairDeps extends Omit<DriverDeps, 'sink'> {
  readonly replica: Pick<Replica, 'receive' | 'receivePage' | 'frontier' | 'lapse'>;
  readonly log: Log;
  readonly state: () => Promise<Statement>;
  /** Rejects where nothing may be taken from the peer. */
  readonly hear: (from: Uint8Array, statement: Statement, has: Frontier | undefined) => Promise<Reach | undefined>;
  readonly standing: (peer: string) => Standing;
  /** The greatest that is known. */
  readonly floor: () => Stamp;
}

/** Keys that one line of the log names. */
const namedMax = 10;

/**
 * One exchange over all keys that both may hold with a member, and the join of its frontier, read before the first sum: once the exchange is through, all
 * that the peer had then is here, if its store is still the same afterwards. What is repaired although our frontier covered it is a defect, counted and logged with its keys.
 */
export async function repair(
  peerId: Uint8Array,
  upstream: Pick<Upstream, 'page'>,
  link: PeerLink,
  health: PeerHealth,
  deps: RepairDeps,
  signal: AbortSignal,
): Promise<PullReport> {
  const { replica, clock, log } = deps;
  try {
    const [before, statement, lapse] = await Promise.all([replica.frontier(), deps.state(), replica.lapse(toHex(peerId))]);
    const ask = { waitMs: 0, cursor: cursorPastAll, frontier: before, statement };
    const { end, statement: begun, scopes, cursor } = await upstream.page(ask, signal);
    const reached = await deps.hear(peerId, begun, end);
    const sink = new RepairSink(replica, before, deps.standing);
    const options = { scope: allKeys, direction: 'both', onProgress: () => undefined, signal, peer: toHex(peerId) } as const;
    const report = await exchangeWithin(scopes, { ...deps, sink }, link, options);
    const after = await upstream.page(ask, signal);
    await deps.hear(peerId, after.statement, after.end);
    // What was missed may have given way to something that did not come: then not all that the frontier covers is here.
    if (report.parked === 0 && report.missed === 0 && end !== undefined) {
      const claims = claimsFor(
        { joins: end, reached },
        scopes,
        { clusterId: peerId, incarnation: cursor.incarnation },
        deps.floor(),
        before,
      );
      await replica.receivePage([], toHex(peerId), { peerId, cursor: undefined, ...claims, lapse });
    }
    if (sink.defects > 0)
      log.error({ peer: toHex(peerId), defects: sink.defects, keys: sink.keys }, 'an exchange repaired what the feed should have brought');
    health.defects += sink.defects;
    note(health, clock.now(), report.converged ? 'converged' : 'partial', report);
    return report;
  } catch (error) {
    note(health, clock.now(), codeOf(error), { received: 0, sent: 0 });
    throw error;
  }
}

function note(
  health: PeerHealth,
  atMs: number,
  result: NonNullable<PeerHealth['lastExchange']>['result'],
  report: { received: number; sent: number },
): void {
  health.exchanges += 1;
  health.lastExchange = { atMs, result, received: report.received, sent: report.sent };
}

/** Takes in what the exchange brings, and sees what of it should have been here. */
class RepairSink {
  defects = 0;
  readonly keys: string[] = [];
  readonly #replica: Pick<Replica, 'receive'>;
  readonly #covered: Frontier;

  readonly #standing: (peer: string) => Standing;

  constructor(replica: Pick<Replica, 'receive'>, covered: Frontier, standing: (peer: string) => Standing) {
    this.#replica = replica;
    this.#covered = covered;
    this.#standing = standing;
  }

  async receive(writes: readonly ReceivedWrite[], peer: string, asOf: Stamp): ReturnType<Replica['receive']> {
    const results = await this.#replica.receive(writes, peer, this.#standing(peer), asOf);
    for (const [index, { write, accepted }] of writes.entries()) {
      if (results[index]?.status !== 'applied' || !covers(this.#covered, accepted)) continue;
      this.defects += 1;
      if (this.keys.length < namedMax) this.keys.push(toHex(write.key));
    }
    return results;
  }
}
