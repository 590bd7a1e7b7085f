/** (f): ingest with one and two instances beside the driver alone, conflicts, HTTP, and a pull, on the FoundationDB of GKVMESH_TEST_FDB. */
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { clearRun, freshPrefix, testCluster } from '../fdb/cluster.ts';
import { command, post, regionOf, type Region } from '../region.ts';
import { fill, jsonLoads } from './contenders.ts';
import { median, spread, type BenchContext } from './rows.ts';
import { runWrk } from './wrk.ts';
import { isInstalled, type Workshop } from './workshop.ts';

const child = new URL('fdbChild.ts', import.meta.url);
const connections = 64;
const figures = z.object({ writes: z.number(), ms: z.number(), commits: z.number(), retries: z.number() });
type Figures = z.infer<typeof figures>;
const told = z.object({ received: z.number(), durationMs: z.number(), converged: z.boolean() });

export async function onFoundationDb(context: BenchContext): Promise<void> {
  const { report } = context;
  if (testCluster === undefined) {
    report({ part: 'f', name: 'all of it', measured: NaN, unit: '', note: 'GKVMESH_TEST_FDB names no cluster file' });
    return;
  }
  try {
    await besideTheDriver(context, testCluster);
    await conflicts(context, testCluster);
    await overHttp(context, testCluster);
  } finally {
    await clearRun();
  }
}

/** `writers` processes at the same time. */
async function run(
  workshop: Workshop,
  clusterFile: string,
  prefix: Buffer,
  kind: string,
  writers: number,
  seconds: number,
  waiting = 10,
): Promise<Figures[]> {
  const startMs = String(Date.now() + 4_000);
  return Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      const args = [clusterFile, prefix.toString('hex'), kind, String(writer), String(seconds), startMs, String(waiting)];
      for await (const line of workshop.child(child, args)) return figures.parse(line);
      throw new Error('a child of the bench printed nothing');
    }),
  );
}

function perSecond(results: readonly Figures[]): number {
  return results.reduce((total, { writes, ms }) => total + (writes * 1_000) / ms, 0);
}

async function besideTheDriver({ quick, report, workshop }: BenchContext, clusterFile: string): Promise<void> {
  const seconds = quick ? 2 : 10;
  const [one, two, raw]: [number[], number[], number[]] = [[], [], []];
  const [prefix, bare] = [freshPrefix(), freshPrefix()];
  for (let round = 0; round < (quick ? 1 : 3); round += 1) {
    raw.push(perSecond(await run(workshop, clusterFile, bare, 'raw', 1, seconds)));
    one.push(perSecond(await run(workshop, clusterFile, prefix, 'random', 1, seconds)));
    two.push(perSecond(await run(workshop, clusterFile, prefix, 'random', 2, seconds)));
  }
  const row = (name: string, values: number[]): void => {
    report({ part: 'f', name, measured: median(values), unit: 'writes/s', note: spread(values) });
  };
  row('driver alone, a get and a set a write, 500 a commit', raw);
  row('ingest, one instance, random new keys', one);
  row('ingest, two instances, random new keys', two);
  const target = { kind: 'atLeast' as const, value: 0.5 };
  const ratios = one.map((value, round) => value / (raw[round] ?? NaN));
  report({ part: 'f', name: 'ingest to driver alone', measured: median(ratios), unit: '×', target, note: spread(ratios) });
}

/** With two instances, in batches of 100; with ten waiting, ingest puts five into a commit. */
async function conflicts({ quick, report, workshop }: BenchContext, clusterFile: string): Promise<void> {
  const seconds = quick ? 2 : 15;
  const prefix = freshPrefix();
  await run(workshop, clusterFile, prefix, 'prepare', 2, 60);
  const entries = quick ? 20_000 : 1_000_000;
  let filled = 0;
  while (filled < entries) {
    for (const { writes } of await run(workshop, clusterFile, prefix, 'random', 2, quick ? 2 : 30)) filled += writes;
  }
  for (const [kind, waiting, most] of [
    ['overwrite', 1, 0],
    ['random', 1, 3],
    ['random', 10, undefined],
    ['adjacent', 1, undefined],
    ['equal', 1, undefined],
  ] as const) {
    const results = await run(workshop, clusterFile, prefix, kind, 2, seconds, waiting);
    const sum = (field: keyof Figures): number => results.reduce((total, result) => total + result[field], 0);
    const perThousand = ((sum('retries') * 1_000) / sum('writes')).toFixed(3);
    const note = `${sum('retries')} retries in ${sum('commits')} commits of ${sum('writes')} writes; ${perThousand} a 1,000 writes; ${filled} entries`;
    const target = most === undefined ? {} : { target: { kind: 'atMost' as const, value: most } };
    const retried = (100 * sum('retries')) / (sum('commits') + sum('retries'));
    report({
      part: 'f',
      name: `retried, ${kind}, two instances, ${waiting === 1 ? 100 : 500} a commit`,
      measured: retried,
      unit: '%',
      note,
      ...target,
    });
  }
}

async function overHttp({ quick, report, workshop }: BenchContext, clusterFile: string): Promise<void> {
  const prefix = freshPrefix();
  const keys = quick ? 2_000 : 100_000;
  const one = await startInstance(workshop, clusterFile, prefix);
  await fill(one.api, keys);
  const two = await startInstance(workshop, clusterFile, prefix);
  if (isInstalled('wrk')) {
    const dir = workshop.directory('wrk');
    const loads = jsonLoads(keys);
    const seconds = quick ? 2 : 8;
    for (const action of ['set', 'get'] as const) {
      for (const servers of [[one], [one, two]]) {
        const load = (instance: Region): Promise<number> =>
          runWrk(workshop, dir, { url: instance.api, load: loads[action], connections, seconds });
        const rates = await Promise.all(servers.map(load));
        const measured = rates.reduce((total, rate) => total + rate, 0);
        report({ part: 'f', name: `${action} over HTTP, ${servers.length} instance(s)`, measured, unit: 'req/s' });
      }
    }
  } else report({ part: 'f', name: 'set and get over HTTP', measured: NaN, unit: '', note: 'wrk is not installed' });
  const empty = await startInstance(workshop, clusterFile, freshPrefix());
  const { received, durationMs, converged } = told.parse(await post(`${empty.api}/control/aae/pull`, { peer: one.mesh }));
  if (!converged) throw new Error('the pull did not converge');
  report({ part: 'f', name: `pull of ${received} entries`, measured: (received * 1_000) / durationMs, unit: 'entries/s' });
  await Promise.all([one, two, empty].map(({ service }) => service.stop()));
}

async function startInstance(workshop: Workshop, clusterFile: string, prefix: Buffer): Promise<Region> {
  const ports = ['--listen', '127.0.0.1:0', '--mesh-listen', '127.0.0.1:0', '--log-level', 'warn'];
  const args = [command, 'serve', '--open', '--fdb', clusterFile, '--fdb-prefix', prefix.toString('hex'), ...ports];
  const service = await workshop.service(process.execPath, args, /^gkvmesh ready /);
  return regionOf(`fdb-${randomBytes(2).toString('hex')}`, service);
}
