import { existsSync } from 'node:fs';
import { pino } from 'pino';
import { verifyBackup, type VerifiedBackup } from '../backup/read.ts';
import { equalBytes, toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { uuidText } from '../core/uuid.ts';
import { sha256 } from '../crypto/digest.ts';
import { openMesh, type MeshKind } from '../crypto/mesh.ts';
import { type StoreConfig } from './config.ts';
import { logTarget } from './logTarget.ts';
import { openStore, type OpenStore } from './openStore.ts';
import { realClock, realRandom } from './real.ts';
import { renewStore } from './renew.ts';
import { restoreStore } from './restore.ts';

/** What is done on a store that nobody serves. Errors: those of the store; `data_locked` while somebody serves it. */
export async function renew(config: StoreConfig): Promise<{ clusterId: string; incarnation: number }> {
  // To open a store that is not there would make one.
  if (config.kind === 'lmdb' && !existsSync(config.dir)) throw new GkvError('bad_config', `${config.dir}: there is no store to renew`);
  return withStore(config, async ({ store }) => {
    const { clusterId, incarnation } = await renewStore(store, realClock);
    return { clusterId: uuidText(clusterId), incarnation };
  });
}

export interface RestoreOptions {
  readonly store: StoreConfig;
  /** The mesh key that was given for a mesh of this kind; undefined: none was. */
  readonly meshKeyOf: (kind: MeshKind) => Uint8Array | undefined;
  /** A whole backup, each time anew. */
  readonly read: () => AsyncIterable<Uint8Array>;
  readonly as: 'same cluster' | 'new cluster';
  /** Told how many writes are checked, then restored. */
  readonly onProgress: (done: number) => void;
}

/** Fills an empty store from a backup. Errors: those of the store, of `meshKeyOf` and of `restoreStore`. */
export async function restore({
  store: config,
  meshKeyOf,
  read,
  as,
  onProgress,
}: RestoreOptions): Promise<{ clusterId: string; incarnation: number; writes: number }> {
  const backup = await verifyBackup(read(), onProgress);
  const meshKey = fitting(backup.header, meshKeyOf(backup.header.kind));
  return withStore(config, async ({ store, feedPartitions }) => {
    const deps = { store, feedPartitions, clock: realClock, random: realRandom, meshKey, onProgress };
    const { clusterId, incarnation } = await restoreStore(backup, read(), as, deps);
    return { clusterId: uuidText(clusterId), incarnation, writes: backup.trailer.writes };
  });
}

/** The mesh key of a backup. Error: `bad_config`, with what to give. */
function fitting({ kind, meshId, keyDigest }: VerifiedBackup['header'], given: Uint8Array | undefined): Uint8Array {
  const key = given ?? openMesh.key;
  if (equalBytes(sha256(key), keyDigest)) return key;
  const why = given === undefined ? 'no mesh key was given' : 'the mesh key that was given is not its';
  const right = kind === 'granted' ? 'give --mesh DIR, a mesh directory of it' : 'give --mesh-key FILE';
  throw new GkvError('bad_config', `the backup is of ${kind} mesh ${toHex(meshId)}, and ${why}: ${right}`);
}

async function withStore<T>(config: StoreConfig, work: (opened: OpenStore) => Promise<T>): Promise<T> {
  const opened = await openStore(config, pino({ level: 'warn' }, logTarget));
  try {
    return await work(opened);
  } finally {
    await opened.store[Symbol.asyncDispose]();
  }
}
