import { ByteReader, equalBytes, writeU64 } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { type Clock, type Log } from '../core/ports.ts';
import { storeKey, tableKeys, tables } from '../store/keyspace.ts';
import { type Store, type Transaction } from '../store/store.ts';
import { decodeLease, grantLease, isFree, type LeaseRecord, nobody, readLease } from './leaseRecord.ts';

/** A lease that goes unrenewed this long, by the clock of who looks on, may be taken. */
export const leaseMs = 5_000;
const renewMs = 1_000;
/** Leases that anybody may hold; slots and background jobs are far fewer. */
const leasesMax = 1_000;

export interface HeldLease {
  readonly name: string;
  readonly number: number;
  /** Aborts when the lease is known to be lost. */
  readonly lost: AbortSignal;
}

/** beat/<name> → u64, rises with each renewal; apart from the lease, so that a fenced transaction does not conflict with one. */
function beatKey(name: string): Uint8Array {
  return storeKey(tables.leaseBeat, Buffer.from(name));
}

/** Within each transaction of who holds the lease. Error: `lease_lost`. */
async function checkLease(tx: Transaction, { name, number }: Pick<HeldLease, 'name' | 'number'>): Promise<void> {
  const record = await readLease(tx, name);
  if (record.number === number && !isFree(record)) return;
  throw new GkvError('lease_lost', `${name} is held under lease ${record.number}, not ${number}: another holder took over`);
}

/** A store whose every transaction goes through only while the lease is held. */
export function fencedStore(store: Store, lease: HeldLease): Store {
  return {
    transact: (work, options) =>
      store.transact(async (tx) => {
        const [result] = await Promise.all([work(tx), checkLease(tx, lease)]);
        return result;
      }, options),
    read: (work) => store.read(work),
    watch: (key, signal) => store.watch(key, signal),
    approximateBytes: (range) => store.approximateBytes(range),
    diskBytes: () => store.diskBytes(),
    [Symbol.asyncDispose]: () => Promise.resolve(), // the store is not ours to close
  };
}

interface Holding extends HeldLease {
  readonly abort: AbortController;
  beat: number;
  renewedMs: number;
}

interface Observation {
  number: number;
  beat: number;
  sinceMs: number;
}

export interface LeasesDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** 16 bytes, of this process alone. */
  readonly holder: Uint8Array;
  /** 0 to 255: a lease that is wanted goes to the lowest at once, though another holds it. */
  readonly rank: number;
  /** Called in the transaction that ends somebody's lease: fences what stands under it. */
  readonly onExpired: (tx: Transaction, name: string) => Promise<void>;
}

/**
 * What one process holds, and what it sees others hold. Nobody's wall clock counts: a holder renews, and who looks on takes what has not
 * been renewed for `leaseMs` of its own monotonic clock. That decides only who goes on; that no two go on at once rests on the numbers.
 */
