import { GkvError } from '../../src/core/errors.ts';
import { parseKey, type Key } from '../../src/core/key.ts';
import { silentLog, type Clock, type Random } from '../../src/core/ports.ts';
import { type Scope } from '../../src/core/scope.ts';
import { inlineSignatures, type Signatures, type SigningKey } from '../../src/crypto/ed25519.ts';
import { instanceOf, MeshDigests } from '../../src/crypto/mesh.ts';
import { type AnyRecord } from '../../src/grant/anyRecord.ts';
import { Ledger } from '../../src/grant/ledger.ts';
import { Guard } from '../../src/replica/guard.ts';
import { type PeerLink } from '../../src/aae/checkedPeer.ts';
import { Driver, type ExchangeOptions, type PullReport } from '../../src/aae/driver.ts';
import { Responder } from '../../src/aae/responder.ts';
import { Tree } from '../../src/aae/tree.ts';
import { allKeys } from '../../src/core/key.ts';
import { type RefusalObserver } from '../../src/replica/refused.ts';
import { Replica } from '../../src/replica/replica.ts';
import { fixedSlot, type SlotSource } from '../../src/replica/slots.ts';
import { type WriteOp } from '../../src/replica/proposal.ts';
import { MemoryDatabase } from '../../src/store/memory/database.ts';
import { type MemoryFaults } from '../../src/store/memory/faults.ts';
import { openMemoryStore } from '../../src/store/memory/store.ts';
import { type Store } from '../../src/store/store.ts';
import { FakeClock, seededRandom } from '../support.ts';

/** FoundationDB's client fails now and then on purpose: what was committed unknown to it runs again, and finds it done. */
export const failsOnPurpose: boolean = process.env['GKVMESH_TEST_STORE'] === 'fdb' && process.env['GKVMESH_TEST_BUGGIFY'] !== undefined;

/** A digest whose levels are dense, so that few keys make a deep tree: one key in `fan` bounds level 1, one in fan² level 2. */
export class DenseDigests extends MeshDigests {
  readonly #fan: number;

  /** `grantedId`: of a granted mesh; left out: an open one. */
  constructor(fan: number, grantedId?: Uint8Array) {
    const kind = grantedId === undefined ? 'open' : 'granted';
    super({ id: grantedId ?? new Uint8Array(32).fill(1), key: new Uint8Array(32).fill(2), kind });
    this.#fan = fan;
  }

