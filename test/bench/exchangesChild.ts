/** Child: `DIR COPY COUNT`. Two replicas in one process that differ in this and that; tells each exchange's report. */
import { cpSync } from 'node:fs';
import { keepTree } from '../../src/aae/grow.ts';
import { type Instance, exchange, openInstance, scattered, tell, writeMany } from './instance.ts';

const [dir = '', copy = '', countText] = process.argv.slice(2);
const count = Number(countText);
const adjacent = Math.min(1_000, count);
let generation = 0;

const first = await openInstance({ dir, cluster: 1, tree: 'kept' });
await writeMany(first, count, (n) => n);
await settled(first);
await first[Symbol.asyncDispose]();
cpSync(dir, copy, { recursive: true });
const ours = await openInstance({ dir, cluster: 1, tree: 'kept' });
const theirs = await openInstance({ dir: copy, cluster: 2, tree: 'kept' });

await measure('equal', 0, () => 0);
await measure('1 differs', 1, () => Math.floor(count / 3));
await measure('1,000 scattered differ', adjacent, (n) => Math.floor(scattered(n, adjacent) * (count / adjacent)));
await measure('1,000 adjacent differ', adjacent, (n) => Math.floor(count / 2) - adjacent + n);
await measure('all differ', count, (n) => n);
await ours[Symbol.asyncDispose]();
await theirs[Symbol.asyncDispose]();

/** Overwrites keys at the peer with newer values, and pulls. */
async function measure(name: string, changed: number, indexOf: (n: number) => number): Promise<void> {
  generation += 1;
  await writeMany(theirs, changed, indexOf, Buffer.alloc(100, generation));
  await settled(ours);
  const report = await exchange(ours, theirs);
  if (!report.converged || report.received !== changed) throw new Error(`${name}: ${JSON.stringify(report)}`);
  const { bytesIn, bytesOut, writeBytes, roundTrips, durationMs } = report;
  tell({ name, bytes: bytesIn + bytesOut - writeBytes, writeBytes, roundTrips, durationMs });
}

/** The tree's levels as they are some time after the writes. */
async function settled({ store, digests }: Instance): Promise<void> {
  await keepTree(store, digests, new AbortController().signal);
}
