import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { type Log } from '../core/ports.ts';
import { type ExchangeOutcome } from '../mesh/ports.ts';
import { type RefusedWrite } from '../replica/refused.ts';
import { registerPeerGauges } from './peerMetrics.ts';
import { type OriginStatus, type ParkedByReason, type PeerStatus } from './ports.ts';
import { type Answer } from './shell.ts';

/** What is read when metrics are asked for. One that fails is left out of that answer. */
export interface Readings {
  entries(): Promise<{ entries: number; bytes: number }>;
  parked(): Promise<{ writes: number; bytes: number; byReason: ParkedByReason }>;
  /** Peers of whose waiting writes some were given up. */
  lapsed(): Promise<number>;
  /** The clock's last stamp less the wall clock. */
  clockAheadMs(): number;
  storeAvailable(): boolean;
  storeBytes(): Promise<number>;
  storeFull(): boolean;
  /** Runs of transactions that had to be made again, since the start. */
  storeRetries(): number;
  scrubbed(): ScrubGauges;
  /** How old are what everything of all members is here up to, and the floor; undefined: there is none yet. */
  kept(): Promise<{ readonly lowAgeMs: number | undefined; readonly floorAgeMs: number | undefined }>;
  /** Clusters of the mesh, ours among them, that may not go on as they are. */
  faults(): number;
  /** How it goes with each member. */
  peers(): Promise<readonly PeerStatus[]>;
  /** Up to when all that each took in itself is here, this cluster among them. */
  origins(): Promise<readonly OriginStatus[]>;
  /** Of each port that speaks TLS, how long until its certificate ends. */
  tlsEndsInMs(): readonly { readonly port: string; readonly ms: number }[];
}

/** Of the last scrub that went through the whole store; undefined: none has yet, or another instance does it. */
export interface ScrubGauges {
  readonly ageMs: number | undefined;
  readonly keys: number | undefined;
  readonly repaired: number | undefined;
  /** Keys, those among them that one under way has found. */
  readonly damaged: number | undefined;
}

const secondsBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];

