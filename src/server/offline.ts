import { pino } from 'pino';
import { uuidText } from '../core/uuid.ts';
import { verifyBackup } from '../backup/read.ts';
import { openMesh } from '../crypto/mesh.ts';
import { type ServerConfig, type StoreConfig } from './config.ts';
import { openStore, type OpenStore } from './openStore.ts';
import { realClock, realRandom } from './real.ts';
import { renewStore } from './renew.ts';
import { restoreStore } from './restore.ts';

/** What is done on a store that nobody serves. Errors: those of the store; `data_locked` while somebody serves it. */
export async function renew(config: StoreConfig): Promise<{ clusterId: string; incarnation: number }> {
  return withStore(config, async ({ store }) => {
    const { clusterId, incarnation } = await renewStore(store, realClock);
    return { clusterId: uuidText(clusterId), incarnation };
  });
}

export interface RestoreOptions {
  readonly config: Pick<ServerConfig, 'store' | 'meshKey'>;
  /** A whole backup, each time anew. */
  readonly read: () => AsyncIterable<Uint8Array>;
  readonly as: 'same cluster' | 'new cluster';
  /** Told how many writes are checked, then restored. */
  readonly onProgress: (done: number) => void;
}

/** Fills an empty store from a backup. Errors: those of the store and of `restoreStore`. */
export async function restore({
  config,
  read,
  as,
  onProgress,
}: RestoreOptions): Promise<{ clusterId: string; incarnation: number; writes: number }> {
  const backup = await verifyBackup(read(), onProgress);
  return withStore(config.store, async ({ store, feedPartitions }) => {
    const deps = { store, feedPartitions, clock: realClock, random: realRandom, meshKey: config.meshKey ?? openMesh.key, onProgress };
    const { clusterId, incarnation } = await restoreStore(backup, read(), as, deps);
    return { clusterId: uuidText(clusterId), incarnation, writes: backup.trailer.writes };
  });
}

async function withStore<T>(config: StoreConfig, work: (opened: OpenStore) => Promise<T>): Promise<T> {
  const opened = await openStore(config, pino({ level: 'warn' }, pino.destination({ fd: 2, sync: true })));
  try {
    return await work(opened);
  } finally {
    await opened.store[Symbol.asyncDispose]();
  }
}
