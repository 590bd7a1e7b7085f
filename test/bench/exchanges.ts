/** (c): what an exchange sends when nothing, one, 1,000 scattered, 1,000 adjacent and all keys differ. */
import { z } from 'zod';
import { type BenchContext } from './rows.ts';

const child = new URL('exchangesChild.ts', import.meta.url);
const told = z.object({ name: z.string(), bytes: z.number(), writeBytes: z.number(), roundTrips: z.number(), durationMs: z.number() });

const targets: Readonly<Record<string, { readonly bytes: number; readonly roundTrips?: number }>> = {
  equal: { bytes: 1_000, roundTrips: 1 },
  '1 differs': { bytes: 3_000, roundTrips: 3 },
  '1,000 scattered differ': { bytes: 700_000, roundTrips: 4 },
  '1,000 adjacent differ': { bytes: 30_000 },
};
const targetKeys = 1_000_000;

export async function exchanges({ quick, report, workshop }: BenchContext): Promise<void> {
  for (const count of quick ? [10_000] : [10_000, 100_000, targetKeys]) {
    const dirs = [workshop.directory('exchange'), workshop.directory('exchange-copy')] as const;
    for await (const line of workshop.child(child, [...dirs, String(count)])) {
      const { name, bytes, writeBytes, roundTrips, durationMs } = told.parse(line);
      const aim = count === targetKeys ? targets[name] : undefined;
      const title = `${count.toLocaleString('en')} keys, ${name}`;
      const note = `writes ${writeBytes.toLocaleString('en')} B; ${durationMs} ms`;
      const bytesTarget = aim === undefined ? {} : { target: { kind: 'atMost' as const, value: aim.bytes } };
      report({ part: 'c', name: `${title}: without the writes`, measured: bytes, unit: 'B', ...bytesTarget, note });
      const tripsTarget = aim?.roundTrips === undefined ? {} : { target: { kind: 'atMost' as const, value: aim.roundTrips } };
      report({ part: 'c', name: `${title}: requests`, measured: roundTrips, unit: '', ...tripsTarget });
    }
    for (const dir of dirs) workshop.remove(dir);
  }
}
