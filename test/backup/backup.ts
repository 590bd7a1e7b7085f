/** Clusters in memory to back up and to restore into. */
import { backupOf, type BackupResume } from '../../src/backup/source.ts';
import { verifyBackup, type VerifiedBackup } from '../../src/backup/read.ts';
import { encodeRecord, firstDigest, magic, readRecords, type RawRecord } from '../../src/backup/record.ts';
import { sha256 } from '../../src/crypto/digest.ts';
import { isAboveFloor } from '../../src/mesh/floor.ts';
import { makeStamp, parseInstance, type Stamp } from '../../src/core/stamp.ts';
import { realClock, realRandom } from '../../src/server/real.ts';
import { restoreStore } from '../../src/server/restore.ts';
import { type ClusterIdentity } from '../../src/server/identity.ts';
import { type Store } from '../../src/store/store.ts';
import { mesh, type Region } from '../mesh/region.ts';

const stampOfNow = (): Stamp => makeStamp(realClock.now(), 0, parseInstance(new Uint8Array(8)));

/** What a region would send, record by record. */
export function records(region: Region, resume?: BackupResume, low?: Stamp): AsyncGenerator<Buffer> {
  const own = { ...region.own, keyDigest: sha256(mesh.key) };
  const deps = {
    replica: region.replica,
    own,
    low: () => Promise.resolve(low ?? stampOfNow()),
    nowMs: () => realClock.now(),
    assertWhole: () => Promise.resolve(),
    isAboveFloor,
  };
  return backupOf(deps, resume, new AbortController().signal);
}

export async function backup(region: Region): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of records(region)) parts.push(part);
  return Buffer.concat(parts);
}

/** A file's bytes in chunks of odd sizes. */
export async function* chunksOf(file: Uint8Array, size = 1_009): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < file.length; at += size) yield await Promise.resolve(file.subarray(at, at + size));
}

export async function recordsOf(file: Uint8Array): Promise<RawRecord[]> {
  const found: RawRecord[] = [];
  for await (const record of readRecords(chunksOf(file), { cut: 'refuse' })) found.push(record);
  return found;
}

/** A file of these, whose digests fit. */
export function fileOf(of: readonly Pick<RawRecord, 'kind' | 'payload'>[]): Buffer {
  const pieces: Buffer[] = [magic];
  let before = firstDigest;
  for (const { kind, payload } of of) {
    const { bytes, digest } = encodeRecord(kind, payload, before);
    pieces.push(bytes);
    before = digest;
  }
  return Buffer.concat(pieces);
}

export async function restore(
  file: Uint8Array,
  store: Store,
  as: 'same cluster' | 'new cluster' = 'same cluster',
): Promise<ClusterIdentity> {
  return restoreFrom(await verifyBackup(chunksOf(file), () => undefined), chunksOf(file), store, as);
}

export function restoreFrom(
  verified: VerifiedBackup,
  chunks: AsyncIterable<Uint8Array>,
  store: Store,
  as: 'same cluster' | 'new cluster' = 'same cluster',
): Promise<ClusterIdentity> {
  const deps = { store, feedPartitions: 1, clock: realClock, random: realRandom, meshKey: mesh.key, onProgress: () => undefined } as const;
  return restoreStore(verified, chunks, as, deps);
}
