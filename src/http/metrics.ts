import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { type PullReport } from '../aae/driver.ts';
import { type CommitObserver } from '../replica/ingest.ts';
import { type RequestObserver } from './answer.ts';

/** Read when the metrics are asked for. */
export interface Gauges {
  entries(): Promise<{ count: number; bytes: number }>;
  parked(): Promise<{ writes: number; bytes: number }>;
  clockAheadMs(): number;
  diskBytes(): number;
}

const seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];

/** All metrics of one instance. */
export class Metrics implements CommitObserver, RequestObserver {
  readonly #registry = new Registry();
  readonly #requests = this.#histogram('gkvmesh_request_seconds', 'HTTP requests', ['route', 'status'], seconds);
  readonly #commits = this.#histogram('gkvmesh_commit_seconds', 'Commits, until they are synced', [], seconds);
  readonly #batches = this.#histogram('gkvmesh_commit_writes', 'Writes in a commit', [], [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000]);
  readonly #batchBytes = this.#histogram('gkvmesh_commit_bytes', 'Keys and values in a commit', [], [1e3, 1e4, 1e5, 1e6, 4e6]);
  readonly #exchanges = this.#counter('gkvmesh_exchanges_total', 'Exchanges driven, by how they ended', ['result']);
  readonly #exchanged = this.#counter('gkvmesh_exchange_bytes_total', 'Message bodies of exchanges driven', ['direction']);
  readonly #exchangedWrites = this.#counter('gkvmesh_exchange_writes_total', 'Writes of exchanges driven', ['direction']);
  readonly #observers = new Map<string, { observe(value: number): void }>();

  constructor(gauges: Gauges) {
    collectDefaultMetrics({ register: this.#registry });
    this.#gauge('gkvmesh_entries', 'Entries here, tombstones included', async () => (await gauges.entries()).count);
    this.#gauge('gkvmesh_entry_bytes', 'Keys and values here', async () => (await gauges.entries()).bytes);
    this.#gauge('gkvmesh_parked_writes', 'Writes from peers that wait for the clock to reach them', async () => (await gauges.parked()).writes);
    this.#gauge('gkvmesh_clock_ahead_ms', 'How far the last stamp is ahead of the wall clock', () => gauges.clockAheadMs());
    this.#gauge('gkvmesh_store_bytes', 'Size of the store on disk', () => gauges.diskBytes());
  }

  request(route: string, status: number, ms: number): void {
    const name = `${route} ${status}`;
    let observer = this.#observers.get(name);
    if (observer === undefined) {
      observer = this.#requests.labels(route, String(status));
      this.#observers.set(name, observer);
    }
    observer.observe(ms / 1_000);
  }

  commit(ms: number, writes: number, bytes: number): void {
    this.#commits.observe(ms / 1_000);
    this.#batches.observe(writes);
    this.#batchBytes.observe(bytes);
  }

  exchange(result: PullReport | undefined): void {
    this.#exchanges.inc({ result: result === undefined ? 'failed' : result.converged ? 'converged' : 'differs' });
    this.#exchanged.inc({ direction: 'in' }, result?.bytesIn ?? 0);
    this.#exchanged.inc({ direction: 'out' }, result?.bytesOut ?? 0);
    this.#exchangedWrites.inc({ direction: 'in' }, result?.received ?? 0);
    this.#exchangedWrites.inc({ direction: 'out' }, result?.sent ?? 0);
  }

  /** The text that Prometheus reads. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #histogram(name: string, help: string, labelNames: string[], buckets: number[]): Histogram {
    return new Histogram({ name, help, labelNames, buckets, registers: [this.#registry] });
  }

  #counter(name: string, help: string, labelNames: string[]): Counter {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  #gauge(name: string, help: string, read: () => number | Promise<number>): void {
    const gauge: Gauge = new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect: async () => {
        gauge.set(await read());
      },
    });
  }
}
