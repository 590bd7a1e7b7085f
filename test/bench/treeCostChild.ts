/** Child: `DIR kept|absent sequential|scattered COUNT`. Tells how long batches of 100 took. */
import { openInstance, scattered, tell, writeMany } from './instance.ts';

const [dir = '', tree, order, countText] = process.argv.slice(2);
const count = Number(countText);
const instance = await openInstance({ dir, cluster: 1, tree: tree === 'kept' ? 'kept' : 'absent' });
const cpu = process.cpuUsage();
const started = performance.now();
await writeMany(instance, count, order === 'scattered' ? (n) => scattered(n, count) : (n) => n);
const ms = performance.now() - started;
const { user, system } = process.cpuUsage(cpu);
tell({ wallUs: (ms * 1_000) / count, cpuUs: (user + system) / count });
await instance[Symbol.asyncDispose]();
