/** The regions of the demo, and the wires between them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { z } from 'zod';
import { FaultProxy } from '../e2e/proxy.ts';
import { freePort, post, serviceOf, spawned, startRegion, type Region, type RegionOptions } from '../region.ts';

/** A day of the demo's mesh: deletes must be forgotten while somebody watches. */
const dayMs = 5_000;

/** Nothing here takes a tenth of it on two cores that do nothing else. */
const untilMsMax = 300_000;

const treeSchema = z.object({ sum: z.string(), count: z.number() });
const peersSchema = z.object({ mesh: z.object({ peers: z.array(z.object({ connected: z.boolean() })) }) });

/** What runs, and where its data lies; all of it goes away at the end. */
export class World {
  readonly #proxy = new FaultProxy();
  readonly regions: Region[] = [];
  readonly #options = new Map<string, RegionOptions>();

  /** `from`: whom it joins; `authority`: flags of a granted mesh. Its lines before it is ready are printed. */
  async start(name: string, from?: Region, authority?: readonly string[]): Promise<Region> {
    const data = mkdtempSync(join(tmpdir(), `gkvmesh-${name}-`));
    const nth = this.regions.length;
    const ports = { apiPort: await freePort(6_300 + nth), meshPort: await freePort(6_200 + nth) };
    const address = await this.#proxy.listen(name);
    const flags = [
      '--advertise',
      address,
      '--day-ms',
      String(dayMs),
      '--log-level',
      'error',
      ...(from === undefined ? [] : ['--join', from.mesh]),
    ];
    const options = { name, data, ...ports, authority, flags };
    this.#options.set(name, options);
    const reached = await this.#run(options, address);
    this.regions.push(reached);
    return reached;
  }

  /** Ends a region's process, and starts it again after what is done to its data directory meanwhile. */
  async restart({ name, mesh, service }: Region, meanwhile: (data: string) => Promise<void>): Promise<Region> {
    const options = this.#options.get(name);
    if (options === undefined) throw new Error(`${name} was not started here`);
    await service.stop();
    await meanwhile(options.data);
    const reached = await this.#run(options, mesh);
    this.regions.splice(
      this.regions.findIndex((region) => region.name === name),
      1,
      reached,
    );
    return reached;
  }

  /** `address`: the one that all others know. */
  async #run(options: RegionOptions, address: string): Promise<Region> {
    const region = await startRegion(options, (program, args, ready) => serviceOf(spawned(program, args), ready, say));
    this.#proxy.target(options.name, region.mesh);
    return { ...region, mesh: address };
  }

  /** Nothing passes from or to this region, or everything again. */
  wires(region: Region, flow: 'cut' | 'open'): void {
    for (const other of this.regions) {
      this.#proxy.link(region.clusterId, other.name).set({ flow });
      this.#proxy.link(other.clusterId, region.name).set({ flow });
    }
  }

  /** What each says of itself and its peers: why it is not as it should be. */
  async told(): Promise<string> {
    const said = this.regions.map(async ({ name, api }) => `${name} ${JSON.stringify(await get(`${api}/control/status`).catch(String))}`);
    return (await Promise.all(said)).join('\n');
  }

  async close(): Promise<void> {
    await Promise.all(this.regions.map(({ service }) => service.stop()));
    await this.#proxy.close();
    for (const { data } of this.#options.values()) rmSync(data, { recursive: true, force: true });
  }
}

export async function tree({ api }: Region): Promise<{ sum: string; count: number }> {
  return treeSchema.parse(await get(`${api}/control/tree`));
}

/** Entries that each has, in one line. */
export async function counts(regions: readonly Region[]): Promise<string> {
  const trees = await Promise.all(regions.map(tree));
  return regions.map(({ name }, i) => `${name} ${String(trees[i]?.count).padStart(6)}`).join('   ');
}

export async function areLevel(regions: readonly Region[]): Promise<boolean> {
  return new Set((await Promise.all(regions.map(tree))).map(({ sum }) => sum)).size === 1;
}

/** Whether it hears of so many others. */
export async function hears({ api }: Region, others: number): Promise<boolean> {
  const status = peersSchema.safeParse(await get(`${api}/control/status`));
  return status.success && status.data.mesh.peers.filter(({ connected }) => connected).length === others;
}

/** Writes a little in each region until the condition holds, as the world does: words of who has what travel with writes. */
export async function whileBusy(regions: readonly Region[], condition: () => Promise<boolean>): Promise<void> {
  const started = performance.now();
  for (let beat = 0; !(await condition()); beat += 1) {
    if (performance.now() - started > untilMsMax) throw new Error(`not there after ${seconds(untilMsMax)}`);
    const value = Buffer.from(String(beat)).toString('base64');
    const ops = regions.map(({ name, api }) => post(`${api}/data/set`, { key: Buffer.from(`/beat/${name}`).toString('base64'), value }));
    await Promise.all([...ops, pause(200)]);
  }
}

/** Looks again and again; tells every 2 s. Resolves with the time taken, in ms; throws after `untilMsMax`. */
export async function until(condition: () => Promise<boolean>, tell?: () => Promise<string>): Promise<number> {
  const started = performance.now();
  let told = started;
  while (!(await condition())) {
    if (performance.now() - started > untilMsMax) throw new Error(`not there after ${seconds(untilMsMax)}`);
    await pause(20);
    if (tell === undefined || performance.now() - told < 2_000) continue;
    told = performance.now();
    say(`  ... ${await tell()}`);
  }
  return performance.now() - started;
}

export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

async function get(url: string): Promise<unknown> {
  return (await request(url)).body.json();
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
