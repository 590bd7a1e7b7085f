/** An instance on LMDB without servers, for children of the bench: plain node on dist. */
import { keepTree } from '../../src/aae/grow.ts';
import { Driver, type PullReport } from '../../src/aae/driver.ts';
import { Responder } from '../../src/aae/responder.ts';
import { Tree } from '../../src/aae/tree.ts';
import { allKeys, parseKey } from '../../src/core/key.ts';
import { silentLog } from '../../src/core/ports.ts';
import { instanceOf, MeshDigests, openMesh } from '../../src/crypto/mesh.ts';
import { type ReceivedWrite, type WriteOp } from '../../src/replica/proposal.ts';
import { Replica } from '../../src/replica/replica.ts';
import { fixedSlot } from '../../src/replica/slots.ts';
import { realClock, realRandom } from '../../src/server/real.ts';
import { openLmdbStore } from '../../src/store/lmdb/store.ts';
import { type Store } from '../../src/store/store.ts';
import { keyText, valueBytes } from './keys.ts';

/** As the server keeps the tree's levels, in ms. */
const treeKeepMs = 1_000;
const batchWrites = 100;
const loaders = 8;

export interface Instance extends AsyncDisposable {
  readonly store: Store;
  readonly digests: MeshDigests;
  readonly clusterId: Uint8Array;
  readonly replica: Replica;
}

export interface InstanceOptions {
  readonly dir: string;
  readonly cluster: number;
  readonly tree: 'kept' | 'absent';
}

export async function openInstance({ dir, cluster, tree }: InstanceOptions): Promise<Instance> {
  const store = await openLmdbStore({ dir, clock: realClock, random: realRandom });
  const digests = new MeshDigests(openMesh);
  const clusterId = new Uint8Array(16).fill(cluster);
  const replica = await Replica.open({
    store,
    digests,
    instanceOf: (slot) => instanceOf(clusterId, 1, slot),
    slots: fixedSlot(store, 0),
    clock: realClock,
    log: silentLog,
    followers: tree === 'kept' ? [await Tree.open(store, digests)] : [],
    feedPartitions: 1,
    observer: { commit: () => undefined, refused: () => undefined },
  });
  const stopping = new AbortController();
  const keeper = tree === 'kept' ? keep(store, digests, stopping.signal) : Promise.resolve();
  const dispose = async (): Promise<void> => {
    stopping.abort();
    await keeper;
    await replica.close();
    await store[Symbol.asyncDispose]();
  };
  return { store, digests, clusterId, replica, [Symbol.asyncDispose]: dispose };
}

async function keep(store: Store, digests: MeshDigests, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await keepTree(store, digests, signal);
    await realClock.sleep(treeKeepMs, signal);
  }
}

export function setOp(text: string, value: Uint8Array = valueBytes): WriteOp {
  return { kind: 'set', key: parseKey(Buffer.from(text, 'base64')), value, expiresInMs: undefined, expected: { kind: 'any' } };
}

/** Writes the keys of `count` indexes in batches of 100, eight at a time. `indexOf` gives the key's index for the n-th write. */
export async function writeMany(instance: Instance, count: number, indexOf: (n: number) => number, value?: Uint8Array): Promise<void> {
  let next = 0;
  const load = async (): Promise<void> => {
    while (next < count) {
      const from = next;
      next = Math.min(count, next + batchWrites);
      const ops = Array.from({ length: next - from }, (_, at) => setOp(keyText(indexOf(from + at)), value));
      await instance.replica.write(ops);
    }
  };
  await Promise.all(Array.from({ length: loaders }, load));
}

/** One exchange over a link that calls the other directly; the frames are those of the wire. */
export function exchange(from: Instance, peer: Instance): Promise<PullReport> {
  const responder = new Responder({ ...shared(peer) });
  const link = { ask: (frame: Uint8Array) => responder.answer(frame) };
  const options = { scope: allKeys, direction: 'both' as const, onProgress: () => undefined, signal: new AbortController().signal };
  return new Driver({ ...shared(from), random: realRandom }, link, options).run();
}

function shared({ store, digests, clusterId, replica }: Instance) {
  return {
    store,
    digests,
    clusterId,
    sink: { receive: (writes: readonly ReceivedWrite[], peer: string) => replica.receive(writes, peer) },
    clock: realClock,
  };
}

/** The n-th of `count` indexes in an order that jumps about and meets each once: a step that has no factor in common with it. */
export function scattered(n: number, count: number): number {
  return (n * 7_919_993) % count;
}

export function tell(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
