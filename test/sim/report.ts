import { z } from 'zod';
import { Counts } from './kernel/counts.ts';
import { faultKinds } from './nemesis/kinds.ts';

/** What became of one run; comes from a worker as JSON. */
export const runReport = z.object({
  seed: z.number(),
  /** Null where everything held. */
  violation: z.object({ invariant: z.string(), message: z.string(), stack: z.string() }).nullable(),
  /** Of everything that happened, in its order. */
  hash: z.string(),
  events: z.number(),
  virtualMs: z.number(),
  /** From the end of the faults until all clusters held the same. */
  healedMs: z.number(),
  counts: z.record(z.string(), z.number()),
});
export type RunReport = z.infer<typeof runReport>;

/** How far a long run is, in a line: all that is known of it where it is stopped. */
export function progress(reports: readonly RunReport[], wallMs: number): string {
  return `${headline(reports, wallMs).join('; ')}; ${faultLine(countsOf(reports))}`;
}

function headline(reports: readonly RunReport[], wallMs: number): [string, string] {
  return [
    `seeds: ${reports.length}; violations: ${reports.filter(({ violation }) => violation !== null).length}`,
    `time: ${(wallMs / 1_000).toFixed(1)} s, ${(reports.length / (wallMs / 1_000)).toFixed(2)} seeds/s`,
  ];
}

function countsOf(reports: readonly RunReport[]): Counts {
  const counts = new Counts();
  for (const report of reports) counts.addAll(report.counts);
  return counts;
}

function faultLine(counts: Counts): string {
  return `faults: ${faultKinds.map((kind) => `${kind} ${counts.of(`fault: ${kind}`)}`).join(', ')}`;
}

/** All runs together, as text. */
export function summary(reports: readonly RunReport[], wallMs: number): string {
  const counts = countsOf(reports);
  const healed = reports.map(({ healedMs }) => healedMs).sort((a, b) => a - b);
  const sum = (of: (report: RunReport) => number): number => reports.reduce((total, report) => total + of(report), 0);
  const lines = Object.entries(counts.toObject()).map(([name, count]) => `  ${String(count).padStart(9)}  ${name}`);
  const seconds = (ms: number | undefined): string => ((ms ?? 0) / 1_000).toFixed(0);
  return [
    ...headline(reports, wallMs),
    `events: ${sum(({ events }) => events)}; virtual time: ${seconds(sum(({ virtualMs }) => virtualMs))} s`,
    `healed within: half of the seeds ${seconds(healed[healed.length >> 1])} s, the slowest ${seconds(healed.at(-1))} s`,
    ...lines,
    faultLine(counts),
  ].join('\n');
}
