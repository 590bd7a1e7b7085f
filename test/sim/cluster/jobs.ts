import { trimLog } from '../../../src/aae/bounds.ts';
import { growStep } from '../../../src/aae/grow.ts';
import { type WriteSink } from '../../../src/aae/responder.ts';
import { type MeshTimes } from '../../../src/mesh/mesh.ts';
import { type Job } from '../../../src/replica/jobs.ts';
import { storeKey } from '../../../src/store/keyspace.ts';
import { type Counts } from '../kernel/counts.ts';
import { type Parts } from './instance.ts';

/** Sizes and paces, small enough that a short run sees everything happen. */
export interface JobSettings {
  readonly counts: Counts;
  readonly mesh: MeshTimes;
  readonly topBranches: { readonly max: number; readonly min: number };
  readonly stepBranches: number;
  readonly logRowsKept: number;
  /** As on LMDB, or as on FoundationDB. */
  readonly feedPartitions: 1 | 16;
  /** Writes of a page of a feed. */
  readonly pageWrites: number;
}

/** Where writes go that exchanges bring. */
export function sinkOf({ replica, plant, mesh }: Pick<Parts, 'replica' | 'plant' | 'mesh'>): WriteSink {
  const standing: WriteSink = { receive: (writes, peer, asOf) => replica.receive(writes, peer, mesh.standing(peer), asOf) };
  return plant.sink?.(replica) ?? standing;
}

/** Jobs beside those of the mesh. */
export function clusterJobs(parts: Parts): Job[] {
  return [
    {
      name: 'parked writes',
      pauseMs: () => 2_000,
      runsOn: 'one',
      work: async () => {
        parts.settings.counts.add('parked writes taken in', await parts.replica.retryParked());
      },
    },
    { name: 'tree levels', pauseMs: () => 1_000, runsOn: 'one', work: (store, signal) => keepTree({ ...parts, store }, signal) },
    { name: 'fence', pauseMs: () => 500, runsOn: 'one', work: (store) => witness({ ...parts, store }) },
  ];
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
