import { type Log } from '../core/ports.ts';
import { type StoreHealth } from '../store/fdb/health.ts';
import { type FdbStore } from '../store/fdb/store.ts';
import { tables } from '../store/keyspace.ts';
import { openLmdbStore } from '../store/lmdb/store.ts';
import { type Store } from '../store/store.ts';
import { type StoreConfig } from './config.ts';
import { noticingFull } from './diskRoom.ts';
import { realClock, realRandom } from './real.ts';

const fullMessage = 'Its disk was full less than a minute ago, and writes were refused: make room; it goes on by itself.';

/** Of tables whose values may be larger than FoundationDB takes at once: values, and writes that wait, which hold one. */
const largeTables: ReadonlySet<number | undefined> = new Set([tables.value, tables.leafValue, tables.parked, tables.unproven]);

export function mayBeLarge(key: Uint8Array): boolean {
  return largeTables.has(key[0]);
}

/** The store of one cluster, and what is special about its kind. */
export interface OpenStore {
  readonly kind: 'lmdb' | 'fdb';
  readonly store: Store;
  /** Other processes serve from this store too: slots and background jobs are leased. */
  readonly isShared: boolean;
  /** So that the feed has no single tail where that would be a hot spot. */
  readonly feedPartitions: 1 | 16;
  /** Runs of transactions that had to be made again, since the start. */
  retries(): number;
  /** Has the listener called while the store is known not to answer. */
  listen(onUnavailable: () => void): void;
  /** False while the store is known not to answer, or to let nobody in. */
  available(): boolean;
  /** It answers, and an operator keeps everybody out. */
  isLocked(): boolean;
  /** True for a minute after its disk was full. */
  isFull(): boolean;
  health(): Promise<StoreHealth>;
}

/** Loads what the store needs only when it was chosen. Errors: those of the store; `bad_config` and `unavailable` for FoundationDB. */
export async function openStore(config: StoreConfig, log: Log): Promise<OpenStore> {
  if (config.kind === 'lmdb') {
    const { store, isFull } = noticingFull(await openLmdbStore({ dir: config.dir, clock: realClock, random: realRandom, log }), realClock);
    const health = (): StoreHealth => ({ available: true, healthy: !isFull(), message: isFull() ? fullMessage : '' });
    return {
      kind: 'lmdb',
      store,
      isShared: false,
      feedPartitions: 1,
      retries: () => 0,
      listen: () => undefined,
      available: () => true,
      isLocked: () => false,
      isFull,
      health: () => Promise.resolve(health()),
    };
  }
  const { openFdbStore } = await import('../store/fdb/store.ts');
  const { clusterFile, prefix } = config;
  const store: FdbStore = await openFdbStore({ clusterFile, prefix, clock: realClock, random: realRandom, log, mayBeLarge });
  return {
    kind: 'fdb',
    store,
    isShared: true,
    feedPartitions: 16,
    retries: () => store.retries,
    listen: (onUnavailable) => {
      store.onUnavailable = onUnavailable;
    },
    available: () => store.isAvailable,
    isLocked: () => store.isLocked,
    isFull: () => false, // its own status tells
    health: () => store.health(healthMsMax),
  };
}

/** FoundationDB's client takes 2 s to find that coordinators are away. */
const healthMsMax = 3_000;
