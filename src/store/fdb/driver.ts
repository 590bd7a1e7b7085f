import { readFileSync } from 'node:fs';
import type * as foundationdb from 'foundationdb';
import { GkvError } from '../../core/errors.ts';

/** The npm driver, loaded only when FoundationDB was chosen: it needs FoundationDB's client library on the machine. */
export type Driver = typeof foundationdb;
export type Database = ReturnType<Driver['open']>;
export type NativeTransaction = ReturnType<Database['rawCreateTransaction']>;

/** The API version that the adapter is written against; every FoundationDB from 7.1 on serves it. */
const apiVersion = 710;

let loaded: Promise<Driver> | undefined;

/** Once per process: so does FoundationDB's client. Error: `bad_config`, when driver or client library are missing. */
export function loadDriver(): Promise<Driver> {
  loaded ??= load();
  return loaded;
}

async function load(): Promise<Driver> {
  let driver: Driver;
  try {
    driver = await import('foundationdb');
  } catch (cause) {
    throw new GkvError(
      'bad_config',
      '--fdb: the npm package foundationdb or FoundationDB’s client library (libfdb_c) cannot be loaded; install FoundationDB’s client package, of the ' +
        `servers’ version, or name the library’s directory in LD_LIBRARY_PATH: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
  try {
    driver.setAPIVersion(apiVersion);
  } catch (cause) {
    throw new GkvError(
      'bad_config',
      `--fdb: FoundationDB’s client library does not serve API version ${apiVersion}: 7.1 or newer is needed`,
      {
        cause,
      },
    );
  }
  return driver;
}

/** Error: `bad_config`, when the cluster file is missing or is none. */
export function openDatabase(driver: Driver, clusterFile: string): Database {
  checkClusterFile(clusterFile);
  try {
    return driver.open(clusterFile);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new GkvError('bad_config', `--fdb: ${clusterFile} is not accepted by FoundationDB’s client: ${why}`, { cause });
  }
}

function checkClusterFile(path: string): void {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new GkvError(
      'bad_config',
      `--fdb: the cluster file ${path} cannot be read; FoundationDB’s own is /etc/foundationdb/fdb.cluster`,
      {
        cause,
      },
    );
  }
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'));
  if (lines.length === 1 && /^\w+:\w+@[^@\s,]+:\d+[^@\s]*$/.test(lines[0]?.trim() ?? '')) return;
  throw new GkvError('bad_config', `--fdb: ${path} is no cluster file: it holds one line DESCRIPTION:ID@HOST:PORT,HOST:PORT,…`);
}

const inUse = new Set<NativeTransaction>();

/**
 * Keeps a transaction from being collected until what was begun on it has ended: its finaliser would cancel that, and a promise of the
 * driver's does not hold its transaction.
 */
export async function holding<T>(native: NativeTransaction, begun: Promise<T>): Promise<T> {
  inUse.add(native);
  try {
    return await begun;
  } finally {
    inUse.delete(native);
  }
}
