import { keepTree } from '../aae/grow.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type Job } from '../replica/jobs.ts';
import { type Replica } from '../replica/replica.ts';
import { type Scrubbing } from './scrubbing.ts';

const parkedRetryMs = 2_000;
const treeKeepMs = 1_000;

/** What keeps a cluster's own data in order. */
export function jobsOf(digests: MeshDigests, replica: Replica, scrubbing: Scrubbing): Job[] {
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
    scrubbing.job,
  ];
}
