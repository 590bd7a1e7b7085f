import { Tree } from '../aae/tree.ts';
import { fromFile, readBackup, writesOf, type VerifiedBackup } from '../backup/read.ts';
import { equalBytes, toHex } from '../core/bytes.ts';
import { GkvError } from '../core/errors.ts';
import { clusterPartOf, latestOf } from '../core/frontier.ts';
import { silentLog, type Clock, type Random } from '../core/ports.ts';
import { limits } from '../core/limits.ts';
import { makeStamp, physicalMsOf } from '../core/stamp.ts';
import { sha256 } from '../crypto/digest.ts';
import { nativeSignatures } from '../crypto/ed25519.ts';
import { instanceOf, MeshDigests } from '../crypto/mesh.ts';
import { decodeAny } from '../grant/anyRecord.ts';
import { Ledger } from '../grant/ledger.ts';
import { raiseFloor } from '../replica/floor.ts';
import { Guard } from '../replica/guard.ts';
import { noteRenewal } from '../mesh/renewed.ts';
import { joinFrontier } from '../replica/frontier.ts';
import { Replica } from '../replica/replica.ts';
import { fixedSlot } from '../replica/slots.ts';
import { assertUnserved } from '../replica/unserved.ts';
import { tables } from '../store/keyspace.ts';
import { type Snapshot, type Store } from '../store/store.ts';
import { randomUuid, readIdentity, restoringKey, setIdentity, type ClusterIdentity } from './identity.ts';

export interface RestoreDeps {
  readonly store: Store;
  readonly feedPartitions: 1 | 16;
  readonly clock: Clock;
  readonly random: Random;
  readonly meshKey: Uint8Array;
  /** Told how many writes are restored. */
  readonly onProgress: (done: number) => void;
}

/**
 * Fills an empty store with a backup that was verified, page by page through the one way in; `chunks` is the same file again, checked again. Until
 * all is there the store has no identity and is not served; begun again with the same file it goes through it from the start, and what is there already
 * changes nothing. At last, in one transaction: the frontier, the old incarnation's own part with it, the floor, and a new incarnation. Errors: `bad_config` where
 * the store is not empty or the mesh key is another; `data_locked`; `version_future` where our clock is behind what the file claims; `corrupt`.
 */
export async function restoreStore(
  backup: VerifiedBackup,
  chunks: AsyncIterable<Uint8Array>,
  as: 'same cluster' | 'new cluster',
  deps: RestoreDeps,
): Promise<ClusterIdentity> {
  const { store, random, meshKey, clock } = deps;
  const { header, trailer, digest } = backup;
  if (!equalBytes(sha256(meshKey), header.keyDigest))
    throw new GkvError('bad_config', '--mesh-key: is not the key of the cluster that was backed up');
  assertPast(backup, clock);
  await assertUnserved(store, clock);
  await begin(store, digest);
  const { clusterId, incarnation, meshId, kind } = header;
  const identity: ClusterIdentity =
    as === 'new cluster'
      ? { clusterId: randomUuid(random), incarnation: 1, meshId, kind }
      : { clusterId, incarnation: incarnation + 1, meshId, kind };
  const digests = new MeshDigests({ id: meshId, key: meshKey, kind });
  const signatures = nativeSignatures();
  const ledger = kind === 'open' ? undefined : await Ledger.open(store, meshId, signatures);
  const replica = await openReplica(identity, digests, ledger && new Guard(ledger, signatures, undefined), deps);
  try {
    await takeParts({ replica, digests, ledger }, chunks, backup, deps.onProgress);
  } finally {
    await replica.close();
  }
  const own = clusterPartOf(makeStamp(0, 0, instanceOf(identity.clusterId, identity.incarnation, 0)));
  await store.transact(async (tx) => {
    if (await isRestored(tx, digest, identity)) return;
    await joinFrontier(tx, trailer.frontier, own);
    await noteRenewal(tx, latestOf(trailer.frontier), { clusterId, incarnation });
    await raiseFloor(tx, trailer.floor);
    setIdentity(tx, identity, header.keyDigest);
    tx.clear(restoringKey);
  });
  return identity;
}

/** A floor or frontier from ahead would be claimed for good: everything that is written until then would be refused, or taken for known. */
function assertPast({ trailer }: VerifiedBackup, clock: Clock): void {
  const aheadMs = Math.max(physicalMsOf(trailer.floor), physicalMsOf(latestOf(trailer.frontier))) - clock.now();
  if (aheadMs > limits.futureMsMax)
    throw new GkvError(
      'version_future',
      `the backup claims what lies ${aheadMs} ms ahead of this machine's clock: set it, or do not trust the file`,
    );
}

