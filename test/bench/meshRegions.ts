import { setTimeout as sleep } from 'node:timers/promises';
import { request } from 'undici';
import type * as z from 'zod';
import { statusAnswer, treeAnswer } from '../../src/http/schema.ts';
import { post, type Region } from '../region.ts';
import { startRegion } from './contenders.ts';
import { type Workshop } from './workshop.ts';

const lookMs = 20;
const levelMsMax = 120_000;

export function startThree(workshop: Workshop): Promise<Region[]> {
  return Promise.all(['ap', 'eu', 'us'].map((name) => startRegion(workshop, name)));
}

/** Makes the regions follow each other, at these addresses or their own; resolves once they do. */
export async function join(regions: readonly Region[], addressOf: (region: Region) => string = ({ mesh }) => mesh): Promise<void> {
  const members = await Promise.all(regions.map(async (region) => ({ region, clusterId: (await status(region)).clusterId })));
  for (const { api } of regions) {
    for (const { region, clusterId } of members) {
      const value = JSON.stringify({ address: addressOf(region), regionName: region.name });
      await post(`${api}/data/set`, { key: base64(`@system/peers/${clusterId}`), value: base64(value) });
    }
  }
  const follows = async (region: Region): Promise<boolean> => {
    const peers = (await status(region)).mesh?.peers ?? [];
    return peers.length === regions.length - 1 && peers.every(({ connected, lastExchange }) => connected && lastExchange !== null);
  };
  while (!(await Promise.all(regions.map(follows))).every(Boolean)) await sleep(lookMs);
}

/** Until all have the same root: how long that took, in ms. */
export async function level(regions: readonly Region[]): Promise<number> {
  const startedMs = performance.now();
  for (;;) {
    const sums = await Promise.all(regions.map(async (region) => (await tree(region)).sum));
    const ms = performance.now() - startedMs;
    if (new Set(sums).size === 1) return ms;
    if (ms > levelMsMax) throw new Error(`the roots are not equal after ${Math.round(ms)} ms`);
    await sleep(lookMs);
  }
}

/** Of the region that has the fewest entries. */
export async function count(regions: readonly Region[]): Promise<number> {
  return Math.min(...(await Promise.all(regions.map(async (region) => (await tree(region)).count))));
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

export async function status({ api }: Region): Promise<z.infer<typeof statusAnswer>> {
  return statusAnswer.parse(await (await request(`${api}/control/status`)).body.json());
}

async function tree({ api }: Region): Promise<z.infer<typeof treeAnswer>> {
  return treeAnswer.parse(await (await request(`${api}/control/tree`)).body.json());
}
