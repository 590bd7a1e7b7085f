/** (g): three regions that follow each other, all on this machine: how late writes are elsewhere, what they keep up with, what idling costs. */
import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Region } from '../region.ts';
import { idle } from './idle.ts';
import { anonymousMb, cpuMs } from './memory.ts';
import { count, join, level, startThree, sum } from './meshRegions.ts';
import { openLoop, type LoadReport } from './openLoop.ts';
import { feedLag, type Histogram } from './prometheus.ts';
import { quantile, type BenchContext } from './rows.ts';

const ratePerRegion = 500;
const lagTargets = { p50: 10, p99: 100 } as const;
const levelMsTarget = 2_000;
const growthMbTarget = 64;
/** A rate is kept up with while this holds. */
const lateMsMax = 1_000;
const rateMax = 16_000;
const bisections = 3;

export async function mesh(context: BenchContext): Promise<void> {
  const regions = await startThree(context.workshop);
  await join(regions);
  await steady(context, regions);
  await highest(context, regions);
  await Promise.all(regions.map(({ service }) => service.stop()));
  await idle(context);
}

async function steady({ quick, report }: BenchContext, regions: readonly Region[]): Promise<void> {
  const seconds = quick ? 5 : 60;
  await load(regions, ratePerRegion, 2, 'warm'); // code and stores
  const cpu = (): number => sum(regions.map(({ service }) => cpuMs(service.pid)));
  const before = { lag: await feedLag(regions), count: await count(regions), cpu: cpu() };
  const memory: number[][] = [];
  const [told] = await Promise.all([load(regions, ratePerRegion, seconds, 'steady'), sampled(regions, seconds, memory)]);
  const cpuPerWrite = (cpu() - before.cpu) / told.written;
  const lag = (await feedLag(regions)).since(before.lag);
  const missing = before.count + told.written - (await count(regions));
  const name = `${ratePerRegion} writes/s in each of 3`;
  reportLag({ report }, name, told.lagsMs, lag);
  const row = (what: string, measured: number, unit: string, most: number, note = ''): void => {
    report({ part: 'g', name: `${name}: ${what}`, measured, unit, target: { kind: 'atMost', value: most }, note });
  };
  row('refused or failed', told.failed, 'writes', 0, `${told.written} written, the last ${Math.round(told.lateMs)} ms after its time`);
  report({
    part: 'g',
    name: `${name}: CPU of all three servers`,
    measured: cpuPerWrite,
    unit: 'ms/write',
    note: `load average ${loadavg()[0]?.toFixed(1) ?? ''}`,
  });
  row('missing somewhere', missing, 'writes', 0);
  row('equal roots after the end', told.levelMs, 'ms', levelMsTarget);
  const growth = Math.max(...regions.map((_, at) => (memory.at(-1)?.[at] ?? 0) - (memory[Math.floor(memory.length / 3)]?.[at] ?? 0)));
  row(
    'anonymous memory, growth over the last two thirds',
    growth,
    'MB',
    growthMbTarget,
    `at most ${Math.round(Math.max(...memory.flat()))} MB`,
  );
}

function reportLag({ report }: Pick<BenchContext, 'report'>, name: string, lagsMs: readonly number[], servers: Histogram): void {
  for (const [label, q] of [
    ['p50', 0.5],
    ['p99', 0.99],
  ] as const) {
    const note = `${lagsMs.length} probes; servers, of each page's last write: ${Math.round(servers.quantile(q) * 1_000)} ms`;
    const target = { kind: 'atMost' as const, value: lagTargets[label] };
    report({ part: 'g', name: `${name}: lag ${label}`, measured: quantile(lagsMs, q), unit: 'ms', target, note });
  }
}

/** Doubling until it is too much, then halving the gap. */
async function highest({ quick, report }: BenchContext, regions: readonly Region[]): Promise<void> {
  const seconds = quick ? 1 : 5;
  const tried: string[] = [];
  const keepsUp = async (rate: number): Promise<boolean> => {
    const { lagsMs, failed, lateMs } = await load(regions, rate, seconds, `at ${rate}`);
    const p99 = Math.max(quantile(lagsMs, 0.99), lateMs);
    tried.push(`${rate}: ${Math.round(p99)} ms`);
    return failed === 0 && p99 <= lateMsMax;
  };
  let [good, bad] = [0, ratePerRegion];
  while (bad <= rateMax && (await keepsUp(bad))) [good, bad] = [bad, bad * 2];
  for (let i = 0; i < (quick ? 1 : bisections) && good > 0; i += 1) {
    const middle = Math.round((good + bad) / 2);
    if (await keepsUp(middle)) good = middle;
    else bad = middle;
  }
  report({ part: 'g', name: 'rate in each of 3 with a lag p99 ≤ 1 s', measured: good, unit: 'writes/s', note: tried.join(', ') });
}

/** Writes at a rate in each region at once; then waits until all hold the same. */
async function load(
  regions: readonly Region[],
  rate: number,
  seconds: number,
  name: string,
): Promise<LoadReport & { readonly levelMs: number }> {
  const told = await Promise.all(
    regions.map(({ api }, at) =>
      openLoop({ api, others: regions.filter((_, other) => other !== at).map((each) => each.api), rate, seconds, name }),
    ),
  );
  const levelMs = await level(regions);
  return {
    written: sum(told.map(({ written }) => written)),
    failed: sum(told.map(({ failed }) => failed)),
    lateMs: Math.max(...told.map(({ lateMs }) => lateMs)),
    lagsMs: told.flatMap(({ lagsMs }) => lagsMs),
    levelMs,
  };
}

async function sampled(regions: readonly Region[], seconds: number, samples: number[][]): Promise<void> {
  for (let i = 0; i < seconds; i += 1) {
    await sleep(1_000);
    samples.push(regions.map(({ service }) => anonymousMb(service.pid)));
  }
}