/** Notes whose restore it is. Error: `bad_config` where the store holds anything but a part of that. */
async function begin(store: Store, digest: Uint8Array): Promise<void> {
  await store.transact(async (tx) => {
    const restoring = await tx.get(restoringKey);
    if (restoring === undefined && (await isEmpty(tx))) tx.set(restoringKey, digest);
    else if (restoring === undefined || !equalBytes(restoring, digest))
      throw new GkvError(
        'bad_config',
        `the store is not empty${restoring === undefined ? '' : ': it holds a part of another backup'}; restore into another one`,
      );
  });
}

/** True where an earlier run of this end was committed. Error: `bad_config` where another restore of the same file came to its end, whose cluster may be served. */
async function isRestored(snapshot: Snapshot, digest: Uint8Array, { clusterId, incarnation }: ClusterIdentity): Promise<boolean> {
  const restoring = await snapshot.get(restoringKey);
  if (restoring !== undefined && equalBytes(restoring, digest)) return false;
  const made = (await readIdentity(snapshot))?.identity;
  if (made !== undefined && equalBytes(made.clusterId, clusterId) && made.incarnation === incarnation) return true;
  throw new GkvError('bad_config', 'another restore into this store came to its end first: there is a cluster in it');
}

async function isEmpty(snapshot: Snapshot): Promise<boolean> {
  const rows = await snapshot.range({ start: Uint8Array.of(tables.meta), end: Uint8Array.of(0xff) }, { limit: 1 });
  return rows.length === 0;
}

async function openReplica(
  own: ClusterIdentity,
  digests: MeshDigests,
  guard: Guard | undefined,
  { store, feedPartitions, clock }: RestoreDeps,
): Promise<Replica> {
  return Replica.open({
    store,
    digests,
    instanceOf: (slot) => instanceOf(own.clusterId, own.incarnation, slot),
    slots: fixedSlot(store, 0),
    clock,
    log: silentLog,
    followers: [await Tree.open(store, digests)],
    feedPartitions,
    observer: { commit: () => undefined, refused: () => undefined },
    guard,
  });
}

interface Restored {
  readonly replica: Replica;
  readonly digests: MeshDigests;
  /** Of a granted mesh. */
  readonly ledger: Ledger | undefined;
}

/** What the backup's own records do not give authority to is left out: somebody may have lost it just before. */
async function takeParts(
  { replica, digests, ledger }: Restored,
  chunks: AsyncIterable<Uint8Array>,
  { header, digest }: VerifiedBackup,
  onProgress: (done: number) => void,
): Promise<void> {
  let done = 0;
  let last: Uint8Array = new Uint8Array(0);
  for await (const part of readBackup(chunks)) {
    last = part.record.digest;
    if (part.kind === 'records') await takeRecords(part.records, ledger);
    if (part.kind !== 'page') continue;
    const results = await replica.receive(writesOf(part.page, digests), toHex(header.clusterId));
    const odd = results.find(({ status }) => status === 'parked' || status === 'refused' || status === 'below_floor');
    if (odd !== undefined)
      throw new GkvError(
        'version_future',
        `a write of the backup is ${odd.status}: this machine's clock is behind; set it and begin again`,
      );
    if (results.some(({ status }) => status === 'forged'))
      throw new GkvError('corrupt', 'the backup has writes whose signatures do not hold');
    if (results.some(({ status }) => status === 'unproven'))
      throw new GkvError('corrupt', 'the backup lacks the grants of some of its writes');
    done += results.length;
    onProgress(done);
  }
  if (!equalBytes(last, digest)) throw new GkvError('corrupt', 'the backup was changed while it was restored');
}

async function takeRecords(records: readonly Uint8Array[], ledger: Ledger | undefined): Promise<void> {
  if (ledger === undefined) throw new GkvError('corrupt', 'a backup of an open mesh has records of authority');
  const refusals = await ledger.take(records.map((bytes) => fromFile(() => decodeAny(bytes, ledger.known.meshId))));
  const refused = refusals.find((refusal) => refusal !== undefined);
  if (refused !== undefined)
    throw new GkvError('corrupt', `a record of authority in the backup is refused: ${refused.code}: ${refused.message}`);
}
