/** (d): single sets as the store grows. */
import { z } from 'zod';
import { type BenchContext } from './rows.ts';

const child = new URL('growthChild.ts', import.meta.url);
const told = z.object({ count: z.number(), base: z.number(), perSecond: z.number() });

export async function growth({ quick, report, workshop }: BenchContext): Promise<void> {
  const counts = quick ? [2_000, 20_000] : [10_000, 100_000, 1_000_000, 3_000_000];
  const [smallest = 0, largest = 0] = [counts[0], counts.at(-1)];
  const dir = workshop.directory('growth');
  for await (const line of workshop.child(child, [dir, quick ? '1' : '5', ...counts.map(String)])) {
    const { count, base, perSecond } = told.parse(line);
    const name = `64 writers of single keys, ${count.toLocaleString('en')} keys`;
    const note = `a fresh store of ${smallest.toLocaleString('en')} just before: ${Math.round(base).toLocaleString('en')}/s`;
    report({ part: 'd', name, measured: perSecond, unit: 'set/s', note });
    if (count === largest)
      report({
        part: 'd',
        name: `${name}: to the fresh store`,
        measured: perSecond / base,
        unit: '×',
        target: { kind: 'atLeast', value: 0.7 },
      });
  }
  workshop.remove(dir);
}
