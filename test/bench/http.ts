/** (a): sets, gets and batches over HTTP, in alternating rounds beside the same work of a bare server and of etcd. */
import { startBare, startEtcd, startGkvmesh, type Contender } from './contenders.ts';
import { median, spread, type BenchContext } from './rows.ts';
import { batchWrites, runWrk, type LoadOptions } from './wrk.ts';
import { isInstalled } from './workshop.ts';

const connections = 64;
const batchConnections = 16;
const targets = { set: { 'bare koa + lmdb': 0.6, etcd: 1 }, get: { 'bare koa + lmdb': 0.85, etcd: 1.5 } } as const;
const batchTarget = 40_000;

export async function http(context: BenchContext): Promise<void> {
  const { quick, report, workshop } = context;
  if (!isInstalled('wrk')) {
    report({ part: 'a', name: 'all of it', measured: NaN, unit: '', note: 'wrk is not installed: apt-get install wrk' });
    return;
  }
  const keys = quick ? 5_000 : 100_000;
  const contenders = [await startGkvmesh(workshop, keys), await startBare(workshop, keys)];
  if (isInstalled('etcd')) contenders.push(await startEtcd(workshop, keys));
  else report({ part: 'a', name: 'etcd', measured: NaN, unit: '', note: 'etcd is not installed: apt-get install etcd-server' });
  for (const action of ['set', 'get'] as const) await compare(context, contenders, action);
  const own = contenders[0];
  if (own !== undefined) await batches(context, own);
  await Promise.all(contenders.map(({ service }) => service.stop()));
}

async function compare({ quick, report, workshop }: BenchContext, contenders: readonly Contender[], action: 'set' | 'get'): Promise<void> {
  const dir = workshop.directory('wrk');
  const measure = ({ url, [action]: load }: Contender, seconds: number): Promise<number> =>
    runWrk(workshop, dir, { url, load, connections, seconds });
  const figures = new Map(contenders.map(({ name }) => [name, [] as number[]]));
  for (const contender of contenders) await measure(contender, quick ? 1 : 3); // warms it up
  for (let round = 0; round < (quick ? 1 : 3); round += 1) {
    for (const contender of contenders) figures.get(contender.name)?.push(await measure(contender, quick ? 1 : 5));
  }
  for (const [name, values] of figures)
    report({ part: 'a', name: `${action}, ${name}`, measured: median(values), unit: 'req/s', note: spread(values) });
  const own = figures.get('gkvmesh') ?? [];
  for (const other of ['bare koa + lmdb', 'etcd'] as const) {
    const values = figures.get(other);
    if (values === undefined) continue;
    const target = { kind: 'atLeast' as const, value: targets[action][other] };
    report({ part: 'a', name: `${action}, gkvmesh to ${other}`, measured: median(own) / median(values), unit: '×', target });
  }
}

async function batches({ quick, report, workshop }: BenchContext, { url }: Contender): Promise<void> {
  const dir = workshop.directory('wrk');
  for (const keys of ['random', 'sequential'] as const) {
    const values: number[] = [];
    const options: Omit<LoadOptions, 'seconds'> = {
      url,
      load: { kind: 'batch', path: '/data/batch', keys },
      connections: batchConnections,
    };
    await runWrk(workshop, dir, { ...options, seconds: quick ? 1 : 3 });
    for (let round = 0; round < (quick ? 1 : 3); round += 1)
      values.push(batchWrites * (await runWrk(workshop, dir, { ...options, seconds: quick ? 1 : 5 })));
    const target = { kind: 'atLeast' as const, value: batchTarget };
    report({
      part: 'a',
      name: `batches of 100, ${keys} new keys`,
      measured: median(values),
      unit: 'writes/s',
      target,
      note: spread(values),
    });
  }
}
