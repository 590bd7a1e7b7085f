import { ByteReader, equalBytes, toHex, writeU64 } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { type Random } from '../core/ports.ts';
import { meshIdBytes, meshKeyBytes, openMesh } from '../crypto/mesh.ts';
import { sha256 } from '../crypto/digest.ts';
import { storeKey, tables } from '../store/keyspace.ts';
import { type Store } from '../store/store.ts';

/** Who this cluster is. Made at the first start, and the same for every instance on the store. */
export interface ClusterIdentity {
  /** A UUID's 16 bytes. */
  readonly clusterId: Uint8Array;
  /** Rises when the store is restored or starts anew. */
  readonly incarnation: number;
  readonly meshId: Uint8Array;
}

const identityKey = storeKey(tables.meta, Buffer.from('identity'));
const identityFormat = 1;

/** format u8=1 | cluster id 16 | incarnation u64 | mesh id 32 | SHA-256 of the mesh key 32. */
export async function settleIdentity(
  store: Store,
  wanted: { readonly meshId: Uint8Array | undefined; readonly meshKey: Uint8Array | undefined },
  random: Random,
): Promise<ClusterIdentity & { readonly meshKey: Uint8Array }> {
  const meshKey = wanted.meshKey ?? openMesh.key;
  const fresh = { clusterId: randomUuid(random), incarnation: 1, meshId: wanted.meshId ?? openMesh.id };
  const identity = await store.transact(async (tx) => {
    const stored = await tx.get(identityKey);
    if (stored !== undefined) return checkStored(stored, wanted.meshId, meshKey);
    const bytes = Buffer.alloc(1 + 16 + 8 + meshIdBytes + meshKeyBytes);
    bytes.writeUInt8(identityFormat, 0);
    bytes.set(fresh.clusterId, 1);
    writeU64(bytes, fresh.incarnation, 17);
    bytes.set(fresh.meshId, 25);
    bytes.set(sha256(meshKey), 25 + meshIdBytes);
    tx.set(identityKey, bytes);
    return fresh;
  });
  return { ...identity, meshKey };
}

function checkStored(bytes: Uint8Array, meshId: Uint8Array | undefined, meshKey: Uint8Array): ClusterIdentity {
  const reader = new ByteReader(bytes, 'identity');
  const format = reader.u8();
  if (format !== identityFormat)
    throw new GkvError('format_unknown', `the store's identity has format ${format}: it was made by a newer gkvmesh`);
  const identity = { clusterId: reader.bytes(16), incarnation: reader.u64(), meshId: reader.bytes(meshIdBytes) };
  const keyDigest = reader.bytes(32);
  reader.end();
  if (meshId !== undefined && !equalBytes(meshId, identity.meshId)) {
    throw new GkvError('bad_config', `--mesh-id: this store is of mesh ${toHex(identity.meshId)}; a mesh id is fixed at the first start`);
  }
  if (!equalBytes(sha256(meshKey), keyDigest)) {
    throw new GkvError('bad_config', '--mesh-key: is not the key that this store was made with; a mesh key is fixed at the first start');
  }
  return identity;
}

/** A random (version 4) UUID, RFC 9562. */
function randomUuid(random: Random): Uint8Array {
  const bytes = Buffer.from(random.bytes(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes;
}
