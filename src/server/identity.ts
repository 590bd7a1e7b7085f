import { ByteReader, equalBytes, toHex, writeU64 } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { type HostPort } from '../core/hostPort.ts';
import { type Random } from '../core/ports.ts';
import { meshIdBytes, meshKeyBytes, openMesh, type MeshKind } from '../crypto/mesh.ts';
import { sha256 } from '../crypto/digest.ts';
import { storeKey, tables } from '../store/keyspace.ts';
import { type Snapshot, type Store, type Transaction } from '../store/store.ts';
import { setJoining } from './joining.ts';

/** Who this cluster is. Made at the first start, and the same for every instance on the store. */
export interface ClusterIdentity {
  /** A UUID's 16 bytes. */
  readonly clusterId: Uint8Array;
  /** Rises when the store is restored or starts anew. */
  readonly incarnation: number;
  readonly meshId: Uint8Array;
  /** Never another than at the first start. */
  readonly kind: MeshKind;
}

const identityKey = storeKey(tables.meta, Buffer.from('identity'));
/** While a store is restored: the digest of the backup. It has no identity until all is there. */
export const restoringKey = storeKey(tables.meta, Buffer.from('restoring'));
/** The first byte. */
const formats: Readonly<Record<MeshKind, number>> = { open: 1, granted: 2 };

/** `donor`: from whom a cluster that is made here is to be filled (M17). format u8: 1 of an open mesh, 2 of a granted one | cluster id 16 | incarnation u64 | mesh id 32 | SHA-256 of the mesh key 32. */
export async function settleIdentity(
  store: Store,
  wanted: { readonly kind: MeshKind; readonly meshId: Uint8Array | undefined; readonly meshKey: Uint8Array | undefined },
  random: Random,
  donor?: HostPort,
): Promise<ClusterIdentity & { readonly meshKey: Uint8Array }> {
  const meshKey = wanted.meshKey ?? openMesh.key;
  const { kind } = wanted;
  const fresh = { clusterId: randomUuid(random), incarnation: 1, meshId: wanted.meshId ?? openMesh.id, kind };
  const identity = await store.transact(async (tx) => {
    const stored = await tx.get(identityKey);
    if (stored !== undefined) return checkStored(stored, wanted, meshKey);
    await assertNotRestoring(tx);
    setIdentity(tx, fresh, sha256(meshKey));
    if (donor !== undefined) setJoining(tx, donor);
    return fresh;
  });
  return { ...identity, meshKey };
}

/** Who the cluster of a store is, and the SHA-256 of its mesh key; undefined where it was never started. */
export async function readIdentity(snapshot: Snapshot): Promise<{ identity: ClusterIdentity; keyDigest: Uint8Array } | undefined> {
  const bytes = await snapshot.get(identityKey);
  return bytes === undefined ? undefined : decodeIdentity(bytes);
}

/** Error: `bad_config` where a restore into a store without identity was cut short. */
export async function assertNotRestoring(snapshot: Snapshot): Promise<void> {
  if ((await snapshot.get(restoringKey)) === undefined) return;
  throw new GkvError('bad_config', 'a restore into this store was cut short: run gkvmesh restore with the same file again');
}

export function setIdentity(tx: Transaction, { clusterId, incarnation, meshId, kind }: ClusterIdentity, keyDigest: Uint8Array): void {
  const bytes = Buffer.alloc(1 + 16 + 8 + meshIdBytes + meshKeyBytes);
  bytes.writeUInt8(formats[kind], 0);
  bytes.set(clusterId, 1);
  writeU64(bytes, incarnation, 17);
  bytes.set(meshId, 25);
  bytes.set(keyDigest, 25 + meshIdBytes);
  tx.set(identityKey, bytes);
}

function decodeIdentity(bytes: Uint8Array): { identity: ClusterIdentity; keyDigest: Uint8Array } {
  const reader = new ByteReader(bytes, 'identity');
  const format = reader.u8();
  const kind = format === formats.open ? 'open' : 'granted';
  if (format !== formats[kind])
    throw new GkvError('format_unknown', `the store's identity has format ${format}: it was made by a newer gkvmesh`);
  const identity = { clusterId: reader.bytes(16), incarnation: reader.u64(), meshId: reader.bytes(meshIdBytes), kind } as const;
  const keyDigest = reader.bytes(32);
  reader.end();
  return { identity, keyDigest };
}

function checkStored(
  bytes: Uint8Array,
  { kind, meshId }: { readonly kind: MeshKind; readonly meshId: Uint8Array | undefined },
  meshKey: Uint8Array,
): ClusterIdentity {
  const { identity, keyDigest } = decodeIdentity(bytes);
  if (kind !== identity.kind) {
    const right = identity.kind === 'open' ? 'an open mesh: start it with --open' : 'a granted mesh: start it with --mesh';
    throw new GkvError('bad_config', `this store is of ${right}; that is fixed at the first start`);
  }
  if (meshId !== undefined && !equalBytes(meshId, identity.meshId)) {
    throw new GkvError('bad_config', `--mesh-id: this store is of mesh ${toHex(identity.meshId)}; a mesh id is fixed at the first start`);
  }
  if (!equalBytes(sha256(meshKey), keyDigest)) {
    throw new GkvError('bad_config', '--mesh-key: is not the key that this store was made with; a mesh key is fixed at the first start');
  }
  return identity;
}

/** A random (version 4) UUID, RFC 9562. */
export function randomUuid(random: Random): Uint8Array {
  const bytes = Buffer.from(random.bytes(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes;
}
