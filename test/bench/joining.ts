/** (h): an empty region that joins a full one, which serves reads meanwhile; and one that is killed on its way. */
import { setTimeout as sleep } from 'node:timers/promises';
import { FaultProxy } from '../e2e/proxy.ts';
import { command, post, regionOf, type Region } from '../region.ts';
import { fill, startRegion } from './contenders.ts';
import { cpuMs } from './memory.ts';
import { openReads } from './openReads.ts';
import { quantile, type BenchContext } from './rows.ts';

const readsPerSecond = 500;
const kills = 3;
const joinMsMax = 600_000;
const lookMs = 5;
const rateTarget = { kind: 'atLeast' as const, value: 30_000 };
const readTarget = { kind: 'atMost' as const, value: 50 };
const repeatedTarget = { kind: 'atMost' as const, value: 5 };

interface Joined {
  readonly region: Region;
  /** Since its process began to follow the donor. */
  readonly writes: number;
  readonly perSecond: number;
  /** From the start of the process to being ready. */
  readonly readyMs: number;
}

export async function joining(context: BenchContext): Promise<void> {
  const keys = context.quick ? 20_000 : 1_000_000;
  const donor = await startRegion(context.workshop, 'donor');
  await fill(donor.api, keys);
  await whole(context, donor, keys);
  await killed(context, donor, keys);
  await donor.service.stop();
}

async function whole({ report, workshop }: BenchContext, donor: Region, keys: number): Promise<void> {
  const [reads, donorBefore] = [openReads(donor.api, keys, readsPerSecond), cpuMs(donor.service.pid)];
  const { region, writes, perSecond, readyMs } = await toReady({ workshop }, donor.mesh, workshop.directory('joiner'));
  const [joinerCpu, donorCpu] = [cpuMs(region.service.pid), cpuMs(donor.service.pid) - donorBefore];
  const { latenciesMs, failed } = await reads.stop();
  if (failed > 0 || writes < keys) throw new Error(`${failed} reads failed, and ${writes} of ${keys} writes came`);
  const name = `join of ${keys.toLocaleString('en')}`;
  const cpu = (ms: number): string => ((ms * 1_000) / writes).toFixed(1);
  const note = `ready after ${(readyMs / 1_000).toFixed(1)} s; CPU in µs a write: ${cpu(joinerCpu)} joiner, ${cpu(donorCpu)} donor with its reads`;
  report({ part: 'h', name, measured: perSecond, unit: 'entries/s', target: rateTarget, note });
  const told = `${latenciesMs.length} reads at ${readsPerSecond}/s, p50 ${quantile(latenciesMs, 0.5).toFixed(1)} ms`;
  report({
    part: 'h',
    name: `${name}: reads of the donor, p99`,
    measured: quantile(latenciesMs, 0.99),
    unit: 'ms',
    target: readTarget,
    note: told,
  });
  // A member that is away would keep the next one from being ready.
  await post(`${donor.api}/control/members/remove`, { clusterId: region.clusterId });
  await region.service.stop();
}

/** What passes the wire more than once is counted in bytes; the last process tells what a write takes. */
async function killed({ report, workshop }: BenchContext, donor: Region, keys: number): Promise<void> {
  const proxy = new FaultProxy();
  const front = await proxy.listen('donor');
  proxy.target('donor', donor.mesh);
  const data = workshop.directory('killed');
  let wire = { bytes: 0 };
  for (let run = 0; run < kills; run += 1) {
    const service = await workshop.service(process.execPath, joinArgs(front, data), /^gkvmesh joining /);
    wire = proxy.link(regionOf('killed', service).clusterId, 'donor').counts;
    const killAt = wire.bytes + (keys * bytesPerWrite) / (kills + 1);
    while (wire.bytes < killAt) await sleep(lookMs);
    await service.kill();
  }
  const before = wire.bytes;
  const { region, writes } = await toReady({ workshop }, front, data);
  const repeated = (writes * wire.bytes) / (wire.bytes - before) - keys;
  const note = `${writes} writes of ${keys} came after the last; in bytes on the wire`;
  report({
    part: 'h',
    name: `killed ${kills} times: repeated`,
    measured: Math.max(0, (repeated * 100) / keys),
    unit: '%',
    target: repeatedTarget,
    note,
  });
  const { converged } = (await post(`${region.api}/control/aae/pull`, { peer: donor.mesh })) as { converged: boolean };
  if (!converged) throw new Error('who was killed and joined does not hold what its donor holds');
  await region.service.stop();
  await proxy.close();
}

/** Roughly, of 12-byte keys and 100-byte values: enough to kill at about even distances. */
const bytesPerWrite = 140;

function joinArgs(donor: string, data: string): string[] {
  return [
    command,
    'serve',
    '--open',
    '--data',
    data,
    '--listen',
    '127.0.0.1:0',
    '--mesh-listen',
    '127.0.0.1:0',
    '--join',
    donor,
    '--log-level',
    'error',
  ];
}

async function toReady({ workshop }: Pick<BenchContext, 'workshop'>, donor: string, data: string): Promise<Joined> {
  let told = ['0', '0'];
  const onLine = (line: string): void => {
    const match = /^gkvmesh joined: (\d+) writes, .*, (\d+) writes\/s/.exec(line);
    if (match !== null) told = match.slice(1);
  };
  const startedMs = performance.now();
  const service = await workshop.service(process.execPath, joinArgs(donor, data), /^gkvmesh ready /, onLine, joinMsMax);
  const [writes, perSecond] = told.map(Number);
  return { region: regionOf('joiner', service), writes: writes ?? 0, perSecond: perSecond ?? 0, readyMs: performance.now() - startedMs };
}
