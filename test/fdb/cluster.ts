import { randomBytes } from 'node:crypto';
import { realClock, realRandom } from '../../src/server/real.ts';
import { loadDriver, openDatabase } from '../../src/store/fdb/driver.ts';
import { type FdbStore, openFdbStore } from '../../src/store/fdb/store.ts';

/** The FoundationDB that GKVMESH_TEST_FDB names by its cluster file; undefined where there is none. */
export const testCluster: string | undefined = process.env['GKVMESH_TEST_FDB'];

/** Everything that one run of the tests writes lies under this. */
const runPrefix = Buffer.concat([Buffer.from('gkvmesh-test/'), randomBytes(8)]);
let stores = 0;

/** A prefix that nobody has used, below that of the run. */
export function freshPrefix(): Buffer {
  stores += 1;
  const number = Buffer.alloc(4);
  number.writeUInt32BE(stores);
  return Buffer.concat([runPrefix, number]);
}

export function openTestStore(prefix: Uint8Array): Promise<FdbStore> {
  const attempts = isBuggified ? { attemptsMax: attemptsMaxBuggified } : {};
  return openFdbStore({ clusterFile: clusterFile(), prefix, clock: realClock, random: realRandom, ...attempts });
}

/** Where the client's draw is that each read fails with 1 %, a transaction of 400 reads is whole once in 55 runs. */
const attemptsMaxBuggified = 1_000;

export function clusterFile(): string {
  if (testCluster === undefined) throw new Error('GKVMESH_TEST_FDB names no cluster file');
  return testCluster;
}

/** FoundationDB's client fails now and then on purpose. */
export const isBuggified: boolean = process.env['GKVMESH_TEST_BUGGIFY'] !== undefined;

/** With GKVMESH_TEST_BUGGIFY, FoundationDB's client fails now and then on purpose. Before the first store is opened. */
export async function buggify(): Promise<void> {
  if (!isBuggified) return;
  const driver = await loadDriver();
  driver.configNetwork({
    client_buggify_enable: true,
    client_buggify_section_activated_probability: 25,
    client_buggify_section_fired_probability: 10,
  });
}

const shared = new Map<object, Buffer>();
const opened: FdbStore[] = [];

/** A store for tests that know memory alone: the same place for the same `database`. Closed at the end of the run. */
export async function storeInsteadOf(database: object): Promise<FdbStore> {
  const prefix = shared.get(database) ?? freshPrefix();
  shared.set(database, prefix);
  const store = await openTestStore(prefix);
  opened.push(store);
  return store;
}

/** Clears what the run wrote. */
export async function clearRun(): Promise<void> {
  for (const store of opened) await store[Symbol.asyncDispose]();
  const database = openDatabase(await loadDriver(), clusterFile());
  await database.doTn((tn) => {
    tn.clearRangeStartsWith(runPrefix);
    return Promise.resolve();
  });
  database.close();
}
