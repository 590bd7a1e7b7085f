/** One process of the bench on FoundationDB: node fdbChild.js CLUSTERFILE PREFIXHEX KIND WRITER SECONDS STARTMS
 * WAITING, the batches of 100 that wait at a time, of which ingest puts up to five into a commit. Prints one line of JSON. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { keepTree } from '../../src/aae/grow.ts';
import { Tree } from '../../src/aae/tree.ts';
import { parseKey, type Key } from '../../src/core/key.ts';
import { silentLog } from '../../src/core/ports.ts';
import { MeshDigests, openMesh } from '../../src/crypto/mesh.ts';
import { openReplica } from '../../src/server/openReplica.ts';
import { openStore } from '../../src/server/openStore.ts';
import { realClock } from '../../src/server/real.ts';
import { loadDriver, openDatabase } from '../../src/store/fdb/driver.ts';

const [clusterFile = '', prefixHex = '', kind = '', writer = '0', seconds = '1', startMs = '0', waiting = '10'] = process.argv.slice(2);
const prefix = Buffer.from(prefixHex, 'hex');
const batchWrites = 100;
const value = Buffer.alloc(100, 'v');
const overwritten = 20_000;
let count = 0;

/** The next key, all of 12 bytes; by each writer of another range where they are not to meet. */
function nextKey(): Buffer {
  count += 1;
  const number = Buffer.alloc(12);
  switch (kind) {
    case 'adjacent': // each appends to the same end
      number.writeUIntBE(Number(startMs), 0, 6);
      number.writeUInt32BE(count * 2 + Number(writer), 6);
      return number;
    case 'equal': // both write the same new keys
      number.writeUIntBE(Number(startMs), 0, 6);
      number.writeUInt32BE(count, 6);
      return number;
    case 'overwrite':
    case 'prepare':
      number.write('over', 0);
      number.writeUInt32BE(Number(writer), 4);
      number.writeUInt32BE(count % overwritten, 8);
      return number;
    default:
      return randomBytes(12);
  }
}

interface Figures {
  readonly writes: number;
  readonly ms: number;
  readonly commits: number;
  /** Runs of transactions that had to be made again; with a server that answers, for conflicts. */
  readonly retries: number;
}

/** Runs `work` by `lanes` at a time until the time is over. */
async function until(lanes: number, work: () => Promise<number>): Promise<{ writes: number; ms: number }> {
  await sleep(Math.max(0, Number(startMs) - Date.now()));
  const begun = performance.now();
  const endMs = begun + Number(seconds) * 1_000;
  let writes = 0;
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      while (performance.now() < endMs && (kind !== 'prepare' || count < overwritten)) {
        const written = await work();
        writes += written;
      }
    }),
  );
  return { writes, ms: performance.now() - begun };
}

/** Ingest as an instance does it, without HTTP. */
async function ingest(): Promise<Figures> {
  const opened = await openStore({ kind: 'fdb', clusterFile, prefix }, silentLog);
  const { store } = opened;
  const digests = new MeshDigests(openMesh);
  const own = { clusterId: new Uint8Array(16).fill(1), incarnation: 1, kind: 'open' as const, meshId: openMesh.id };
  let commits = 0;
  const observer = {
    commit: (): void => {
      commits += 1;
    },
    refused: (): void => undefined,
  };
  const tree = await Tree.open(store, digests);
  const { leases, replica } = await openReplica(opened, { own, digests, tree, observer, log: silentLog }, 100);
  const stop = new AbortController();
  const keeping = writer === '0' ? keep(stop.signal) : Promise.resolve();
  const retriesBefore = opened.retries();
  const done = await until(Number(waiting), async () => {
    const keys = Array.from({ length: batchWrites }, () => parseKey(nextKey()));
    await replica.write(keys.map((key: Key) => ({ kind: 'set', key, value, expiresInMs: undefined, expected: { kind: 'any' } })));
    return batchWrites;
  });
  const retries = opened.retries() - retriesBefore;
  stop.abort();
  await keeping;
  await replica.close();
  await leases?.[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  return { ...done, commits, retries };

  async function keep(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await keepTree(store, digests, signal);
      await realClock.sleep(1_000, signal);
    }
  }
}

/** One get and one set for each write, in transactions of 500, one after the other, as ingest commits. */
async function raw(): Promise<Figures> {
  const database = openDatabase(await loadDriver(), clusterFile);
  const size = 500;
  let commits = 0;
  const done = await until(1, async () => {
    const keys = Array.from({ length: size }, () => Buffer.concat([prefix, nextKey()]));
    await database.doTn(async (tn) => {
      await Promise.all(keys.map((key) => tn.get(key)));
      for (const key of keys) tn.set(key, value);
    });
    commits += 1;
    return size;
  });
  database.close();
  return { ...done, commits, retries: 0 };
}

const figures = kind === 'raw' ? await raw() : await ingest();
process.stdout.write(`${JSON.stringify(figures)}\n`);
process.exit(0);
