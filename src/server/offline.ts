import { pino } from 'pino';
import { uuidText } from '../core/uuid.ts';
import { type StoreConfig } from './config.ts';
import { openStore, type OpenStore } from './openStore.ts';
import { realClock } from './real.ts';
import { renewStore } from './renew.ts';

/** What is done on a store that nobody serves. Errors: those of the store; `data_locked` while somebody serves it. */
export async function renew(config: StoreConfig): Promise<{ clusterId: string; incarnation: number }> {
  return withStore(config, async ({ store }) => {
    const { clusterId, incarnation } = await renewStore(store, realClock);
    return { clusterId: uuidText(clusterId), incarnation };
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
