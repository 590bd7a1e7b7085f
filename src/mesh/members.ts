import { equalBytes, toHex } from '../core/bytes.ts';
import { GkvError, hasCode } from '../core/errors.ts';
import { hostPortText, type HostPort } from '../core/hostPort.ts';
import { uuidText } from '../core/uuid.ts';
import { peerEnded } from '../replica/ended.ts';
import { type WriteOp } from '../replica/proposal.ts';
import { type ReadResult } from '../replica/read.ts';
import { type Replica } from '../replica/replica.ts';
import { identify, type PeerIdentity } from './identity.ts';
import { recordOp } from './peerWrites.ts';
import { isRemoved, removedOp } from './removal.ts';
import { encodePeer, isJoining, peerKey, type PeerRecord } from './peers.ts';
import { type Links } from './ports.ts';
import { type UpstreamDeps } from './upstream.ts';

export interface MembersDeps extends Omit<UpstreamDeps, 'clusterId'> {
  readonly replica: Pick<Replica, 'get' | 'write' | 'ended'>;
  readonly links: Links;
  readonly own: PeerIdentity;
  /** The one in which a member, in hex, was heard of last. */
  readonly incarnationOf: (clusterId: string) => number;
  /** Where others reach us; undefined: nowhere that we know. */
  readonly advertised: () => HostPort | undefined;
  /** In a granted mesh: has who answers there prove that it may replicate; its cluster id. */
  readonly prove?: ((address: HostPort, signal: AbortSignal) => Promise<Uint8Array>) | undefined;
  /** Has the members read anew. */
  readonly changed: () => Promise<void>;
}

const removalBytes = 8;
const triesMax = 5;

/** Adds members to the data, and takes them out. Who was removed never returns: it starts anew as another cluster. */
export class Members {
  readonly #deps: MembersDeps;

  constructor(deps: MembersDeps) {
    this.#deps = deps;
  }

  /**
   * Asks the mesh port who it is, and writes its record, and ours where there is none. `regionName`: another than the one that it calls itself by.
   * Errors: those of the link; `mesh_mismatch`; `malformed` for our own address; `not_advertised`; `must_bootstrap` for one that was removed; in
   * a granted mesh those of `ProvenLinks.prove`.
   */
  async add(address: HostPort, regionName: string | undefined, signal: AbortSignal): Promise<PeerRecord> {
    const { links, digests, random, own, replica } = this.#deps;
    const found = await identify(links.link(address, 'identity'), { digests, random, clusterId: own.clusterId }, signal);
    if (equalBytes(found.clusterId, own.clusterId))
      throw new GkvError('malformed', `peer: ${hostPortText(address)} is this cluster itself; name another one`, {
        details: { field: 'peer' },
      });
    const proven = await this.#deps.prove?.(address, signal);
    if (proven !== undefined && !equalBytes(proven, found.clusterId))
      throw new GkvError('wrong_peer', `peer: another cluster than ${uuidText(found.clusterId)} proves itself at ${hostPortText(address)}`);
    const record = { clusterId: found.clusterId, address, upstreams: undefined, regionName: regionName ?? found.regionName };
    const ended = (await replica.ended()).some(({ clusterId }) => equalBytes(clusterId, found.clusterId));
    await this.#write(async () => {
      const before = await replica.get(peerKey(found.clusterId));
      if (ended || (before.exists && isRemoved(found.clusterId, before.value))) throw peerEnded(uuidText(found.clusterId));
      // Who is being filled says itself when it is a member.
      const joins = before.exists && isJoining(before.value);
      return [...(await this.#ownRecord()), ...(joins ? [] : [memberOp(record, before)])];
    });
    await this.#deps.changed();
    return record;
  }

  /** Writes that we are being filled, where there is no record of ours. Error: `not_advertised`. */
  async joining(): Promise<void> {
    const { replica, own } = this.#deps;
    const key = peerKey(own.clusterId);
    await this.#write(async () => {
      if ((await replica.get(key)).version !== null) return [];
      return [recordOp(key, encodePeer(this.#self(), undefined, true), { kind: 'absent' })];
    });
  }

  /** Writes our record where there is none of a member, and that of the member from which we came into the mesh, which may have been alone. Error: `not_advertised`. */
  async joined(donor: PeerIdentity, address: HostPort): Promise<void> {
    const { replica, changed } = this.#deps;
    await this.#write(async () => {
      const before = await replica.get(peerKey(donor.clusterId));
      return [...(await this.#ownRecord()), ...(before.version === null ? [memberOp({ ...donor, address }, before)] : [])];
    });
    await changed();
  }

  /** For good: nothing is taken of it any more. False where it is no member. Error: `malformed` for ourselves, whom nobody would hear any more. */
  async remove(clusterId: Uint8Array): Promise<boolean> {
    const { replica, own, random, incarnationOf } = this.#deps;
    const { exists, value } = await replica.get(peerKey(clusterId));
    if (!exists || isRemoved(clusterId, value)) return false;
    if (equalBytes(clusterId, own.clusterId))
      throw new GkvError('malformed', 'clusterId: a cluster cannot remove itself; ask an instance of another one');
    const removal = toHex(random.bytes(removalBytes));
    await replica.write([removedOp({ clusterId, incarnation: incarnationOf(toHex(clusterId)), removal, settled: false }, { kind: 'any' })]);
    await this.#deps.changed();
    return true;
  }

  async #ownRecord(): Promise<WriteOp[]> {
    const { own, replica } = this.#deps;
    const key = peerKey(own.clusterId);
    const { version, value } = await replica.get(key);
    if (version === null) return [recordOp(key, encodePeer(this.#self(), undefined, false), { kind: 'absent' })];
    return isJoining(value) ? [recordOp(key, encodePeer(this.#self(), value, false), { kind: 'version', version })] : [];
  }

  /** What another instance has written meanwhile is looked at again. Error: `version_mismatch` where that goes on and on. */
  async #write(ops: () => Promise<readonly WriteOp[]>): Promise<void> {
    for (let left = triesMax; ; left -= 1) {
      const made = await ops();
      try {
        if (made.length > 0) await this.#deps.replica.write(made);
        return;
      } catch (error) {
        if (left <= 1 || !hasCode(error, 'version_mismatch')) throw error;
      }
    }
  }

  #self(): Pick<PeerRecord, 'clusterId' | 'address' | 'regionName'> {
    const { own, advertised } = this.#deps;
    const address = advertised();
    if (address !== undefined) return { ...own, address };
    throw new GkvError('not_advertised', 'others cannot call the address that the mesh port listens on: start with --advertise HOST:PORT');
  }
}

/** The record of a member, in place of what was read before. */
function memberOp(
  record: Pick<PeerRecord, 'clusterId' | 'address' | 'regionName'>,
  { value, version }: Pick<ReadResult, 'value' | 'version'>,
): WriteOp {
  if (version === null) return recordOp(peerKey(record.clusterId), encodePeer(record, undefined, false), { kind: 'absent' });
  return recordOp(peerKey(record.clusterId), encodePeer(record, value, false), { kind: 'version', version });
}
