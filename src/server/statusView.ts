import { countOf, bytesOf } from '../core/sum.ts';
import { rootSum } from '../aae/tree.ts';
import { type MeshDigests } from '../crypto/mesh.ts';
import { type Identity, type StatusReport, type StatusView } from '../http/ports.ts';
import { type Replica } from '../replica/replica.ts';
import { type Store } from '../store/store.ts';
import { type OpenStore } from './openStore.ts';
import { release } from './release.ts';

export interface StatusDeps {
  readonly opened: OpenStore;
  readonly identity: Identity;
  readonly digests: MeshDigests;
  readonly replica: Replica;
  readonly ready: () => boolean;
}

/** Answers also while the store does not. */
export function statusView({ opened, identity, digests, replica, ready }: StatusDeps): StatusView {
  const known = <T>(read: () => Promise<T>): Promise<T | undefined> =>
    opened.available() ? read().catch(() => undefined) : Promise.resolve(undefined);
  const status = async (): Promise<StatusReport> => {
    const health = await opened.health();
    const [content, parked] = await Promise.all([known(() => contentOf(opened.store, digests)), known(() => replica.parkedCount())]);
    return {
      ...identity,
      release,
      ready: ready(),
      slot: replica.slot,
      clockAheadMs: replica.hlc.aheadMs(),
      store: { kind: opened.kind, ...health },
      entries: content?.entries ?? null,
      bytes: content?.bytes ?? null,
      parkedWrites: parked?.writes ?? null,
    };
  };
  return { status };
}

/** Candidate writes held, and the bytes of their keys and values. */
export async function contentOf(store: Store, digests: MeshDigests): Promise<{ entries: number; bytes: number }> {
  const sum = await store.read((snapshot) => rootSum(snapshot, digests));
  return { entries: countOf(sum), bytes: bytesOf(sum) };
}
