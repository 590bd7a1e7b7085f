import { request } from 'undici';
import { type Region } from '../region.ts';

/** Counts of a Prometheus histogram, by the upper end of each bucket, each with all below it. */
export class Histogram {
  readonly #counts: ReadonlyMap<number, number>;

  constructor(counts: ReadonlyMap<number, number>) {
    this.#counts = counts;
  }

  since(before: Histogram): Histogram {
    return new Histogram(new Map([...this.#counts].map(([end, count]) => [end, count - (before.#counts.get(end) ?? 0)])));
  }

  /** Between the ends of a bucket as if all in it were spread evenly. */
  quantile(q: number): number {
    const wanted = q * (this.#counts.get(Infinity) ?? 0);
    let [start, below] = [0, 0];
    for (const [end, count] of [...this.#counts].sort(([a], [b]) => a - b)) {
      if (count >= wanted) return end === Infinity ? start : start + ((end - start) * (wanted - below)) / Math.max(1, count - below);
      [start, below] = [end, count];
    }
    return start;
  }
}

/** Of all regions together: from being accepted elsewhere to being here, in seconds. */
export async function feedLag(regions: readonly Region[]): Promise<Histogram> {
  const counts = new Map<number, number>();
  for (const { api } of regions) {
    const text = await (await request(`${api}/metrics`)).body.text();
    for (const [, end = '', count] of text.matchAll(/^gkvmesh_feed_lag_seconds_bucket\{le="([^"]+)"\} (\d+)/gm)) {
      const bucket = end === '+Inf' ? Infinity : Number(end);
      counts.set(bucket, (counts.get(bucket) ?? 0) + Number(count));
    }
  }
  return new Histogram(counts);
}
