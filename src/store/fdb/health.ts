import { type Clock } from '../../core/ports.ts';
import { type Database, type Driver, holding } from './driver.ts';
import { fdbCodeOf, fdbCodes } from './failures.ts';

/** What FoundationDB says of itself; see "Machine-readable status" in its documentation. */
export interface StoreHealth {
  /** Reads and writes can be made. */
  readonly available: boolean;
  /** And nothing is missing: all replicas are there, no message asks for an operator. */
  readonly healthy: boolean;
  /** For an operator: what is wrong, and what to do; empty when healthy. */
  readonly message: string;
}

/** What is wrong with a cluster that is locked, and what to do. */
export const lockedMessage =
  'Its database is locked, as while a backup is restored into it: end what locked it, or unlock it with `fdbcli --exec "unlock UID"`.';

const statusKey = Buffer.from('\xff\xff/status/json', 'latin1');

/** What the cluster says when it is asked for a read version; `locked`: an operator keeps everybody out. */
export type Answer = 'version' | 'locked' | 'none';

/** Of a cluster, in time. */
export async function answerOf(driver: Driver, database: Database, clock: Clock, withinMs: number): Promise<Answer> {
  const native = database.rawCreateTransaction();
  native.setOption(driver.TransactionOptionCode.Timeout, withinMs);
  const begun = holding(native, native.getReadVersion()).then(
    (): Answer => 'version',
    (error: unknown): Answer => (fdbCodeOf(error) === fdbCodes.locked ? 'locked' : 'none'),
  );
  return (await inTime(begun, clock, withinMs)) ?? 'none';
}

/** Resolves within `withinMs`, whatever the cluster does. */
export async function readHealth(driver: Driver, database: Database, clock: Clock, withinMs: number): Promise<StoreHealth> {
  const native = database.rawCreateTransaction();
  native.setOption(driver.TransactionOptionCode.Timeout, withinMs);
  const text = await inTime(holding(native, native.get(statusKey)), clock, withinMs);
  if (text === undefined) return { available: false, healthy: false, message: 'It does not answer: check it with `fdbcli --exec status`.' };
  try {
    return healthOf(JSON.parse(text.toString()));
  } catch {
    return { available: false, healthy: false, message: 'Its status is not JSON.' };
  }
}

/** Reads what is there of the status: FoundationDB leaves out what it does not know. */
export function healthOf(status: unknown): StoreHealth {
  const client = at(status, 'client');
  const database = at(client, 'database_status');
  if (at(at(at(status, 'cluster'), 'database_lock_state'), 'locked') === true)
    return { available: false, healthy: false, message: lockedMessage };
  const available = at(database, 'available') === true;
  const healthy = at(database, 'healthy') === true;
  if (available && healthy) return { available, healthy, message: '' };
  const said = [...messagesOf(client), ...messagesOf(at(status, 'cluster'))];
  const reachable = at(at(client, 'coordinators'), 'quorum_reachable') === true;
  const advice = reachable
    ? 'Its coordinators can be reached: check its processes with `fdbcli --exec status`, and that servers and client library are of one major.minor version.'
    : 'A quorum of its coordinators cannot be reached: check the cluster file, the network, that fdbserver runs, and that it is of the client library’s major.minor version.';
  return { available, healthy, message: available ? said.join(' ') : [advice, ...said].join(' ') };
}

function messagesOf(part: unknown): string[] {
  const messages = at(part, 'messages');
  if (!Array.isArray(messages)) return [];
  return messages.map((message) => at(message, 'description')).filter((text) => typeof text === 'string');
}

function at(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}

/** Undefined when it fails, or takes longer. */
export async function inTime<T>(begun: Promise<T>, clock: Clock, withinMs: number): Promise<T | undefined> {
  const done = new AbortController();
  const late = clock.sleep(withinMs, done.signal).then(() => undefined);
  try {
    return await Promise.race([begun, late]);
  } catch {
    return undefined;
  } finally {
    done.abort();
  }
}