  override boundLevel(key: Uint8Array): number {
    let word = Buffer.from(this.keyed(key, new Uint8Array(0))).readUIntBE(0, 6);
    let level = 0;
    while (level < 6 && word % this.#fan === 0) {
      word = Math.floor(word / this.#fan);
      level += 1;
    }
    return level;
  }
}

export interface Instance {
  readonly store: Store;
  readonly replica: Replica;
  readonly tree: Tree;
  readonly digests: MeshDigests;
  readonly responder: Responder;
  readonly clusterId: Uint8Array;
  readonly clock: Clock;
  readonly random: Random;
  /** Of a granted mesh. */
  readonly ledger: Ledger | undefined;
}

/** A granted mesh, what a store is told of it at first, and whose key signs there. */
interface GrantedOptions {
  readonly meshId: Uint8Array;
  readonly records: readonly AnyRecord[];
  readonly signer: SigningKey;
  /** What the store is for; left out: everything. */
  readonly scope?: Scope;
}

export interface InstanceOptions {
  /** Left out: an open mesh. */
  readonly granted?: GrantedOptions;
  readonly database?: MemoryDatabase;
  readonly store?: Store;
  readonly cluster?: number;
  /** Made of `cluster` otherwise. */
  readonly clusterId?: Uint8Array;
  readonly slot?: number;
  readonly slots?: SlotSource;
  readonly seed?: number;
  readonly fan?: number;
  readonly clock?: Clock;
  readonly faults?: MemoryFaults;
  readonly incarnation?: number;
  readonly feedPartitions?: 1 | 16;
  readonly refusals?: RefusalObserver;
  /** Of a granted mesh; left out: inline ones. */
  readonly signatures?: Signatures;
}

/** Databases in memory that some handle fails on purpose: FoundationDB cannot stand in for those. */
const faulty = new WeakSet<MemoryDatabase>();

/** In memory, but where the run is of FoundationDB and no fault is asked for: then there. */
async function openTestedStore({ database = new MemoryDatabase(), faults }: InstanceOptions, clock: Clock, random: Random): Promise<Store> {
  if (faults !== undefined) faulty.add(database);
  if (process.env['GKVMESH_TEST_STORE'] === 'fdb' && !faulty.has(database))
    return (await import('../fdb/cluster.ts')).storeInsteadOf(database);
  return openMemoryStore(database, { clock, random, ...(faults === undefined ? {} : { faults }) });
}

/** An instance on a store in memory, its own or one that others share. */
export async function openInstance(options: InstanceOptions = {}): Promise<Instance> {
  const { cluster = 1, slot = 0, seed = 1, fan = 4, clock = new FakeClock(), incarnation = 1, feedPartitions = 1 } = options;
  const random = seededRandom(seed);
  const { granted, signatures = inlineSignatures() } = options;
  const digests = new DenseDigests(fan, granted?.meshId);
  const store = options.store ?? (await openTestedStore(options, clock, random));
  const tree = await Tree.open(store, digests);
  const ledger = granted === undefined ? undefined : await Ledger.open(store, granted.meshId, signatures);
  if (granted !== undefined) await ledger?.takeAll(granted.records);
  const guard = ledger && new Guard(ledger, signatures, granted?.signer);
  if (granted?.scope !== undefined) guard?.confine(granted.scope);
  const clusterId = options.clusterId ?? new Uint8Array(16).fill(cluster);
  const replica = await Replica.open({
    store,
    digests,
    instanceOf: (held) => instanceOf(clusterId, incarnation, held),
    slots: options.slots ?? fixedSlot(store, slot),
    clock,
    log: silentLog,
    followers: [tree],
    feedPartitions,
    observer: { commit: () => undefined, refused: (writes) => options.refusals?.refused(writes) },
    guard,
  });
  const responder = new Responder({ store, digests, clusterId, sink: { receive: (writes, peer) => replica.receive(writes, peer) }, clock });
  return { store, replica, tree, digests, responder, clusterId, clock, random, ledger };
}

export function key(text: string): Key {
  return parseKey(Buffer.from(text));
}

export function set(name: string, value: string): WriteOp {
  return { kind: 'set', key: key(name), value: Buffer.from(value), expiresInMs: undefined, expected: { kind: 'any' } };
}

export function remove(name: string): WriteOp {
  return { kind: 'delete', key: key(name), expected: { kind: 'any' } };
}

/** A link that calls the other's responder; `cut` may throw before a request or before an answer arrives. */
export function linkTo(peer: Instance, cut: (point: 'request' | 'answer') => void = () => undefined): PeerLink {
  return {
    ask: async (frame) => {
      cut('request');
      const answer = await peer.responder.answer(frame);
      cut('answer');
      return answer;
    },
  };
}

export async function exchange(from: Instance, link: PeerLink, options: Partial<ExchangeOptions> = {}): Promise<PullReport> {
  const { store, digests, clusterId, replica, clock, random } = from;
  const driver = new Driver(
    { store, digests, clusterId, sink: { receive: (writes, peer) => replica.receive(writes, peer) }, clock, random },
    link,
    {
      scope: allKeys,
      direction: 'both',
      onProgress: () => undefined,
      signal: new AbortController().signal,
      ...options,
    },
  );
  return driver.run();
}

export function failure(code: 'peer_unreachable'): GkvError {
  return new GkvError(code, 'cut by the test');
}