export class Leases {
  readonly #deps: LeasesDeps;
  readonly #held = new Map<string, Holding>();
  readonly #seen = new Map<string, Observation>();
  readonly #wanted = new Set<string>();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(deps: LeasesDeps) {
    this.#deps = deps;
    this.#running = this.#run();
  }

  get holder(): Uint8Array {
    return this.#deps.holder;
  }

  /** From now on, takes the lease whenever it is free, or held by somebody of a higher rank. */
  want(name: string): void {
    this.#wanted.add(name);
  }

  /** Undefined too while it is not renewed in time: somebody may have taken it. */
  held(name: string): HeldLease | undefined {
    const holding = this.#held.get(name);
    return holding === undefined || this.#isLate(holding) ? undefined : holding;
  }

  /** All that are held, as of `held`, in the order of their names. */
  names(): string[] {
    return [...this.#held.keys()].filter((name) => this.held(name) !== undefined).sort();
  }

  /** Begins to renew a lease that was granted to this process in a transaction of the caller's, which began at `sinceMs`. */
  hold(name: string, number: number, sinceMs: number): HeldLease {
    const abort = new AbortController();
    const holding: Holding = { name, number, lost: abort.signal, abort, beat: 0, renewedMs: sinceMs };
    this.#held.set(name, holding);
    return holding;
  }

  /** Ends renewing, and frees everything that is held. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    const held = [...this.#held.values()];
    for (const holding of held) this.#lose(holding);
    if (held.length === 0) return;
    await this.#deps.store.transact(async (tx) => {
      for (const { name, number } of held) {
        const record = await readLease(tx, name);
        if (record.number === number && !isFree(record)) grantLease(tx, name, record, nobody);
      }
    });
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#deps;
    while (!this.#stop.signal.aborted) {
      try {
        await this.#renew();
        await this.#observe();
      } catch (error) {
        log.warn({ err: error }, 'leases could not be renewed; it is tried again');
      }
      await clock.sleep(renewMs, this.#stop.signal);
    }
  }

  async #renew(): Promise<void> {
    const { store, clock, log } = this.#deps;
    const held = [...this.#held.values()];
    if (held.length === 0) return;
    const sinceMs = clock.monotonic();
    const kept = await store.transact(async (tx) => {
      const records = await Promise.all(held.map(({ name }) => readLease(tx, name)));
      return held.filter((holding, index) => {
        if (records[index]?.number !== holding.number) return false;
        tx.set(beatKey(holding.name), beatBytes(holding.beat + 1));
        return true;
      });
    });
    for (const holding of kept) {
      holding.beat += 1;
      holding.renewedMs = sinceMs;
    }
    for (const holding of held) {
      if (kept.includes(holding)) continue;
      log.warn(
        { lease: holding.name, number: holding.number },
        'lease was lost: it was not renewed in time, or an instance of a lower --job-rank has it now',
      );
      this.#lose(holding);
    }
  }

  /** Looks at everybody's leases; ends those that nobody renews, and takes the wanted that are free. */
  async #observe(): Promise<void> {
    const { store, clock } = this.#deps;
    const nowMs = clock.monotonic();
    const rows = await store.read(async (snapshot) => {
      const [leases, beats] = await Promise.all([
        snapshot.range(tableKeys(tables.lease, { start: new Uint8Array(0), end: null }), { limit: leasesMax }),
        snapshot.range(tableKeys(tables.leaseBeat, { start: new Uint8Array(0), end: null }), { limit: leasesMax }),
      ]);
      return { leases, beats: new Map(beats.map(({ key, value }) => [nameOf(key), beatOf(value)])) };
    });
    const records = new Map(rows.leases.map(({ key, value }) => [nameOf(key), decodeLease(value)]));
    for (const [name, record] of records) {
      if (isFree(record) || this.#held.has(name)) {
        this.#seen.delete(name);
        continue;
      }
      const beat = rows.beats.get(name) ?? 0;
      const seen = this.#seen.get(name);
      if (seen?.number !== record.number || seen.beat !== beat) this.#seen.set(name, { number: record.number, beat, sinceMs: nowMs });
      else if (nowMs - seen.sinceMs >= leaseMs) await this.#expire(name, seen);
    }
    for (const name of this.#wanted) {
      const record = records.get(name);
      if ((record === undefined || this.#mayTake(record)) && !this.#held.has(name)) await this.#take(name);
    }
  }

  async #expire(name: string, { number, beat }: Observation): Promise<void> {
    const { store, log, onExpired } = this.#deps;
    const ended = await store.transact(async (tx) => {
      const [record, bytes] = await Promise.all([readLease(tx, name), tx.get(beatKey(name))]);
      if (record.number !== number || isFree(record) || beatOf(bytes) !== beat) return false;
      await onExpired(tx, name);
      grantLease(tx, name, record, nobody);
      return true;
    });
    this.#seen.delete(name);
    if (ended) log.warn({ lease: name, number }, 'lease of another instance has run out and is ended');
  }

  async #take(name: string): Promise<void> {
    const { store, clock, log, holder, rank, onExpired } = this.#deps;
    const sinceMs = clock.monotonic();
    const number = await store.transact(async (tx) => {
      const record = await readLease(tx, name);
      // After a commit of unknown outcome the lease may be ours already.
      if (equalBytes(record.holder, holder)) return record.number;
      if (!this.#mayTake(record)) return undefined;
      if (!isFree(record)) await onExpired(tx, name);
      return grantLease(tx, name, record, holder, rank).number;
    });
    if (number === undefined) return;
    log.info({ lease: name, number }, 'lease taken');
    this.hold(name, number, sinceMs);
  }

  #mayTake(record: LeaseRecord): boolean {
    const { holder, rank } = this.#deps;
    return isFree(record) || equalBytes(record.holder, holder) || record.rank > rank;
  }

  #isLate({ renewedMs }: Holding): boolean {
    return this.#deps.clock.monotonic() - renewedMs >= leaseMs;
  }

  #lose(holding: Holding): void {
    if (this.#held.get(holding.name) === holding) this.#held.delete(holding.name);
    holding.abort.abort();
  }
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.subarray(1)).toString();
}

function beatOf(bytes: Uint8Array | undefined): number {
  return bytes === undefined ? 0 : new ByteReader(bytes, 'lease beat').u64();
}

function beatBytes(beat: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  writeU64(bytes, beat, 0);
  return bytes;
}
