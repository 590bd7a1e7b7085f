/** What regions that have nothing to tell ask each other, counted by a proxy between them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { FaultProxy } from '../e2e/proxy.ts';
import { join, level, startThree, status } from './meshRegions.ts';
import { type BenchContext } from './rows.ts';

const requestsTarget = 1;
const bytesTarget = 2_000;

export async function idle({ quick, report, workshop }: BenchContext): Promise<void> {
  const [settleMs, seconds] = quick ? [1_000, 5] : [15_000, 60];
  const regions = await startThree(workshop);
  const proxy = new FaultProxy();
  const fronts = new Map<string, string>();
  const ids: string[] = [];
  for (const region of regions) {
    const { clusterId } = await status(region);
    ids.push(clusterId);
    fronts.set(region.name, await proxy.listen(clusterId));
    proxy.target(clusterId, region.mesh);
  }
  await join(regions, ({ name }) => fronts.get(name) ?? '');
  await level(regions);
  await sleep(settleMs); // slots that are idle close less and less often
  const links = ids.flatMap((reader) => ids.filter((id) => id !== reader).map((upstream) => proxy.link(reader, upstream)));
  const before = links.map(({ counts }) => ({ ...counts }));
  await sleep(seconds * 1_000);
  const most = (what: 'requests' | 'bytes'): number =>
    Math.max(...links.map(({ counts }, at) => (counts[what] - (before[at]?.[what] ?? 0)) / seconds));
  const note = `of the busiest of ${links.length} links, both directions with HTTP, over ${seconds} s`;
  report({
    part: 'g',
    name: 'idle: requests',
    measured: most('requests'),
    unit: '/s',
    target: { kind: 'atMost', value: requestsTarget },
    note,
  });
  report({ part: 'g', name: 'idle: bytes', measured: most('bytes'), unit: 'B/s', target: { kind: 'atMost', value: bytesTarget }, note });
  await Promise.all(regions.map(({ service }) => service.stop()));
  await proxy.close();
}
