import { trimLog } from '../../../src/aae/bounds.ts';
import { Driver } from '../../../src/aae/driver.ts';
import { growStep } from '../../../src/aae/grow.ts';
import { type WriteSink } from '../../../src/aae/responder.ts';
import { allKeys } from '../../../src/core/key.ts';
import { hasCode } from '../../../src/core/errors.ts';
import { type Job } from '../../../src/server/background.ts';
import { storeKey } from '../../../src/store/keyspace.ts';
import { type Counts } from '../kernel/counts.ts';
import { type Parts } from './instance.ts';

/** Sizes and paces, small enough that a short run sees everything happen. */
export interface JobSettings {
  readonly counts: Counts;
  readonly antiEntropyMs: number;
  /** While true no exchange is begun. */
  isQuiet: boolean;
  readonly topBranches: { readonly max: number; readonly min: number };
  readonly stepBranches: number;
  readonly logRowsKept: number;
}

/** Where received writes go. */
export function sinkOf({ replica, plant }: Pick<Parts, 'replica' | 'plant'>): WriteSink {
  return plant.sink?.(replica) ?? replica;
}

/** Jobs that one instance of a cluster runs, under leases. */
export function clusterJobs(parts: Parts): Job[] {
  return [
    {
      name: 'parked writes',
      pauseMs: 2_000,
      work: async () => {
        parts.settings.counts.add('parked writes taken in', await parts.replica.retryParked());
      },
    },
    { name: 'tree levels', pauseMs: 1_000, work: (store, signal) => keepTree({ ...parts, store }, signal) },
    { name: 'fence', pauseMs: 500, work: (store) => witness({ ...parts, store }) },
  ];
}

/** Jobs that every instance runs. The loops of another layer join here, or beside it in `openInstance`. */
export function instanceJobs(parts: Parts): Job[] {
  return [{ name: 'anti-entropy', pauseMs: parts.settings.antiEntropyMs / 2, work: (_store, signal) => antiEntropy(parts, signal) }];
}

async function antiEntropy(parts: Parts, signal: AbortSignal): Promise<void> {
  const { store, digests, own, clock, random, settings, link } = parts;
  await clock.sleep(random.around(settings.antiEntropyMs / 2), signal);
  const peers = parts.peers();
  if (settings.isQuiet || peers.length === 0 || signal.aborted) return;
  const deps = { store, digests, clusterId: own.clusterId, sink: sinkOf(parts), clock, random };
  const direction = random.chance(0.8) ? 'both' : 'pull';
  const driver = new Driver(deps, link(random.pick(peers), '/exchange'), {
    scope: allKeys,
    direction,
    onProgress: () => undefined,
    signal,
  });
  try {
    const { converged, applied, parked } = await driver.run();
    settings.counts.add(converged ? 'exchange: converged' : 'exchange: did not converge');
    settings.counts.add('exchange: writes applied', applied);
    settings.counts.add('exchange: writes parked', parked);
  } catch (error) {
    if (!hasCode(error, 'peer_timeout', 'peer_unreachable', 'unavailable', 'disk_full')) throw error;
    settings.counts.add(`exchange: ${error.code}`);
  }
}

/** As `keepTree` of `aae/grow.ts`, with small sizes. */
async function keepTree({ store, digests, settings, random }: Parts, signal: AbortSignal): Promise<void> {
  const pace = { branches: 1 + random.below(settings.stepBranches) };
  for (let steps = 0; steps < 8 && !signal.aborted; steps += 1) {
    const step = await growStep(store, digests, settings.topBranches, pace);
    if (step === 'nothing') break;
    settings.counts.add(`tree: level ${step}`);
  }
  await store.transact((tx) => trimLog(tx, settings.logRowsKept));
}

/** Where `witness` writes; no table of the store's. */
export const witnessKey = storeKey(0xf0 as Parameters<typeof storeKey>[0], Buffer.from('fence'));

/**
 * Work under a lease that takes several transactions, and says in each of them who it is: the number in a process' name rises, so the oracle sees
 * a holder that goes on behind its successor.
 */
async function witness({ store, clock, random, leases }: Parts): Promise<void> {
  const number = leases.held('job/fence')?.number ?? 0;
  for (let steps = 0; steps < 3; steps += 1) {
    await store.transact((tx) => {
      const row = Buffer.alloc(8);
      row.writeUIntBE(number, 0, 6);
      tx.set(witnessKey, row);
      return Promise.resolve();
    });
    await clock.sleep(random.around(300));
  }
}
