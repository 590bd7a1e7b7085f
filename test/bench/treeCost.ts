/** (b): the same batches through `ingest`, with and without the tree. */
import { z } from 'zod';
import { median, spread, type BenchContext } from './rows.ts';

const child = new URL('treeCostChild.ts', import.meta.url);
const told = z.object({ wallUs: z.number(), cpuUs: z.number() });
type Told = z.infer<typeof told>;

export async function treeCost({ quick, report, workshop }: BenchContext): Promise<void> {
  const count = quick ? 10_000 : 200_000;
  const rounds = quick ? 1 : 3;
  for (const order of ['sequential', 'scattered'] as const) {
    const results: Record<'kept' | 'absent', Told[]> = { kept: [], absent: [] };
    for (let round = 0; round < rounds; round += 1) {
      for (const tree of ['kept', 'absent'] as const) {
        const dir = workshop.directory(`tree-${tree}`);
        for await (const line of workshop.child(child, [dir, tree, order, String(count)])) results[tree].push(told.parse(line));
        workshop.remove(dir);
      }
    }
    const wall = (tree: 'kept' | 'absent'): number[] => results[tree].map(({ wallUs }) => wallUs);
    const cpu = (tree: 'kept' | 'absent'): number => median(results[tree].map(({ cpuUs }) => cpuUs));
    const name = `${count.toLocaleString('en')} ${order} keys, batches of 100`;
    for (const tree of ['kept', 'absent'] as const) {
      const note = `${Math.round(1e6 / median(wall(tree))).toLocaleString('en')} writes/s; ${cpu(tree).toFixed(1)} µs of CPU; ${spread(wall(tree))}`;
      report({ part: 'b', name: `${name}, tree ${tree}`, measured: median(wall(tree)), unit: 'µs/write', note });
    }
    report({ part: 'b', name: `${name}: the tree`, measured: median(wall('kept')) - median(wall('absent')), unit: 'µs/write' });
  }
}