/** Everything that Prometheus may ask of this process. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #log: Log;
  readonly #requests: Histogram<'route' | 'status'>;
  readonly #commits: Histogram;
  readonly #commitWrites: Histogram;
  readonly #commitBytes: Counter;
  readonly #exchanges: Counter<'outcome'>;
  readonly #exchangeTimes: Histogram;
  readonly #exchangeBytes: Counter<'direction'>;
  readonly #exchangeWrites: Counter<'direction'>;
  readonly #frames: Counter<'route' | 'code'>;
  readonly #refused: Counter<'code' | 'via'>;
  readonly #feedWrites: Counter;
  readonly #feedLag: Histogram;

  constructor(readings: Readings, log: Log) {
    this.#log = log;
    const registers = [this.#registry];
    const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[] = []): Counter<Label> =>
      new Counter({ name: `gkvmesh_${name}`, help, labelNames, registers });
    const histogram = <Label extends string>(
      name: string,
      help: string,
      buckets: number[],
      labelNames: readonly Label[] = [],
    ): Histogram<Label> => new Histogram({ name: `gkvmesh_${name}`, help, buckets, labelNames, registers });
    this.#requests = histogram('http_request_seconds', 'Requests to the API, from headers to answer', secondsBuckets, ['route', 'status']);
    this.#commits = histogram('commit_seconds', 'Commits, with their sync to disk', secondsBuckets);
    this.#commitWrites = histogram('commit_writes', 'Writes in one commit', [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000]);
    this.#commitBytes = counter('commit_bytes_total', 'Bytes of keys and values committed');
    this.#exchanges = counter('exchanges_total', 'Exchanges with peers, by outcome: converged, partial, or an error code', ['outcome']);
    this.#exchangeTimes = histogram('exchange_seconds', 'Exchanges with peers', [0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120, 600]);
    this.#exchangeBytes = counter('exchange_bytes_total', 'Bytes of message bodies in exchanges', ['direction']);
    this.#exchangeWrites = counter('exchange_writes_total', 'Writes that exchanges moved', ['direction']);
    this.#frames = counter('mesh_frames_total', 'Requests to the mesh port, by the code of their refusal, or ok', ['route', 'code']);
    this.#refused = counter('writes_refused_total', 'Writes that were not taken in, by the code of their refusal and the way they came', [
      'code',
      'via',
    ]);
    this.#feedWrites = counter('feed_writes_total', 'Writes that feeds of peers brought');
    this.#feedLag = histogram(
      'feed_lag_seconds',
      'From being accepted in another region to being here, of the last write of each page',
      secondsBuckets,
    );
    this.#gauges(readings);
    registerPeerGauges(
      this.#registry,
      () => readings.peers(),
      () => readings.origins(),
      log,
    );
    collectDefaultMetrics({ register: this.#registry });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  request({ route, status, ms }: Answer): void {
    this.#requests.observe({ route, status }, ms / 1_000);
  }

  /** A frame of a peer, or of whoever calls the mesh port, was answered. */
  frame({ route, code }: Answer): void {
    this.#frames.inc({ route, code: code ?? 'ok' });
  }

  commit(ms: number, writes: number, bytes: number): void {
    this.#commits.observe(ms / 1_000);
    this.#commitWrites.observe(writes);
    this.#commitBytes.inc(bytes);
  }

  /** Codes and ways are few. */
  refused(writes: readonly RefusedWrite[]): void {
    for (const { code, via } of writes) this.#refused.inc({ code, via });
  }

  /** A page of a peer's feed was taken in. */
  page({ writes, lagMs }: { writes: number; lagMs: number | undefined }): void {
    this.#feedWrites.inc(writes);
    if (lagMs !== undefined) this.#feedLag.observe(lagMs / 1_000);
  }

  exchange(outcome: ExchangeOutcome): void {
    if (outcome.kind === 'failed') {
      this.#exchanges.inc({ outcome: outcome.code });
      return;
    }
    const { report } = outcome;
    this.#exchanges.inc({ outcome: report.converged ? 'converged' : 'partial' });
    this.#exchangeTimes.observe(report.durationMs / 1_000);
    this.#exchangeBytes.inc({ direction: 'in' }, report.bytesIn);
    this.#exchangeBytes.inc({ direction: 'out' }, report.bytesOut);
    this.#exchangeWrites.inc({ direction: 'in' }, report.received);
    this.#exchangeWrites.inc({ direction: 'out' }, report.sent);
  }

  #gauges(readings: Readings): void {
    this.#gauge('entries', 'Candidate writes held, tombstones included', async () => (await readings.entries()).entries);
    this.#gauge('entry_bytes', 'Bytes of their keys and values', async () => (await readings.entries()).bytes);
    this.#gauge(
      'parked_writes',
      'Writes of peers that wait for the clock to reach them, or for their grants',
      async () => (await readings.parked()).writes,
    );
    this.#gauge(
      'parked_clock_writes',
      'Those of them that wait for the clock; left out while some have waited since before that was counted',
      async () => (await readings.parked()).byReason.clockAhead ?? undefined,
    );
    this.#gauge(
      'parked_grant_writes',
      'Those of them that wait for their grants; left out while some have waited since before that was counted',
      async () => (await readings.parked()).byReason.grantUnknown ?? undefined,
    );
    this.#gauge('parked_bytes', 'Bytes of their keys and values', async () => (await readings.parked()).bytes);
    this.#gauge('lapsed_peers', 'Peers whose waiting writes were given up, until an exchange has made it good', () => readings.lapsed());
    this.#gauge('store_bytes', 'What the store takes: on disk where it is embedded, else roughly its keys and values', () =>
      readings.storeBytes(),
    );
    this.#gauge('store_full', '1 for a minute after the disk was full', () => Promise.resolve(readings.storeFull() ? 1 : 0));
    this.#gauge('store_available', '1 while the store answers', () => Promise.resolve(readings.storeAvailable() ? 1 : 0));
    this.#gauge('store_retries', 'Runs of transactions made again for a conflict, or because the store asked for it, since the start', () =>
      Promise.resolve(readings.storeRetries()),
    );
    this.#gauge('clock_ahead_seconds', 'How far the logical clock is ahead of the wall clock', () =>
      Promise.resolve(readings.clockAheadMs() / 1_000),
    );
    this.#gauge('mesh_faults', 'Clusters, this one among them, that must be renewed or started anew; somebody must look', () =>
      Promise.resolve(readings.faults()),
    );
    this.#gauge(
      'low_age_seconds',
      'Age of that up to which everything of all members is here; left out until all were heard of',
      async () => inSeconds((await readings.kept()).lowAgeMs),
    );
    this.#gauge('floor_age_seconds', 'Age of the floor, below which deletes are forgotten; left out until there is one', async () =>
      inSeconds((await readings.kept()).floorAgeMs),
    );
    this.#scrubGauges(readings);
    new Gauge({
      name: 'gkvmesh_tls_expires_seconds',
      help: 'Until the certificate of a port ends, or the first of those between it and its CA',
      labelNames: ['port'],
      registers: [this.#registry],
      collect() {
        for (const { port, ms } of readings.tlsEndsInMs()) this.set({ port }, ms / 1_000);
      },
    });
  }

  #scrubGauges(readings: Readings): void {
    const gauge = (name: string, help: string, of: (found: ScrubGauges) => number | undefined): void => {
      this.#gauge(`scrub_${name}`, help, () => Promise.resolve(of(readings.scrubbed())));
    };
    gauge('age_seconds', 'Since the last scrub of the whole store ended; left out where another instance does it', ({ ageMs }) =>
      inSeconds(ageMs),
    );
    gauge('keys', 'Keys that it looked at', ({ keys }) => keys);
    gauge('repaired_branches', 'Branches of the tree that it found wrong and put right', ({ repaired }) => repaired);
    gauge(
      'damaged_keys',
      'Keys that hold something else than what was written, by it or the one under way; somebody must look',
      ({ damaged }) => damaged,
    );
  }

  /** Without a value where that is undefined. */
  #gauge(name: string, help: string, read: () => Promise<number | undefined>): void {
    const log = this.#log;
    new Gauge({
      name: `gkvmesh_${name}`,
      help,
      registers: [this.#registry],
      async collect() {
        try {
          const value = await read();
          if (value === undefined) this.remove();
          else this.set(value);
        } catch (error) {
          this.remove();
          log.warn({ err: error, metric: name }, 'metric could not be read');
        }
      },
    });
  }
}

function inSeconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1_000;
}
