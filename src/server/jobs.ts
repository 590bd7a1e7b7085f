import { keepTree } from '../aae/grow.ts';
import { scrub } from '../aae/scrub.ts';
import { type Log } from '../core/ports.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type Job } from '../replica/jobs.ts';
import { type Replica } from '../replica/replica.ts';

const parkedRetryMs = 2_000;
const treeKeepMs = 1_000;
const scrubPauseMs = 3_600_000;

/** What keeps a cluster's own data in order. */
export function jobsOf(digests: MeshDigests, replica: Replica, log: Log): Job[] {
  return [
    {
      name: 'parked writes',
      pauseMs: () => parkedRetryMs,
      runsOn: 'one',
      work: async () => {
        await replica.retryParked();
      },
    },
    { name: 'tree levels', pauseMs: () => treeKeepMs, runsOn: 'one', work: (store, signal) => keepTree(store, digests, signal) },
    {
      name: 'scrub',
      pauseMs: () => scrubPauseMs,
      runsOn: 'one',
      work: async (store, signal) => {
        await scrub(store, digests, log, signal);
      },
    },
  ];
}
